"""The stream of commands: how it is made, and what is checked before anything is written to it."""

import asyncio
import http.client
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec

from partnerbus.kernel.errors import ConfigurationError, StoreUnavailable
from partnerbus.kernel.telemetry import Log
from partnerbus.store.embedded.database import SCHEMA_VERSION
from partnerbus.store.jetstream.address import Cluster
from partnerbus.store.jetstream.session import ApiError, Session

VERSION = "2"
"""Of the commands and of what they do to the tables. Nodes of one version only share a stream: two that would
apply a command differently would disagree for ever."""

VERSION_KEY = "partnerbus-version"
TABLES_KEY = "partnerbus-tables"
ID_KEY = "partnerbus-id"
SEAL_KEY = "partnerbus-seal"

MOST_REPLICAS = 3
"""How many a new stream has, if there are so many servers."""

PATIENCE = timedelta(seconds=20)
"""How long a cluster that is just starting may take to choose its leaders."""

PAUSE = timedelta(milliseconds=250)
MONITOR_SECONDS = 5.0

IN_USE = 10058
TOO_FEW = 10005
NO_CLUSTER = 10074
NO_MESSAGE = 10037


class _Configuration(msgspec.Struct, frozen=True):
    num_replicas: int = 1
    metadata: dict[str, str] = {}
    allow_atomic: bool = False


class StreamState(msgspec.Struct, frozen=True):
    """Which sequences there are: `first_seq` to `last_seq`, and how much room they take."""

    first_seq: int = 0
    last_seq: int = 0
    bytes: int = 0


class StreamInfo(msgspec.Struct, frozen=True):
    """What JetStream says of a stream."""

    config: _Configuration
    state: StreamState

    @property
    def id(self) -> str:
        """What tells the stream from another of its name."""
        return self.config.metadata.get(ID_KEY, "")


class _Stored(msgspec.Struct, frozen=True):
    time: str


class _Message(msgspec.Struct, frozen=True):
    message: _Stored


class _Anything(msgspec.Struct, frozen=True):
    pass


class Stream:
    """A stream that is ours and of this version. Make it with `open`."""

    def __init__(self, session: Session, name: str, info: StreamInfo) -> None:
        self._session = session
        self.name = name
        self.subject = subject_of(name)
        self.id = info.id
        self.replicas = info.config.num_replicas

    @classmethod
    async def open(cls, session: Session, log: Log) -> "Stream":
        """The stream of the session's cluster, made if there is none.

        A `ConfigurationError` says what is wrong with it; then nothing was made or changed.
        """
        cluster = session.cluster
        await _check_enabled(session)
        found = await _find_or_make(session, cluster)
        _check(cluster, found)
        await check_sync(cluster, found.config.num_replicas, log)
        return cls(session, cluster.name, found)

    async def state(self) -> StreamState:
        """Its ends, right now."""
        found = await self._session.call(f"STREAM.INFO.{self.name}", {}, StreamInfo)
        return found.state

    async def taken_at(self, sequence: int) -> int | None:
        """When it took that message, in nanoseconds, which tells it from any other; None: it is gone."""
        try:
            found = await self._session.call(f"STREAM.MSG.GET.{self.name}", {"seq": sequence}, _Message)
        except ApiError as error:
            if error.code == NO_MESSAGE:
                return None
            raise
        return _nanoseconds(found.message.time)

    async def forget(self, before: int) -> None:
        """Let go of what comes before the sequence `before`."""
        await self._session.call(f"STREAM.PURGE.{self.name}", {"seq": before}, _Anything)


def _nanoseconds(instant: str) -> int:
    seconds, _, fraction = instant.removesuffix("Z").partition(".")
    whole = datetime.fromisoformat(seconds).replace(tzinfo=UTC)
    return int(whole.timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0"))


def subject_of(name: str) -> str:
    """Where the commands of a stream are published."""
    return f"{name}.commands"


async def _check_enabled(session: Session) -> None:
    until = session.clock.now() + PATIENCE
    while True:
        try:
            return await session.check_enabled()
        except StoreUnavailable:
            if session.clock.now() >= until:
                raise
        await session.clock.sleep(PAUSE)


async def _find_or_make(session: Session, cluster: Cluster) -> StreamInfo:
    until = session.clock.now() + PATIENCE
    while True:
        try:
            return await session.call(f"STREAM.INFO.{cluster.name}", {}, StreamInfo)
        except ApiError as error:
            if not error.is_not_found:
                raise _unusable(cluster, error) from None
            if (made := await _make(session, cluster, is_last=session.clock.now() >= until)) is not None:
                return made
        except StoreUnavailable:
            if session.clock.now() >= until:
                raise
        await session.clock.sleep(PAUSE)


async def _make(session: Session, cluster: Cluster, *, is_last: bool) -> StreamInfo | None:
    """The new stream; None if it may go better in a moment, or somebody else has made one."""
    replicas = cluster.replicas or min(len(cluster.servers), MOST_REPLICAS)
    wanted = {
        "name": cluster.name,
        "subjects": [subject_of(cluster.name)],
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "num_replicas": replicas,
        "allow_atomic": True,
        "deny_delete": True,
        "metadata": {
            VERSION_KEY: VERSION,
            TABLES_KEY: str(SCHEMA_VERSION),
            ID_KEY: uuid4().hex,
            SEAL_KEY: cluster.seal(),
        },
    }
    try:
        made = await session.call(f"STREAM.CREATE.{cluster.name}", wanted, StreamInfo)
    except ApiError as error:
        if error.code == IN_USE or (not is_last and error.code != NO_CLUSTER):
            return None
        if error.code in (TOO_FEW, NO_CLUSTER):
            raise _too_few(cluster, replicas) from None
        raise _unusable(cluster, error) from None
    return made


def _unusable(cluster: Cluster, error: ApiError) -> ConfigurationError:
    return ConfigurationError(f"The stream {cluster.name} of {cluster} cannot be used. {error}")


def _too_few(cluster: Cluster, replicas: int) -> ConfigurationError:
    return ConfigurationError(
        f"{cluster} has fewer than {replicas} servers with JetStream that are up and know each other: "
        "start them, or ask for fewer replicas"
    )


def _check(cluster: Cluster, found: StreamInfo) -> None:
    metadata, which = found.config.metadata, f"The stream {cluster.name} of {cluster}"
    version, tables = metadata.get(VERSION_KEY), metadata.get(TABLES_KEY)
    if version is None or not found.id:
        raise ConfigurationError(f"{which} is not partnerbus's: name another one, as in nats://host/mine")
    if (version, tables) != (VERSION, str(SCHEMA_VERSION)):
        raise ConfigurationError(
            f"{which} is of version {version}.{tables}, this partnerbus of {VERSION}.{SCHEMA_VERSION}: "
            "run the partnerbus that it is of, or migrate to a new stream"
        )
    if metadata.get(SEAL_KEY, "") != cluster.seal():
        raise ConfigurationError(
            f"{which} holds secrets that were sealed with another secret.key than this node's: "
            "put the one of the other nodes into its data folder"
        )
    if not found.config.allow_atomic:
        raise ConfigurationError(f"{which} takes no atomic batches: its servers must be NATS 2.12 or newer")
    if cluster.replicas is not None and cluster.replicas != found.config.num_replicas:
        raise ConfigurationError(
            f"{which} has {found.config.num_replicas} replicas, not {cluster.replicas}: change it with "
            f"`nats stream edit {cluster.name} --replicas {cluster.replicas}`, or do not say how many"
        )


# -- whether what is acknowledged is on disk ---------------------------------------------------------------


class _JetStreamConfiguration(msgspec.Struct):
    sync_always: bool = False


class _JetStream(msgspec.Struct):
    config: _JetStreamConfiguration | None = None


class _Varz(msgspec.Struct):
    server_name: str = "?"
    jetstream: _JetStream | None = None


async def check_sync(cluster: Cluster, replicas: int, log: Log) -> None:
    """Warn if what a server acknowledges is not on its disk; refuse if it then is on no other server either.

    Only the servers' monitoring says so.
    """
    if not cluster.monitors:
        log.warning("sync_interval unknown", advice="name the servers' monitoring with --store-monitors")
        return
    lazy = [name for name in await asyncio.gather(*map(_lazy_server, cluster.monitors)) if name is not None]
    if lazy and replicas == 1:
        raise ConfigurationError(
            f"NATS server {', '.join(lazy)} acknowledges what is not on its disk, and the stream is on one "
            "server only: set `sync_interval: always` in its jetstream block"
        )
    if lazy:
        log.warning("acknowledged before it is on disk", servers=lazy, advice="sync_interval: always")


async def _lazy_server(monitor: str) -> str | None:
    """The name of the server whose monitoring that is, None if it syncs always."""
    try:
        found = msgspec.json.decode(await asyncio.to_thread(_read_varz, monitor), type=_Varz)
    except (OSError, http.client.HTTPException, msgspec.MsgspecError):
        raise ConfigurationError(
            f"store-monitors: {monitor} is not the monitoring of a NATS server"
        ) from None
    configuration = found.jetstream.config if found.jetstream is not None else None
    return None if configuration is not None and configuration.sync_always else found.server_name


def _read_varz(monitor: str) -> bytes:
    where = urlsplit(monitor)
    kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    connection = kind(where.hostname or "", where.port, timeout=MONITOR_SECONDS)
    try:
        connection.request("GET", "/varz")
        return connection.getresponse().read()
    finally:
        connection.close()
