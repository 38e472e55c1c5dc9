"""Tokens of OAuth connections: asked for when needed, kept in memory, asked for again in time.

A client's id and secret are exchanged for a token (`grant_type=client_credentials`) at an endpoint that a
customer chose, so everything about the answer is hostile input: it is cut, it must come in time and from
an allowed address, and nothing of it but the token and a known error word is ever used. However many
deliveries want a token of a connection, one exchange runs at a time. Tokens are never stored nor logged.
"""

import asyncio
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlencode

import msgspec

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.secrets import SecretBox
from partnerbus.model.reply import ErrorCode
from partnerbus.model.resources import Connection, ConnectionParameter, OAuthExchange, ParameterPlace
from partnerbus.targets.http_request import (
    USER_AGENT,
    BadRequest,
    check_headers,
    merge_headers,
    placed,
    with_query,
)
from partnerbus.targets.outbound import (
    Outbound,
    OutboundFailure,
    OutboundRequest,
    OutboundResponse,
    failure_reply,
)

REFRESH_BEFORE = timedelta(seconds=60)
"""A token with no more than this left is not used again (documented)."""

LIFETIME = timedelta(hours=1)
"""Of a token whose answer does not say (assumed); a shorter one shows itself with a 401."""

LONGEST_LIFETIME = timedelta(days=365)
LONGEST_TOKEN = 16_384

_TOKEN = re.compile(r"[\x21-\x7e]+")
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_KNOWN_ERRORS = frozenset({
    "access_denied", "invalid_client", "invalid_grant", "invalid_request", "invalid_scope",
    "invalid_target", "temporarily_unavailable", "unauthorized_client", "unsupported_grant_type",
})  # fmt: skip
"""The words of RFC 6749 and 8707 that an answer may say; any other is not repeated."""


class TokenFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no token: a sentence without a secret.

    `is_refusal` says that the authorization endpoint was there and did not want this client.
    """

    error: ErrorCode
    message: str
    retryable: bool = True
    is_refusal: bool = False


Listener = Callable[[Connection, TokenFailure | None], None]
"""Called with the connection after each exchange, None for one that gave a token; must not raise or wait."""


class _Known(msgspec.Struct):
    """What is known of a connection with these credentials."""

    credentials: tuple[str, str, OAuthExchange | None]
    token: str = ""
    expires_at: datetime | None = None
    asking: "asyncio.Task[str | TokenFailure] | None" = None

    def __repr__(self) -> str:
        return f"_Known(expires_at={self.expires_at})"


class Tokens:
    """The tokens of all OAuth connections."""

    def __init__(self, secrets: SecretBox, outbound: Outbound, clock: Clock) -> None:
        self._secrets = secrets
        self._outbound = outbound
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._listeners: list[Listener] = []
        self._asking: set[asyncio.Task[str | TokenFailure]] = set()

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of each exchange from now on."""
        self._listeners.append(listener)

    async def get(self, connection: Connection) -> str | TokenFailure:
        """A token of `connection`, a new one if need be."""
        known = self._known_of(connection)
        if known.expires_at is not None and known.expires_at - self._clock.now() > REFRESH_BEFORE:
            return known.token
        if known.asking is None:
            known.asking = asyncio.create_task(self._ask(connection, known))
            self._asking.add(known.asking)
            known.asking.add_done_callback(self._asking.discard)
        return await asyncio.shield(known.asking)  # who stops waiting does not stop the others

    def refused(self, connection: Connection, token: str) -> None:
        """A target did not take `token`: ask for another next time (documented for 401 and 407)."""
        known = self._known.get(connection.arn)
        if known is not None and known.token == token:
            known.expires_at = None

    def forget(self, connection_arn: str) -> None:
        """Keep nothing of a connection that is gone."""
        self._known.pop(connection_arn, None)

    async def close(self) -> None:
        """Cut off every exchange."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    def _known_of(self, connection: Connection) -> _Known:
        known = self._known.get(connection.arn)
        if known is None or known.credentials != connection.credentials:
            known = self._known[connection.arn] = _Known(connection.credentials)
        return known

    async def _ask(self, connection: Connection, known: _Known) -> str | TokenFailure:
        try:
            found = await self._exchange(connection)
        finally:
            known.asking = None
        if isinstance(found, TokenFailure):
            known.expires_at = None
        else:
            known.token, known.expires_at = found.access_token, self._clock.now() + found.lifetime
        failure = found if isinstance(found, TokenFailure) else None
        for listener in self._listeners:
            listener(connection, failure)
        return failure or known.token

    async def _exchange(self, connection: Connection) -> "_Granted | TokenFailure":
        try:
            request = exchange_request(connection, self._secrets)
        except (BadRequest, ConfigurationError) as error:
            return TokenFailure(error=ErrorCode.INTERNAL_ERROR, message=f"No token: {error}")
        answer = await self._outbound.send(request)
        if isinstance(answer, OutboundFailure):
            reply = failure_reply(answer)
            return TokenFailure(
                error=reply.error or ErrorCode.UNKNOWN,
                message=f"No token: {reply.message}",
                retryable=reply.retryable,
            )
        return read_grant(answer)


# -- the request -----------------------------------------------------------------------------------------


def exchange_request(connection: Connection, secrets: SecretBox) -> OutboundRequest:
    """The request for a token; `BadRequest` if it cannot be made.

    Id, secret and grant type go into a form with the connection's body parameters, and with GET into the
    query (assumed). A parameter of the connection wins over an equal name. A `Content-Type` of the
    connection that is JSON makes the form a JSON object.
    """
    exchange = connection.oauth
    if exchange is None:
        raise BadRequest("The connection has no authorization endpoint.")
    parameters = tuple(open_parameter(secrets, one) for one in exchange.parameters)
    fields = {
        "grant_type": "client_credentials",
        "client_id": connection.user,
        "client_secret": secrets.open(connection.sealed_secret),
        **placed(parameters, ParameterPlace.BODY),
    }
    query = placed(parameters, ParameterPlace.QUERY)
    headers = dict(merge_headers(_FORM, placed(parameters, ParameterPlace.HEADER)).values())
    headers["User-Agent"] = USER_AGENT
    check_headers(headers)
    if exchange.method == "GET":
        unsent = {name: value for name, value in headers.items() if name.lower() != "content-type"}
        return OutboundRequest(
            method="GET", url=with_query(exchange.url, {**fields, **query}), headers=unsent
        )
    return OutboundRequest(
        method=exchange.method,
        url=with_query(exchange.url, query),
        headers=headers,
        body=msgspec.json.encode(fields) if _is_json(headers) else urlencode(fields).encode(),
    )


def open_parameter(secrets: SecretBox, parameter: ConnectionParameter) -> ConnectionParameter:
    """The parameter with its value as it is sent."""
    if not parameter.is_secret:
        return parameter
    return msgspec.structs.replace(parameter, value=secrets.open(parameter.value))


def _is_json(headers: dict[str, str]) -> bool:
    return any(
        name.lower() == "content-type" and value.partition(";")[0].strip().lower() == "application/json"
        for name, value in headers.items()
    )


# -- the answer ------------------------------------------------------------------------------------------


class _Granted(msgspec.Struct, frozen=True):
    """What is read of an answer. Some endpoints write the seconds as text."""

    access_token: str
    expires_in: int | float | str | None = None

    def __repr__(self) -> str:
        return f"_Granted(expires_in={self.expires_in})"

    @property
    def lifetime(self) -> timedelta:
        try:
            seconds = LIFETIME.total_seconds() if self.expires_in is None else float(self.expires_in)
        except (ValueError, OverflowError):
            seconds = 0.0
        return timedelta(seconds=max(0.0, min(seconds, LONGEST_LIFETIME.total_seconds())))


class _Refused(msgspec.Struct, frozen=True):
    error: str = ""


_UNUSABLE = TokenFailure(
    error=ErrorCode.ERROR_FROM_TARGET,
    message="No token: the authorization endpoint's answer is not JSON with a usable access_token.",
    is_refusal=True,
)


def read_grant(answer: OutboundResponse) -> _Granted | TokenFailure:
    """The token in an answer, or why there is none."""
    if not 200 <= answer.status < 300:
        return _refusal(answer)
    try:
        granted = msgspec.json.decode(answer.body, type=_Granted)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _UNUSABLE
    if len(granted.access_token) > LONGEST_TOKEN or not _TOKEN.fullmatch(granted.access_token):
        return _UNUSABLE
    return granted


def _refusal(answer: OutboundResponse) -> TokenFailure:
    word = _error_word(answer.body)
    said = f" ({word})" if word in _KNOWN_ERRORS else ""
    is_busy = answer.status in (408, 429) or answer.status >= 500
    return TokenFailure(
        error=ErrorCode.THROTTLING if answer.status == 429 else ErrorCode.ERROR_FROM_TARGET,
        message=f"No token: the authorization endpoint answered with HTTP status {answer.status}{said}.",
        is_refusal=not is_busy,
    )


def _error_word(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Refused).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
