"""What is written of an event for those who trace it: when it was routed, and each exchange with a target.

The words are ours. No secret is in here: whoever makes a line has hidden them.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from partnerbus.model.reply import ErrorCode

BODY_SHOWN_BYTES = 4_096
"""How much of a body is kept, on either side."""


class TraceLevel(StrEnum):
    """What is written: nothing, exchanges of attempts that failed, or all, and when events were routed."""

    OFF = "off"
    FAILURES = "failures"
    FULL = "full"


class Sent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was sent, its body cut. `method`, `url` and `headers` are there if it was an HTTP request."""

    method: str | None = None
    url: str | None = None
    headers: dict[str, str] = {}
    body: str = ""
    body_bytes: int = 0


class Answered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came back, its body cut. `headers` are there if it was an HTTP answer."""

    status: int | None = None
    headers: dict[str, str] = {}
    body: str = ""
    body_bytes: int = 0


class Exchange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="exchange"):
    """One attempt, as it went over the wire. `account` made the rule; `answered` may be None."""

    event_id: str
    delivery: str
    account: str
    rule_arn: str
    target_arn: str
    kind: str
    number: int
    started_at: datetime
    seconds: float
    sent: Sent
    answered: Answered | None = None
    error: ErrorCode | None = None
    message: str = ""


class RoutedEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="routed"):
    """When an event was routed, how many rules it matched, and the deliveries that it was owed as."""

    event_id: str
    account: str
    log: str
    position: int
    source: str
    detail_type: str
    stored_at: datetime
    routed_at: datetime
    rules: int = 0
    deliveries: tuple[str, ...] = ()


TraceLine = Exchange | RoutedEvent

_encode_lines = msgspec.json.Encoder().encode_lines
_decoder: msgspec.json.Decoder[TraceLine] = msgspec.json.Decoder(TraceLine)


def encode_lines(lines: Sequence[TraceLine]) -> bytes:
    """The lines, each with its end."""
    return _encode_lines(lines)


def decode_line(line: bytes) -> TraceLine | None:
    """What a line says; None if it is none, such as one that a crash has cut."""
    try:
        return _decoder.decode(line)
    except msgspec.MsgspecError:
        return None
