"""The stream of commands: how it is made, and what is checked before anything is written to it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec

from partnerbus.kernel.errors import ConfigurationError, StoreUnavailable
from partnerbus.kernel.telemetry import Log
from partnerbus.store.embedded.database import SCHEMA_VERSION
from partnerbus.store.embedded.mark import Mark, decode_mark
from partnerbus.store.jetstream.address import Cluster
from partnerbus.store.jetstream.session import Anything, ApiError, Session
from partnerbus.store.jetstream.syncing import check_sync

VERSION = "2"
"""Of the commands and of what they do to the tables. Nodes of one version only share a stream: two that would
apply a command differently would disagree for ever."""

VERSION_KEY = "partnerbus-version"
TABLES_KEY = "partnerbus-tables"
ID_KEY = "partnerbus-id"
SEAL_KEY = "partnerbus-seal"
MARK_KEY = "partnerbus-moving"
"""Of a stream whose store is being moved here, or away (`embedded.mark`); it takes no commands then."""

MOVED_IN = 1
"""The sequence of the copy that a store was moved here as. The stream begins behind it, so no node takes its
own empty tables for the beginning."""

ANOTHER_NAME = "name another one, as in nats://host/mine"

MOST_REPLICAS = 3
"""How many a new stream has, if there are so many servers."""

PATIENCE = timedelta(seconds=20)
"""How long a cluster that is just starting may take to choose its leaders."""

PAUSE = timedelta(milliseconds=250)

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

    @property
    def mark(self) -> Mark | None:
        """Whether its store is being moved."""
        text = self.config.metadata.get(MARK_KEY)
        return None if text is None else decode_mark(text)


class _Stored(msgspec.Struct, frozen=True):
    time: str


class _Message(msgspec.Struct, frozen=True):
    message: _Stored


class _Whole(msgspec.Struct, frozen=True):
    config: dict[str, Any]


class Stream:
    """A stream that is ours and of this version. Make it with `open`."""

    def __init__(self, session: Session, name: str, info: StreamInfo) -> None:
        self._session = session
        self.name = name
        self.subject = subject_of(name)
        self._info = info
        self.id = info.id
        self.replicas = info.config.num_replicas
        self.mark = info.mark
        """That of a store that is being moved; None for every stream that `open` gives."""

    @classmethod
    async def open(cls, session: Session, log: Log) -> "Stream":
        """The stream of the session's cluster, made if there is none.

        A `ConfigurationError` says what is wrong with it; then nothing was changed. If its servers do not
        sync, an empty one may have been made.
        """
        cluster = session.cluster
        await _check_enabled(session)
        found = await _find_or_make(session, cluster)
        _check(cluster, found)
        if (mark := found.mark) is not None:
            raise ConfigurationError(mark.refusal(_named(cluster)))
        await check_sync(cluster, found.config.num_replicas, log)
        return cls(session, cluster.name, found)

    @classmethod
    async def find(cls, session: Session) -> "Stream | None":
        """The stream of that name, whatever it is; None if there is none. See `check`."""
        await _check_enabled(session)
        found = await _find(session, session.cluster)
        return None if found is None else cls(session, session.cluster.name, found)

    @classmethod
    async def make_marked(cls, session: Session, mark: Mark, log: Log) -> "Stream":
        """A new stream that is to be filled, and is nobody's until `set_mark` takes the mark off."""
        cluster, until = session.cluster, session.clock.now() + PATIENCE
        await check_sync(cluster, _replicas(cluster), log)
        while (made := await _make(session, cluster, mark, is_last=session.clock.now() >= until)) is None:
            if await _find(session, cluster) is not None:
                raise is_taken(cluster)
            await session.clock.sleep(PAUSE)
        return cls(session, cluster.name, made)

    def check(self) -> None:
        """A `ConfigurationError` says what is wrong with it, but for its mark."""
        _check(self._session.cluster, self._info)

    async def set_mark(self, mark: Mark | None) -> None:
        """Mark the stream, or take its mark off, in one atomic act: what is marked takes no commands."""
        found = await self._session.call(f"STREAM.INFO.{self.name}", {}, _Whole)
        metadata = {key: value for key, value in found.config["metadata"].items() if key != MARK_KEY}
        if mark is not None:
            metadata[MARK_KEY] = msgspec.json.encode(mark).decode()
        changed = {**found.config, "subjects": [_takes(self.name, mark)], "metadata": metadata}
        await self._session.call(f"STREAM.UPDATE.{self.name}", changed, Anything)
        self.mark = mark

    async def remove(self) -> None:
        """Take it away, with all that is in it."""
        await self._session.call(f"STREAM.DELETE.{self.name}", {}, Anything)

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
        await self._session.call(f"STREAM.PURGE.{self.name}", {"seq": before}, Anything)


def _nanoseconds(instant: str) -> int:
    seconds, _, fraction = instant.removesuffix("Z").partition(".")
    whole = datetime.fromisoformat(seconds).replace(tzinfo=UTC)
    return int(whole.timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0"))


def subject_of(name: str) -> str:
    """Where the commands of a stream are published."""
    return f"{name}.commands"


def _takes(name: str, mark: Mark | None) -> str:
    """What a stream takes: nothing that anybody publishes while it is marked."""
    return subject_of(name) if mark is None else f"{name}.moving"


def is_taken(cluster: Cluster) -> ConfigurationError:
    """Why nothing can be moved to a stream that is there."""
    return ConfigurationError(f"{_named(cluster)} is there already: {ANOTHER_NAME}")


def _named(cluster: Cluster) -> str:
    return f"The stream {cluster.name} of {cluster}"


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
            if (found := await _look(session, cluster)) is not None:
                return found
            if (made := await _make(session, cluster, is_last=session.clock.now() >= until)) is not None:
                return made
        except StoreUnavailable:
            if session.clock.now() >= until:
                raise
        await session.clock.sleep(PAUSE)


async def _find(session: Session, cluster: Cluster) -> StreamInfo | None:
    """The stream, None if there is none; a cluster may take its time to answer."""
    until = session.clock.now() + PATIENCE
    while True:
        try:
            return await _look(session, cluster)
        except StoreUnavailable:
            if session.clock.now() >= until:
                raise
        await session.clock.sleep(PAUSE)


async def _look(session: Session, cluster: Cluster) -> StreamInfo | None:
    try:
        return await session.call(f"STREAM.INFO.{cluster.name}", {}, StreamInfo)
    except ApiError as error:
        if not error.is_not_found:
            raise _unusable(cluster, error) from None
    return None


async def _make(
    session: Session, cluster: Cluster, mark: Mark | None = None, *, is_last: bool
) -> StreamInfo | None:
    """The new stream; None if it may go better in a moment, or somebody else has made one.

    With a mark it is that of a store that is moved here.
    """
    replicas = _replicas(cluster)
    wanted = {
        "name": cluster.name,
        "subjects": [_takes(cluster.name, mark)],
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "num_replicas": replicas,
        "allow_atomic": True,
        "deny_delete": True,
        "metadata": {
            VERSION_KEY: VERSION,
            TABLES_KEY: str(SCHEMA_VERSION),
            ID_KEY: uuid4().hex if mark is None else mark.id,
            SEAL_KEY: cluster.seal(),
            **({} if mark is None else {MARK_KEY: msgspec.json.encode(mark).decode()}),
        },
        **({} if mark is None else {"first_seq": MOVED_IN + 1}),
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


def _replicas(cluster: Cluster) -> int:
    return cluster.replicas or min(len(cluster.servers), MOST_REPLICAS)


def _unusable(cluster: Cluster, error: ApiError) -> ConfigurationError:
    return ConfigurationError(f"{_named(cluster)} cannot be used. {error}")


def _too_few(cluster: Cluster, replicas: int) -> ConfigurationError:
    return ConfigurationError(
        f"{cluster} has fewer than {replicas} servers with JetStream that are up and know each other: "
        "start them, or ask for fewer replicas"
    )


def _check(cluster: Cluster, found: StreamInfo) -> None:
    metadata, which = found.config.metadata, _named(cluster)
    version, tables = metadata.get(VERSION_KEY), metadata.get(TABLES_KEY)
    if version is None or not found.id:
        raise ConfigurationError(f"{which} is not partnerbus's: {ANOTHER_NAME}")
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
