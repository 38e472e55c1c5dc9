"""Publishing to NATS so that somebody says that it has arrived. Imported only if nats-py is installed.

A subject that a JetStream stream has is published to with an acknowledgement: the stream has stored it, and
drops a repeat within its window by `Nats-Msg-Id`. Any other is published to plainly, and the server's answer
to the PING behind it says that the server has it; whether anybody listens is not known then.

The client's own reconnecting is not used, since it sends later what an attempt has already given up. A
connection that broke, or on which anything was cut off, is thrown away, and the next attempt opens another.
"""

import asyncio
import re
import ssl
from collections.abc import Sequence
from datetime import datetime, timedelta

import nats
import nats.errors
import nats.js.errors
from nats.js.client import JetStreamContext

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.nats_client import Access, NatsClient, is_unauthorized
from partnerbus.kernel.nats_credentials import Credentials
from partnerbus.model.reply import ACCEPTED, ErrorCode, Reply
from partnerbus.targets.outbound import CALL_TIMEOUT

STREAM_KNOWN_FOR = timedelta(seconds=60)
"""How long it is remembered whether a subject has one. A new stream gets what is published plainly too."""

SUBJECTS_KEPT = 10_000

PINGS = 2
"""The client's PING may overtake what it has not written yet; by the first PONG it has written everything, so
the second PING is behind what was published."""

_SECONDS = int(CALL_TIMEOUT.total_seconds())
_DENIED = re.compile(r'permissions violation for publish to "([^"]+)"')

NOT_ALLOWED = "This node's NATS user may not publish to {}."
UNTRUSTED = "No NATS server of this node could be connected to securely: TLS failed."
UNREACHABLE = "No NATS server of this node could be connected to."
TOO_LATE = "The NATS server did not answer in time."
BROKEN = "The connection to the NATS server broke."
TOO_LARGE = "The event is larger than the NATS server takes."


class _Connection:
    """A connection, and what its server has refused on it."""

    def __init__(self) -> None:
        self.client = NatsClient()
        self.denied: set[str] = set()
        self._is_open = False

    async def open(self, server: str, credentials: Credentials, tls: ssl.SSLContext) -> None:
        await self.client.open(
            [server],
            Access(credentials, tls),
            error_cb=self._note,
            allow_reconnect=False,
            max_reconnect_attempts=1,  # none is not offered; a second try at once costs nothing
            reconnect_time_wait=0,
            connect_timeout=_SECONDS,
        )
        self._is_open = True

    async def close(self) -> None:
        if self._is_open:  # else nothing runs yet, and after a failed handshake it would wait for ever
            await self.client.close()
        if self.client._transport is not None:  # what broke while it was written to is left open
            self.client._transport.close()  # type: ignore[no-untyped-call]

    async def _note(self, error: Exception) -> None:
        """A refusal comes on its own, before the PONG that would seem to say that all went well."""
        if found := _DENIED.search(str(error)):
            self.denied.add(found.group(1))


class NatsPublisher:
    """One connection to one of `servers`, opened at the first publish."""

    def __init__(
        self, servers: Sequence[str], credentials: Credentials, tls: ssl.SSLContext, clock: Clock
    ) -> None:
        self._servers = servers
        self._credentials = credentials
        self._tls = tls
        self._clock = clock
        self._connection: _Connection | None = None
        self._opening = asyncio.Lock()
        self._streams: dict[str, tuple[bool, datetime]] = {}

    async def publish(self, subject: str, payload: bytes, message_id: str) -> Reply:
        """Publish, and say whether it arrived. A repeat has the same `message_id`."""
        connection: _Connection | None = None
        is_whole = False
        try:
            async with self._clock.timeout(CALL_TIMEOUT):
                connection = await self._open()
                await self._publish(connection, subject, payload, {"Nats-Msg-Id": message_id})
            is_whole = True
        except (nats.errors.Error, TimeoutError, OSError) as error:
            is_whole = isinstance(error, nats.js.errors.APIError | nats.errors.MaxPayloadError)
            self._streams.pop(subject, None)  # its stream may be gone
            return _denied(connection, subject) or _failure(error)
        finally:
            if not is_whole and connection is not None:
                await self._throw_away(connection)
        return _denied(connection, subject) or ACCEPTED

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._throw_away(self._connection)

    async def _open(self) -> _Connection:
        async with self._opening:
            if self._connection is not None and not self._connection.client.is_connected:
                await self._throw_away(self._connection)
            if self._connection is None:
                self._connection = await self._open_any()
            return self._connection

    async def _open_any(self) -> _Connection:
        refused: Exception = nats.errors.NoServersError()
        for server in self._servers:
            connection = _Connection()
            try:
                await connection.open(server, self._credentials, self._tls)
            except (nats.errors.Error, TimeoutError, OSError) as error:
                await connection.close()
                refused = error
                continue
            return connection
        if is_unauthorized(refused):
            raise nats.errors.AuthorizationError
        if isinstance(refused, ssl.SSLError):
            raise refused
        raise nats.errors.NoServersError

    async def _publish(
        self, connection: _Connection, subject: str, payload: bytes, headers: dict[str, str]
    ) -> None:
        if len(payload) > connection.client.max_payload:
            raise nats.errors.MaxPayloadError
        stream = connection.client.jetstream(timeout=_SECONDS)
        if await self._has_stream(stream, subject):
            await stream.publish(subject, payload, headers=headers)
            return
        await connection.client.publish(subject, payload, headers=headers)
        for _ in range(PINGS):
            await connection.client.flush(_SECONDS)

    async def _has_stream(self, stream: JetStreamContext, subject: str) -> bool:
        known = self._streams.get(subject)
        if known is not None and known[1] > self._clock.now():
            return known[0]
        try:
            await stream.find_stream_name_by_subject(subject)
            found = True
        except (nats.js.errors.NotFoundError, nats.js.errors.ServiceUnavailableError):
            found = False  # the latter is a server without JetStream
        if len(self._streams) >= SUBJECTS_KEPT:
            self._streams.clear()
        self._streams[subject] = (found, self._clock.now() + STREAM_KNOWN_FOR)
        return found

    async def _throw_away(self, connection: _Connection) -> None:
        if self._connection is connection:
            self._connection = None
        await connection.close()


def _denied(connection: _Connection | None, subject: str) -> Reply | None:
    """The operator can mend a refusal, so it is worth another attempt."""
    for each in (subject, "$JS.API.STREAM.NAMES"):
        if connection is not None and each.lower() in connection.denied:
            return Reply(error=ErrorCode.NO_PERMISSIONS, message=NOT_ALLOWED.format(each), retryable=True)
    return None


def _failure(error: Exception) -> Reply:
    match error:
        case nats.js.errors.APIError():
            # What a server says of a full or broken stream may be otherwise later; a bad request may not.
            message = f"JetStream did not take the event: {error.description}."
            is_passing = error.code is None or error.code >= 500
            return Reply(error=ErrorCode.ERROR_FROM_TARGET, message=message, retryable=is_passing)
        case nats.errors.MaxPayloadError():
            return Reply(error=ErrorCode.INVALID_PARAMETER, message=TOO_LARGE)
        case nats.errors.AuthorizationError():
            message = "The NATS server did not accept this node's credentials."
            return Reply(error=ErrorCode.NO_PERMISSIONS, message=message, retryable=True)
        case nats.errors.NoServersError():
            return Reply(error=ErrorCode.CONNECTION_FAILURE, message=UNREACHABLE, retryable=True)
        case ssl.SSLError():
            return Reply(error=ErrorCode.CONNECTION_FAILURE, message=UNTRUSTED, retryable=True)
        case TimeoutError():
            return Reply(error=ErrorCode.TIMEOUT, message=TOO_LATE, retryable=True)
    return Reply(error=ErrorCode.CONNECTION_FAILURE, message=BROKEN, retryable=True)
