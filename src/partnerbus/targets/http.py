"""API destinations: HTTP endpoints with a connection that says how to authorize."""

import base64
import json
import re
import zlib
from collections.abc import Iterable
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote, quote_plus

import msgspec

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.secrets import SecretBox
from partnerbus.model.paths import EventDocument
from partnerbus.model.reply import BODY_HEAD_BYTES, ErrorCode, Reply
from partnerbus.model.resources import (
    ApiDestination,
    AuthorizationType,
    Connection,
    ConnectionParameter,
    HttpParameters,
    Rule,
    Target,
)
from partnerbus.targets.http_request import BadRequest, RequestParts, build_request
from partnerbus.targets.invoker import Invocation, Lookup
from partnerbus.targets.outbound import Outbound, OutboundFailure, OutboundResponse, failure_reply

RETRIED_STATUSES = frozenset({401, 407, 409, 429})
"""Besides 5xx (documented)."""

AUTHORIZED = "AUTHORIZED"
"""The state of a connection that can be used."""

HIDDEN = "***"

_SECONDS = re.compile(r"([+-]?)0*([0-9]+)", re.ASCII)
_MOST_DIGITS = 9
"""More seconds than these (31 years) are as good as any number: no event is retried for so long."""


class HttpInvoker:
    """Sends a target's input to its API destination."""

    kind = "http"

    def __init__(self, lookup: Lookup, secrets: SecretBox, outbound: Outbound, clock: Clock) -> None:
        self._lookup = lookup
        self._secrets = secrets
        self._outbound = outbound
        self._clock = clock

    def refusal(self, target: Target, rule: Rule) -> str | None:
        """The destination must exist when a target names it.

        It carries its owner's credentials: rules of others may not use it, nor learn whether it exists.
        """
        found = self._lookup.api_destination_by_arn(target.arn)
        if found is None or (found.account, found.region) != (rule.account, rule.region):
            return "The API destination does not exist."
        return None

    async def invoke(self, invocation: Invocation) -> Reply:
        """Make the request and judge the answer."""
        destination = self._lookup.api_destination_by_arn(invocation.target.arn)
        if destination is None:
            return Reply(error=ErrorCode.NO_RESOURCE, message="The API destination does not exist.")
        if destination.account != invocation.rule.account:
            return Reply(
                error=ErrorCode.NO_PERMISSIONS, message="The API destination belongs to another account."
            )
        connection = self._lookup.connection_by_arn(destination.connection_arn)
        if connection is None or not _is_usable(connection, destination):
            return Reply(
                error=ErrorCode.NO_RESOURCE,
                message="The API destination is inactive: its connection is gone or not authorized.",
            )
        try:
            return await self._send(invocation, destination, self._open(connection))
        except BadRequest as error:
            return Reply(error=ErrorCode.INVALID_PARAMETER, message=str(error))
        except ConfigurationError as error:
            return Reply(error=ErrorCode.INTERNAL_ERROR, message=str(error), retryable=True)

    async def _send(
        self, invocation: Invocation, destination: ApiDestination, opened: "_OpenConnection"
    ) -> Reply:
        parts = RequestParts(
            method=destination.method,
            url=destination.url,
            payload=invocation.payload,
            target=invocation.target.http or HttpParameters(),
            parameters=opened.parameters,
            authorization=opened.authorization,
        )
        request = build_request(parts, EventDocument(invocation.record.event))
        answer = await self._outbound.send(request)
        if isinstance(answer, OutboundFailure):
            return failure_reply(answer)
        return self._judge(answer, opened)

    def _judge(self, answer: OutboundResponse, opened: "_OpenConnection") -> Reply:
        head = _body_head(answer, opened.secrets)
        if 200 <= answer.status < 300:
            return Reply(status=answer.status, body_head=head)
        return Reply(
            error=ErrorCode.THROTTLING if answer.status == 429 else ErrorCode.ERROR_FROM_TARGET,
            message=f"The API destination answered with HTTP status {answer.status}.",
            retryable=answer.status in RETRIED_STATUSES or answer.status >= 500,
            status=answer.status,
            retry_after=_retry_after(answer.headers.get("retry-after"), self._clock),
            body_head=head,
        )

    def _open(self, connection: Connection) -> "_OpenConnection":
        """The connection with its secrets opened, for one request."""
        secret = self._secrets.open(connection.sealed_secret)
        parameters = tuple(self._open_parameter(parameter) for parameter in connection.parameters)
        hidden = [parameter.value for parameter in parameters if parameter.is_secret]
        if connection.authorization is AuthorizationType.BASIC:
            token = base64.b64encode(f"{connection.user}:{secret}".encode()).decode()
            authorization = ("Authorization", f"Basic {token}")
            hidden.append(token)
        else:
            authorization = (connection.user, secret)
        return _OpenConnection(authorization, parameters, (secret, *hidden))

    def _open_parameter(self, parameter: ConnectionParameter) -> ConnectionParameter:
        if not parameter.is_secret:
            return parameter
        return msgspec.structs.replace(parameter, value=self._secrets.open(parameter.value))


class _OpenConnection(msgspec.Struct, frozen=True):
    """Lives for one request only; `secrets` are the texts that must not be seen in a reply."""

    authorization: tuple[str, str]
    parameters: tuple[ConnectionParameter, ...]
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"_OpenConnection({HIDDEN})"


def _is_usable(connection: Connection, destination: ApiDestination) -> bool:
    return (
        connection.account == destination.account
        and connection.state == AUTHORIZED
        and connection.authorization is not AuthorizationType.OAUTH_CLIENT_CREDENTIALS
    )


def _retry_after(text: str | None, clock: Clock) -> timedelta | None:
    """Seconds (negative ones mean: do not try again) or a date; None if it says neither."""
    if text is None:
        return None
    if seconds := _SECONDS.fullmatch(text.strip()):
        sign, digits = seconds.groups()
        return timedelta(seconds=int(sign + (digits if len(digits) <= _MOST_DIGITS else "9" * _MOST_DIGITS)))
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError, TypeError):
        return None
    instant = date.replace(tzinfo=UTC) if date.tzinfo is None else date
    return max(timedelta(0), instant - clock.now())


def _body_head(answer: OutboundResponse, secrets: Iterable[str]) -> str:
    """The first of an answer's text, with every secret hidden that the target may have sent back."""
    if not answer.body:
        return ""
    text = _readable(answer).decode("utf-8", "replace")
    # No spelling is shorter than its secret, so a short answer holds none of the long ones.
    spellings = {
        spelling for secret in secrets if len(secret) <= len(text) for spelling in _spellings(secret)
    }
    for spelling in sorted(spellings, key=len, reverse=True):
        text = text.replace(spelling, HIDDEN)
    return text.encode()[:BODY_HEAD_BYTES].decode("utf-8", "ignore")


def _readable(answer: OutboundResponse) -> bytes:
    """The body, unpacked if it is compressed; never more of it than was read."""
    if answer.headers.get("content-encoding", "").lower() not in ("gzip", "deflate"):
        return answer.body
    try:
        return zlib.decompressobj(wbits=47).decompress(
            answer.body, max(len(answer.body), BODY_HEAD_BYTES * 4)
        )
    except zlib.error:
        return answer.body


def _spellings(secret: str) -> set[str]:
    """How a secret may come back: as it is, in JSON, in a URL, in base64."""
    in_json = json.dumps(secret)[1:-1]
    in_json_unicode = json.dumps(secret, ensure_ascii=False)[1:-1]
    encoded = base64.b64encode(secret.encode()).decode()
    spelled = {
        secret,
        in_json,
        in_json_unicode,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        encoded,
    }
    return {text for text in spelled if text}
