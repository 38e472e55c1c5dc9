"""API destinations: HTTP endpoints with a connection that says how to authorize."""

import base64
import json
import re
import zlib
from collections.abc import Iterable
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote, quote_plus

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import ConfigurationError
from partnerbus.model.paths import EventDocument
from partnerbus.model.reply import BODY_HEAD_BYTES, ErrorCode, Reply
from partnerbus.model.resources import (
    ApiDestination,
    HttpParameters,
    Rule,
    Target,
)
from partnerbus.targets.authorization import HIDDEN, OpenConnection, Opener
from partnerbus.targets.http_request import BadRequest, RequestParts, build_request
from partnerbus.targets.invoker import Invocation, Lookup
from partnerbus.targets.outbound import Outbound, OutboundFailure, OutboundResponse, failure_reply
from partnerbus.targets.tokens import TokenFailure

RETRIED_STATUSES = frozenset({401, 407, 409, 429})
"""Besides 5xx (documented)."""

INACTIVE = "The API destination is inactive: its connection is gone or was deauthorized."

_SECONDS = re.compile(r"([+-]?)0*([0-9]+)", re.ASCII)
_MOST_DIGITS = 9
"""More seconds than these (31 years) are as good as any number: no event is retried for so long."""


class HttpInvoker:
    """Sends a target's input to its API destination."""

    kind = "http"

    def __init__(self, lookup: Lookup, opener: Opener, outbound: Outbound, clock: Clock) -> None:
        self._lookup = lookup
        self._opener = opener
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
        try:
            opened = await self._open(destination)
            if isinstance(opened, Reply):
                return opened
            return await self._send(invocation, destination, opened)
        except BadRequest as error:
            return Reply(error=ErrorCode.INVALID_PARAMETER, message=str(error))
        except ConfigurationError as error:
            return Reply(error=ErrorCode.INTERNAL_ERROR, message=str(error), retryable=True)

    async def _open(self, destination: ApiDestination) -> OpenConnection | Reply:
        """The destination's connection, or the end of the attempt.

        An OAuth connection whose last exchange failed is tried again: it may have been mended.
        """
        connection = self._lookup.connection_by_arn(destination.connection_arn)
        if connection is None or connection.account != destination.account or not connection.has_credentials:
            return Reply(error=ErrorCode.NO_RESOURCE, message=INACTIVE)
        opened = await self._opener.open(connection)
        if isinstance(opened, TokenFailure):
            return Reply(error=opened.error, message=opened.message, retryable=opened.retryable)
        return opened

    async def _send(
        self, invocation: Invocation, destination: ApiDestination, opened: OpenConnection
    ) -> Reply:
        parts = RequestParts(
            method=destination.method,
            url=destination.url,
            payload=invocation.payload,
            target=invocation.target.http or HttpParameters(),
            parameters=opened.parameters,
            authorization=opened.authorization,
            tls=opened.tls,
        )
        request = build_request(parts, EventDocument(invocation.record.event))
        answer = await self._outbound.send(request)
        if isinstance(answer, OutboundFailure):
            return failure_reply(answer)
        self._opener.judge(opened, answer.status)
        return self._judge(answer, opened)

    def _judge(self, answer: OutboundResponse, opened: OpenConnection) -> Reply:
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
