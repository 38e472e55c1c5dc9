"""CloudWatch Logs groups: each event becomes a log event in a stream of the rule and target.

Without a template the message is the whole event at the event's time; a template must make
`{"timestamp": …, "message": …}` (documented). The stream is made when the service does not find it.
"""

from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias, cast

import msgspec

from partnerbus.model.arns import Arn
from partnerbus.model.paths import string_text
from partnerbus.model.reply import ACCEPTED, ErrorCode, Reply
from partnerbus.model.resources import Target
from partnerbus.model.template import template_members
from partnerbus.targets.aws_errors import Output
from partnerbus.targets.aws_kind import Ask, AwsKind, Batch, Unusable, has_input
from partnerbus.targets.gathering import CallLimits
from partnerbus.targets.invoker import Invocation

DAY_MILLISECONDS = 24 * 60 * 60 * 1_000
EVENT_OVERHEAD_BYTES = 26
"""What each event counts for besides its text (documented)."""

MEMBERS = frozenset({"timestamp", "message"})

NO_INPUT = "Input and InputPath cannot be used with a log group; use an InputTransformer."
BAD_TEMPLATE = 'The InputTemplate of a log group must be {"timestamp": ..., "message": ...}.'
REJECTED = Reply(
    error=ErrorCode.EVENTS_IN_BATCH_REQUEST_REJECTED,
    message="CloudWatch Logs rejected the event: its time is too far in the past or the future.",
)


_LogEvent: TypeAlias = Mapping[str, object]


class _Templated(msgspec.Struct):
    timestamp: object
    message: msgspec.Raw


_decode_templated = msgspec.json.Decoder(_Templated).decode


def _refusal(target: Target) -> str | None:
    if target.input is not None or target.input_path is not None:
        return NO_INPUT
    if target.input_transformer is None:
        return None
    return None if template_members(target.input_transformer) == MEMBERS else BAD_TEMPLATE


def _put_log_events(invocation: Invocation, arn: Arn) -> Ask:
    event = _templated(invocation) if has_input(invocation.target) else _untouched(invocation)
    return Ask(
        operation="PutLogEvents",
        parameters={
            "logGroupName": arn.resource.removeprefix("log-group:").removesuffix(":*"),
            # The name of a stream stays as long as the target is there (assumed).
            "logStreamName": f"{invocation.rule.name}/{invocation.target.subscription}",
            "logEvents": [event],
        },
    )


def _create_log_stream(ask: Ask) -> Ask:
    return Ask(
        operation="CreateLogStream",
        parameters={name: ask.parameters[name] for name in ("logGroupName", "logStreamName")},
    )


def _untouched(invocation: Invocation) -> dict[str, object]:
    return {
        "timestamp": _milliseconds(invocation.record.event.time),
        "message": invocation.payload.decode(),
    }


def _templated(invocation: Invocation) -> dict[str, object]:
    try:
        given = _decode_templated(invocation.payload)
    except (msgspec.DecodeError, RecursionError):
        raise Unusable(BAD_TEMPLATE) from None
    message = bytes(given.message)
    text = string_text(message) if message[:1] == b'"' else message.decode()
    return {"timestamp": _milliseconds(given.timestamp), "message": text}


def _milliseconds(instant: object) -> int:
    """Milliseconds since 1970, which may also be written as text; or an ISO 8601 time (assumed)."""
    if isinstance(instant, int) and not isinstance(instant, bool):
        return instant
    if isinstance(instant, str) and instant.isascii() and instant.isdecimal() and len(instant) <= 16:
        return int(instant)
    try:
        found = datetime.fromisoformat(cast(str, instant))
    except (TypeError, ValueError):
        raise Unusable("The timestamp is neither milliseconds since 1970 nor an ISO 8601 time.") from None
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000)


def _judge(output: Output) -> Reply:
    """An event outside of the times that the service takes is rejected in an answer that went well."""
    return REJECTED if output.get("rejectedLogEventsInfo") else ACCEPTED


# -- many events in one call -----------------------------------------------------------------------------


def _event(ask: Ask) -> _LogEvent:
    [event] = cast(Sequence[_LogEvent], ask.parameters["logEvents"])
    return event


def _instant(ask: Ask) -> int:
    return cast(int, _event(ask)["timestamp"])


def _stream_and_day(ask: Ask) -> Hashable:
    """The events of one call are of one stream and within 24 hours (documented)."""
    return ask.parameters["logStreamName"], _instant(ask) // DAY_MILLISECONDS


def _size(ask: Ask) -> int:
    return len(cast(str, _event(ask)["message"]).encode()) + EVENT_OVERHEAD_BYTES


def _in_order(asks: Sequence[Ask]) -> list[int]:
    """The places of the events of a call, which must be in order of time (documented)."""
    return sorted(range(len(asks)), key=lambda at: _instant(asks[at]))


def _put_many(asks: Sequence[Ask]) -> Ask:
    events = [_event(asks[at]) for at in _in_order(asks)]
    return msgspec.structs.replace(asks[0], parameters={**asks[0].parameters, "logEvents": events})


def _judge_many(output: Output, asks: Sequence[Ask]) -> Sequence[Reply]:
    """Rejected are those before the end of the too old and the expired, and from the first too new one on."""
    rejected = cast(Mapping[str, int], output.get("rejectedLogEventsInfo") or {})
    first = max(rejected.get("tooOldLogEventEndIndex", 0), rejected.get("expiredLogEventEndIndex", 0))
    last = rejected.get("tooNewLogEventStartIndex", len(asks))
    replies = [ACCEPTED] * len(asks)
    for rank, at in enumerate(_in_order(asks)):
        if not first <= rank < last:
            replies[at] = REJECTED
    return replies


LOGS = AwsKind(
    name="logs",
    service="logs",
    resource=r"log-group:[A-Za-z0-9._/#-]{1,512}(:\*)?",
    form="log-group:NAME",
    refusal=_refusal,
    call=_put_log_events,
    judge=_judge,
    missing=_create_log_stream,
    batch=Batch(
        limits=CallLimits(entries=10_000, size_bytes=1_048_576),
        size=_size,
        group=_stream_and_day,
        combine=_put_many,
        judge=_judge_many,
    ),
)
