"""A connection to the cluster that mends itself, and the few calls of JetStream's API that are made."""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from partnerbus.kernel.clock import SteadyClock
from partnerbus.kernel.errors import ConfigurationError, PartnerbusError, StoreUnavailable
from partnerbus.kernel.nats_client import NatsClient, is_unauthorized
from partnerbus.store.jetstream.address import Cluster

T = TypeVar("T")

CONNECT_TIMEOUT = timedelta(seconds=5)
CALL_TIMEOUT = timedelta(seconds=4)
RECONNECT_SECONDS = 0.25
PING_EVERY_SECONDS = 2
PINGS_LOST = 2
"""A server that has answered none of so many pings at the next one is gone, though no packet says so."""

BUFFERED_BYTES = 64 * 1024 * 1024
"""What the client keeps while it has no connection; the publisher's window is far below it."""

NOT_ENABLED = frozenset({10039, 10076})
"""Codes of JetStream that say that an account, or a server, has none."""

FULL = frozenset({10047, 10077, 10023, 10028})
"""Codes of JetStream: insufficient storage, maximum bytes, insufficient resources, limits of the account."""

NOT_FOUND = 10059


class ApiError(PartnerbusError):
    """JetStream refused a call."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"JetStream says: {description}.")
        self.code = code

    @property
    def is_not_found(self) -> bool:
        return self.code == NOT_FOUND


class Refusal(msgspec.Struct):
    """Why JetStream does not do what it was asked for."""

    err_code: int = 0
    description: str = "no reason"

    @property
    def is_full(self) -> bool:
        """Whether there is no room."""
        return self.err_code in FULL


class Answer(msgspec.Struct):
    """What every answer of JetStream has."""

    error: Refusal | None = None


decode_answer = msgspec.json.Decoder(Answer).decode


class Anything(msgspec.Struct, frozen=True):
    """An answer of which only counts that it is no refusal."""


class Session:
    """One connection, to whichever server of the cluster is there. Make it with `open`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.client = NatsClient()
        self.clock = SteadyClock()
        self.reconnected: Callable[[], Awaitable[None]] | None = None
        """Is called whenever the connection was lost and is there again."""
        self.closed: Callable[[StoreUnavailable], None] | None = None
        """Is called if a server has ended the connection for good: nothing mends it then."""
        self.denied = ""
        """What a server has refused on its own: it does not answer then, so who waits may look here."""

    @classmethod
    async def open(cls, cluster: Cluster) -> "Session":
        """Connect. A `ConfigurationError` or `StoreUnavailable` says why that cannot be."""
        await _try_each(cluster)
        session = cls(cluster)
        try:
            async with session.clock.timeout(CONNECT_TIMEOUT):
                await session.client.open(
                    cluster.servers,
                    cluster.access,
                    error_cb=session._note,
                    reconnected_cb=session._reconnected,
                    disconnected_cb=session._disconnected,
                    closed_cb=session._closed,
                    ping_interval=PING_EVERY_SECONDS,
                    max_outstanding_pings=PINGS_LOST,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=RECONNECT_SECONDS,
                    connect_timeout=_seconds(CONNECT_TIMEOUT),
                    pending_size=BUFFERED_BYTES,
                )
        except (nats.errors.Error, OSError, TimeoutError):
            raise _unreachable(cluster) from None
        return session

    async def close(self) -> None:
        """Let go of the connection."""
        self.closed = None
        await self.client.let_go()

    @property
    def max_payload(self) -> int:
        """How many bytes one message may have."""
        return self.client.max_payload

    async def call(self, what: str, body: Mapping[str, object], kind: type[T]) -> T:
        """Ask JetStream's API. Raises `ApiError` if it refuses, `StoreUnavailable` if nobody answers."""
        try:
            answer = await self.client.request(
                f"$JS.API.{what}", msgspec.json.encode(body), timeout=CALL_TIMEOUT.total_seconds()
            )
        except nats.errors.NoRespondersError:
            raise StoreUnavailable(f"No server of {self.cluster} answers for JetStream right now.") from None
        except (nats.errors.Error, OSError, TimeoutError):
            raise StoreUnavailable(f"{self.cluster} did not answer in time. {self.denied}".strip()) from None
        error = decode_answer(answer.data).error
        if error is not None:
            raise ApiError(error.err_code, error.description)
        return msgspec.json.decode(answer.data, type=kind)

    async def check_enabled(self) -> None:
        """A `ConfigurationError` if there is no JetStream for us.

        `StoreUnavailable` if nobody can tell: a cluster that has no leader yet, or no more, is silent.
        """
        try:
            await self.client.request("$JS.API.INFO", b"{}", timeout=CALL_TIMEOUT.total_seconds())
            await self.call("INFO", {}, Answer)
        except nats.errors.NoRespondersError:
            raise _not_enabled(self.cluster) from None
        except ApiError as error:
            raise _not_enabled(self.cluster) if error.code in NOT_ENABLED else error from None
        except (nats.errors.Error, OSError, TimeoutError):
            raise StoreUnavailable(f"The servers of {self.cluster} have no leader for JetStream.") from None

    async def subscribe(self, subject: str, heard: Callable[[Msg], Awaitable[None]]) -> Subscription:
        """Let `heard` have every message of `subject`, one after the other."""
        return await self.client.subscribe(subject, cb=heard, pending_bytes_limit=2 * BUFFERED_BYTES)

    async def publish(
        self, subject: str, payload: bytes, reply: str, headers: dict[str, Any] | None = None
    ) -> None:
        """Send a message. Nothing is known until something comes to `reply`.

        Without a connection nothing is sent, now or later: who waits may be told that it will not be.
        """
        if self.client.is_connected:
            await self.client.publish(subject, payload, reply=reply, headers=headers)

    async def offer(self, subject: str, payload: bytes) -> Refusal | None:
        """Publish once; what the stream says against it, None if it took it."""
        try:
            answer = await self.client.request(subject, payload, timeout=CALL_TIMEOUT.total_seconds())
        except (nats.errors.Error, OSError, TimeoutError):
            return Refusal(description=self.denied or "nobody answers")
        return decode_answer(answer.data).error if answer.data else None

    async def _note(self, error: Exception) -> None:
        if "permissions violation" in str(error) or is_unauthorized(error):
            self.denied = f"The cluster says: {error}"
        if not self.client.is_connected:
            self.client.abort()  # a handshake that failed leaves it open

    async def _disconnected(self) -> None:
        self.client.forget_unsent()

    async def _closed(self) -> None:
        if self.closed is not None:
            reason = self.client.last_error or "no reason was given"
            self.closed(StoreUnavailable(f"{self.cluster} has closed this node's connection: {reason}."))

    async def _reconnected(self) -> None:
        self.denied = ""
        if self.reconnected is not None:
            await self.reconnected()


async def _try_each(cluster: Cluster) -> None:
    """Connect to one server, without patience: only then does the client say what is wrong."""
    refused: Exception = nats.errors.NoServersError()
    for server in cluster.servers:
        client = NatsClient()
        try:
            await client.open(
                [server],
                cluster.access,
                error_cb=_ignore,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=_seconds(CONNECT_TIMEOUT),
            )
        except (nats.errors.Error, OSError, TimeoutError) as error:
            refused = error
            if client._transport is not None:  # a handshake that failed leaves it open
                client._transport.close()  # type: ignore[no-untyped-call]
        else:
            await client.close()
            return
    raise _refusal(cluster, refused)


async def _ignore(_: Exception) -> None:
    """What an attempt met, it raises."""


def _refusal(cluster: Cluster, error: Exception) -> PartnerbusError:
    if is_unauthorized(error):
        return ConfigurationError(
            f"{cluster} does not accept this node's credentials: "
            "say who it is in the URL of store, or in the file of store-credentials"
        )
    if isinstance(error, ssl.SSLError):
        return ConfigurationError(
            f"{cluster} could not be connected to securely ({error.reason or error}): "
            "look at store-ca and store-certificate"
        )
    return _unreachable(cluster)


def _unreachable(cluster: Cluster) -> StoreUnavailable:
    return StoreUnavailable(
        f"No NATS server of {cluster} can be reached: are they up, and is the URL of store right?"
    )


def _not_enabled(cluster: Cluster) -> ConfigurationError:
    return ConfigurationError(
        f"{cluster} has no JetStream for this account: put `jetstream {{}}` into the configuration of its "
        "servers, and give the account some of it if there are accounts"
    )


def _seconds(duration: timedelta) -> int:
    return int(duration.total_seconds())
