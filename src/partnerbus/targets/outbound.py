"""Sending an HTTP request to somebody else's server.

`Outbound` is the seam: a request goes in, a response or a failure comes out, both values. What every
implementation keeps:

* the whole call, from the name's resolution to the last byte read, ends within the request's timeout;
* no more than `body_limit` bytes of an answer are read, the rest is never fetched; an answer that does not
  end before or beside its body is cut off;
* redirects are not followed, answers are not decompressed, proxies and cookies are not used;
* one `send` sends at most one request (an attempt is an attempt);
* the address that is connected to was allowed by the guard, whatever the name resolved to before;
* certificates are verified.
"""

import socket
import ssl
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from functools import partial
from ipaddress import ip_address
from typing import Protocol, cast

import aiohttp
import msgspec
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from partnerbus.kernel.clock import Clock
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.targets.addresses import AddressGuard
from partnerbus.targets.names import AddressRefused, Names, Resolve
from partnerbus.targets.outbound_connection import OutboundConnection

CALL_TIMEOUT = timedelta(seconds=5)
"""How long a target may take for a whole call (documented)."""

BODY_LIMIT_BYTES = 65_536
"""How much of an answer is read. A longer one is cut and its connection closed."""

CONNECTIONS = 2_048
CONNECTIONS_PER_HOST = 256
"""Bounds of the pool. The dispatcher's bounds per target are lower, so no target waits for another's."""

IDLE_SECONDS = 15.0
"""How long an unused connection is kept; short, so that few are closed by the other side first."""

NAME_SECONDS = 10
"""How long a resolved name is remembered."""

_NO_AUTOMATIC_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class OutboundRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request, its URL percent-encoded. `Host` and `Content-Length` are added.

    A `tls` context of its own shows a client certificate; such requests share no connection with others.
    """

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    timeout: timedelta = CALL_TIMEOUT
    body_limit: int = BODY_LIMIT_BYTES
    tls: ssl.SSLContext | None = None


class OutboundResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An answer; header names are in lower case, `body` has at most the request's `body_limit` bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Failure(StrEnum):
    """Why there is no answer."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    """No connection, or one that broke before the answer was complete."""
    TLS = "tls"
    NAME_UNKNOWN = "name unknown"
    NAME_LOOKUP = "name lookup"
    """The resolver did not work just now."""
    ADDRESS_REFUSED = "address refused"
    INVALID = "invalid"
    """The request cannot be written as HTTP."""


class OutboundFailure(msgspec.Struct, frozen=True, kw_only=True):
    """No answer; `message` is a sentence that holds nothing of the request but its host."""

    failure: Failure
    message: str


_REPLIES = {
    Failure.TIMEOUT: (ErrorCode.TIMEOUT, True),
    Failure.CONNECTION: (ErrorCode.CONNECTION_FAILURE, True),
    Failure.TLS: (ErrorCode.CONNECTION_FAILURE, True),
    Failure.NAME_LOOKUP: (ErrorCode.CONNECTION_FAILURE, True),
    Failure.NAME_UNKNOWN: (ErrorCode.CONNECTION_FAILURE, False),
    Failure.ADDRESS_REFUSED: (ErrorCode.INVALID_PARAMETER, False),
    Failure.INVALID: (ErrorCode.INVALID_PARAMETER, False),
}
"""Timeouts and connection failures are retried, DNS failures and invalid addresses are not (documented).

That a resolver out of order and a certificate not accepted are retried is assumed: both get mended.
"""


def failure_reply(failure: OutboundFailure) -> Reply:
    """The reply of a target that gave no answer."""
    error, retryable = _REPLIES[failure.failure]
    return Reply(error=error, message=failure.message, retryable=retryable)


class Outbound(Protocol):
    """Sends requests."""

    async def send(self, request: OutboundRequest) -> OutboundResponse | OutboundFailure:
        """Send one request and read its answer, as the module's docstring promises."""

    async def close(self) -> None:
        """Close every connection."""


class AiohttpOutbound:
    """`Outbound` by aiohttp. Without a guard every address is allowed (what the operator configured)."""

    def __init__(
        self,
        clock: Clock,
        guard: AddressGuard | None,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
        *,
        per_host: int = CONNECTIONS_PER_HOST,
    ) -> None:
        self._clock = clock
        self._guard = guard
        self._per_host = per_host
        self._names = Names(guard, resolve)
        # Made here, not at the first request: reading the authorities takes tens of milliseconds, and nothing
        # else would move meanwhile.
        self._tls = tls or ssl.create_default_context()
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: OutboundRequest) -> OutboundResponse | OutboundFailure:
        host = ""
        try:
            url = URL(request.url, encoded=True)
            host = url.host or ""
            async with self._clock.timeout(request.timeout):
                return await self._exchange(url, request)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            return _failure(error, host)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
        await self._names.close()

    async def _exchange(self, url: URL, request: OutboundRequest) -> OutboundResponse:
        session = self._open_session()
        async with session.request(
            request.method,
            url,
            data=request.body or None,
            headers=request.headers,
            allow_redirects=False,
            ssl=request.tls or True,
        ) as response:
            body = await _read_at_most(response, request.body_limit)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return OutboundResponse(status=response.status, headers=headers, body=body)

    def _open_session(self) -> aiohttp.ClientSession:
        """The session, made at its first use because it needs the running loop."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=CONNECTIONS,
                limit_per_host=self._per_host,
                keepalive_timeout=IDLE_SECONDS,
                ttl_dns_cache=NAME_SECONDS,
                resolver=self._names,
                socket_factory=self._open_socket,
                ssl=self._tls,
            )
            # aiohttp has no public way to choose what its connections are made of.
            connector._factory = partial(cast(type[ResponseHandler], OutboundConnection), connector._loop)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                auto_decompress=False,
                skip_auto_headers=_NO_AUTOMATIC_HEADERS,
            )
            # aiohttp repeats a PUT or GET whose connection broke; here one send is one request.
            self._session._retry_connection = False
        return self._session

    def _open_socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """The last check: made on the very address that the socket is about to connect to."""
        family, kind, protocol, _, address = info
        if self._guard is not None and not self._guard.allows(ip_address(str(address[0]).partition("%")[0])):
            raise AddressRefused
        return socket.socket(family, kind, protocol)


async def _read_at_most(response: aiohttp.ClientResponse, limit: int) -> bytes:
    chunks: list[bytes] = []
    left = limit
    async for chunk in response.content.iter_any():
        chunks.append(chunk[:left])
        left -= len(chunk)
        if left < 0:
            response.close()  # the rest is never fetched, so the connection cannot be used again
            break
    return b"".join(chunks)


_SENTENCES = {
    Failure.TIMEOUT: "{} did not answer in time.",
    Failure.CONNECTION: "The connection to {} failed or was broken before the answer was complete.",
    Failure.TLS: "No secure connection to {}: its certificate or protocol was not accepted.",
    Failure.NAME_UNKNOWN: "The name {} has no address.",
    Failure.NAME_LOOKUP: "The name {} could not be resolved just now.",
    Failure.ADDRESS_REFUSED: "The address of {} is not allowed as a target.",
    Failure.INVALID: "The request to {} cannot be written as HTTP.",
}


def _failure(error: Exception, host: str) -> OutboundFailure:
    kind = _classify(error)
    return OutboundFailure(failure=kind, message=_SENTENCES[kind].format(host or "the target"))


def _classify(error: BaseException) -> Failure:
    """What an exception of aiohttp or of the socket means; the most telling cause counts."""
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Failure.TLS
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, TimeoutError):
        return Failure.TIMEOUT
    if isinstance(cause, AddressRefused):
        return Failure.ADDRESS_REFUSED
    if isinstance(cause, socket.gaierror):
        return Failure.NAME_LOOKUP if cause.errno == socket.EAI_AGAIN else Failure.NAME_UNKNOWN
    if isinstance(error, ValueError):
        return Failure.INVALID
    return Failure.CONNECTION
