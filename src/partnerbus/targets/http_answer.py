"""What an HTTP target's answer means for a delivery, and how much of it is kept for people to read."""

import re
import zlib
from collections.abc import Collection
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime

from partnerbus.kernel.clock import Clock
from partnerbus.model.reply import BODY_HEAD_BYTES, ErrorCode, Reply
from partnerbus.targets.hiding import Hider
from partnerbus.targets.outbound import BODY_LIMIT_BYTES, OutboundResponse

RETRIED_STATUSES = frozenset({401, 407, 409, 429})
"""Besides 5xx (documented)."""

_SECONDS = re.compile(r"([+-]?)0*([0-9]+)", re.ASCII)
_MOST_DIGITS = 9
"""More seconds than these (31 years) are as good as any number: no event is retried for so long."""


def judge(answer: OutboundResponse, who: str, clock: Clock, secrets: Collection[str] = ()) -> Reply:
    """The reply of `who` answered; no text of `secrets` that was sent back is kept."""
    head = readable_head(answer, Hider(secrets), BODY_HEAD_BYTES) if answer.body else ""
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


def readable_head(answer: OutboundResponse, hider: Hider, most: int) -> str:
    """The first `most` bytes of an answer's text, unpacked, with no secret that the target has sent back."""
    if not answer.body:
        return ""
    body = _readable(answer)
    is_cut = max(len(body), len(answer.body)) >= BODY_LIMIT_BYTES
    text = hider.hide(body.decode("utf-8", "replace"), is_cut=is_cut)
    return text.encode()[:most].decode("utf-8", "ignore")


def _readable(answer: OutboundResponse) -> bytes:
    """The body, unpacked if it is compressed; never more of it than is read of one that is not."""
    if answer.headers.get("content-encoding", "").lower() not in ("gzip", "deflate"):
        return answer.body
    try:
        return zlib.decompressobj(wbits=47).decompress(answer.body, BODY_LIMIT_BYTES)
    except zlib.error:
        return answer.body
