"""What an HTTP target's answer means for a delivery, and how much of it is kept for people to read."""

import base64
import json
import re
import zlib
from collections.abc import Collection, Iterable
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote, quote_plus

from partnerbus.kernel.clock import Clock
from partnerbus.model.reply import BODY_HEAD_BYTES, ErrorCode, Reply
from partnerbus.targets.authorization import HIDDEN
from partnerbus.targets.outbound import BODY_LIMIT_BYTES, OutboundResponse

RETRIED_STATUSES = frozenset({401, 407, 409, 429})
"""Besides 5xx (documented)."""

_SECONDS = re.compile(r"([+-]?)0*([0-9]+)", re.ASCII)
_MOST_DIGITS = 9
"""More seconds than these (31 years) are as good as any number: no event is retried for so long."""


def judge(answer: OutboundResponse, who: str, clock: Clock, secrets: Collection[str] = ()) -> Reply:
    """The reply of `who` answered; no text of `secrets` that was sent back is kept."""
    head = _body_head(answer, secrets)
    if 200 <= answer.status < 300:
        return Reply(status=answer.status, body_head=head)
    return Reply(
        error=ErrorCode.THROTTLING if answer.status == 429 else ErrorCode.ERROR_FROM_TARGET,
        message=f"{who} answered with HTTP status {answer.status}.",
        retryable=answer.status in RETRIED_STATUSES or answer.status >= 500,
        status=answer.status,
        retry_after=_retry_after(answer.headers.get("retry-after"), clock),
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
    body = _readable(answer)
    text = body.decode("utf-8", "replace")
    # No spelling is shorter than its secret, so a short answer holds none of the long ones.
    spellings = {
        spelling for secret in secrets if len(secret) <= len(text) for spelling in _spellings(secret)
    }
    for spelling in sorted(spellings, key=len, reverse=True):
        text = text.replace(spelling, HIDDEN)
    if max(len(body), len(answer.body)) >= BODY_LIMIT_BYTES:  # cut, perhaps within a secret
        text = text[: max(0, len(text) - max(map(len, spellings), default=0))]
    return text.encode()[:BODY_HEAD_BYTES].decode("utf-8", "ignore")


def _readable(answer: OutboundResponse) -> bytes:
    """The body, unpacked if it is compressed; never more of it than is read of one that is not."""
    if answer.headers.get("content-encoding", "").lower() not in ("gzip", "deflate"):
        return answer.body
    try:
        return zlib.decompressobj(wbits=47).decompress(answer.body, BODY_LIMIT_BYTES)
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
