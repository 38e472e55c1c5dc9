"""CloudWatch Logs groups: each event becomes a log event in a stream of the rule and target.

Without a template the message is the whole event at the event's time; a template must make
`{"timestamp": …, "message": …}` (documented). The stream is made when the service does not find it.
"""

from datetime import UTC, datetime
from typing import cast

import msgspec

from partnerbus.model.arns import Arn
from partnerbus.model.paths import string_text
from partnerbus.model.reply import ACCEPTED, ErrorCode, Reply
from partnerbus.model.resources import Target
from partnerbus.model.transform import template_members
from partnerbus.targets.aws_errors import Output
from partnerbus.targets.aws_kind import Ask, AwsKind, Unusable, has_input
from partnerbus.targets.invoker import Invocation

MEMBERS = frozenset({"timestamp", "message"})

NO_INPUT = "Input and InputPath cannot be used with a log group; use an InputTransformer."
BAD_TEMPLATE = 'The InputTemplate of a log group must be {"timestamp": ..., "message": ...}.'
REJECTED = Reply(
    error=ErrorCode.EVENTS_IN_BATCH_REQUEST_REJECTED,
    message="CloudWatch Logs rejected the event: its time is too far in the past or the future.",
)


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
    return _call("PutLogEvents", invocation, arn, logEvents=[event])


def _create_log_stream(invocation: Invocation, arn: Arn) -> Ask:
    return _call("CreateLogStream", invocation, arn)


def _call(operation: str, invocation: Invocation, arn: Arn, **more: object) -> Ask:
    """A call about the stream of a rule's target: one name as long as the target is there (assumed)."""
    stream = f"{invocation.rule.name}/{invocation.target.subscription}"
    return Ask(
        operation=operation,
        parameters={
            "logGroupName": arn.resource.removeprefix("log-group:").removesuffix(":*"),
            "logStreamName": stream,
            **more,
        },
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


LOGS = AwsKind(
    name="logs",
    service="logs",
    resource=r"log-group:[A-Za-z0-9._/#-]{1,512}(:\*)?",
    form="log-group:NAME",
    refusal=_refusal,
    call=_put_log_events,
    judge=_judge,
    missing=_create_log_stream,
)
