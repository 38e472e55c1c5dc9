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
from typing import Protocol

import msgspec

from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.targets.names import AddressRefused

CALL_TIMEOUT = timedelta(seconds=5)
"""How long a target may take for a whole call (documented)."""

BODY_LIMIT_BYTES = 65_536
"""How much of an answer is read. A longer one is cut and its connection closed."""


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


_SENTENCES = {
    Failure.TIMEOUT: "{} did not answer in time.",
    Failure.CONNECTION: "The connection to {} failed or was broken before the answer was complete.",
    Failure.TLS: "No secure connection to {}: its certificate or protocol was not accepted.",
    Failure.NAME_UNKNOWN: "The name {} has no address.",
    Failure.NAME_LOOKUP: "The name {} could not be resolved just now.",
    Failure.ADDRESS_REFUSED: "The address of {} is not allowed as a target.",
    Failure.INVALID: "The request to {} cannot be written as HTTP.",
}


def failure_of(error: Exception, host: str) -> OutboundFailure:
    """What an exception on the way to `host` amounts to."""
    kind = _classify(error)
    return OutboundFailure(failure=kind, message=_SENTENCES[kind].format(host or "the target"))


def _classify(error: Exception) -> Failure:
    if isinstance(error, ssl.SSLError):
        return Failure.TLS
    if isinstance(error, TimeoutError):
        return Failure.TIMEOUT
    if isinstance(error, AddressRefused):
        return Failure.ADDRESS_REFUSED
    if isinstance(error, socket.gaierror):
        return Failure.NAME_LOOKUP if error.errno == socket.EAI_AGAIN else Failure.NAME_UNKNOWN
    if isinstance(error, ValueError):
        return Failure.INVALID
    return Failure.CONNECTION
