"""What a bus tells of its events, if its owner wants it to: the kinds of records, and how one is written.

Names and structure are the service's log schema (documented). Levels nest: a bus at TRACE writes everything,
one at ERROR only what went wrong, one at OFF nothing. `event_detail`, `target_input` and `target_properties`
are there only if the bus includes detail.
"""

from enum import StrEnum

import msgspec

from partnerbus.model.event import Event
from partnerbus.model.resources import Rule, Target

RECORD_BYTES = 1_048_576
"""No record is longer: whole fields are dropped until it is not (documented)."""

DROPPED_IN_ORDER = ("target_input", "target_properties", "target_response_body", "event_detail")


class BusLogLevel(StrEnum):
    """How much a bus writes."""

    OFF = "OFF"
    ERROR = "ERROR"
    INFO = "INFO"
    TRACE = "TRACE"


class BusLogType(StrEnum):
    """What a record tells of."""

    EVENT_RECEIPT = "EVENT_RECEIPT"
    EVENT_INGEST_SUCCESS = "EVENT_INGEST_SUCCESS"
    EVENT_INGEST_FAILURE = "EVENT_INGEST_FAILURE"
    RULE_MATCH_START = "RULE_MATCH_START"
    RULE_MATCH = "RULE_MATCH"
    NO_STANDARD_RULES_MATCHED = "NO_STANDARD_RULES_MATCHED"
    INVOCATION_START = "INVOCATION_START"
    INVOCATION_ATTEMPT_START = "INVOCATION_ATTEMPT_START"
    INVOCATION_THROTTLE_START = "INVOCATION_THROTTLE_START"
    INVOCATION_ATTEMPT_SUCCESS = "INVOCATION_ATTEMPT_SUCCESS"
    INVOCATION_ATTEMPT_RETRYABLE_FAILURE = "INVOCATION_ATTEMPT_RETRYABLE_FAILURE"
    INVOCATION_ATTEMPT_PERMANENT_FAILURE = "INVOCATION_ATTEMPT_PERMANENT_FAILURE"
    INVOCATION_ATTEMPT_THROTTLE = "INVOCATION_ATTEMPT_THROTTLE"
    INVOCATION_SUCCESS = "INVOCATION_SUCCESS"
    INVOCATION_FAILURE = "INVOCATION_FAILURE"
    INVOCATION_DLQ = "INVOCATION_DLQ"


_FROM_INFO_ON = (
    BusLogType.EVENT_INGEST_SUCCESS,
    BusLogType.RULE_MATCH,
    BusLogType.NO_STANDARD_RULES_MATCHED,
    BusLogType.INVOCATION_START,
    BusLogType.INVOCATION_SUCCESS,
)
_AT_TRACE_ONLY = (
    BusLogType.EVENT_RECEIPT,
    BusLogType.RULE_MATCH_START,
    BusLogType.INVOCATION_ATTEMPT_START,
    BusLogType.INVOCATION_ATTEMPT_SUCCESS,
)

LEVELS: dict[BusLogType, BusLogLevel] = {
    **dict.fromkeys(BusLogType, BusLogLevel.ERROR),
    **dict.fromkeys(_FROM_INFO_ON, BusLogLevel.INFO),
    **dict.fromkeys(_AT_TRACE_ONLY, BusLogLevel.TRACE),
}
"""The level of each kind of record (documented)."""

_NESTED = tuple(BusLogLevel)

WRITTEN: dict[BusLogLevel, frozenset[BusLogType]] = {
    level: frozenset(kind for kind in BusLogType if _NESTED.index(LEVELS[kind]) <= _NESTED.index(level))
    for level in BusLogLevel
}
"""What a bus at each level writes."""


class BusLogError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong, and in which service (named as ARNs name it)."""

    error_message: str
    aws_service: str
    http_status_code: int | None = None


class BusLogDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a record tells. Each kind has the members of its group; durations are whole milliseconds."""

    # The event.
    caller_account_id: str | None = None
    source_time_ms: int | None = None
    source: str | None = None
    detail_type: str | None = None
    resources: tuple[str, ...] | None = None
    event_detail: str | None = None
    # The rule, and what it owes the event to.
    rule_arn: str | None = None
    target_arns: tuple[str, ...] | None = None
    invocation_ids: tuple[str, ...] | None = None
    # The target, and one attempt.
    role_arn: str | None = None
    target_arn: str | None = None
    attempt_type: str | None = None
    attempt_count: int | None = None
    invocation_status: str | None = None
    # How the delivery ended.
    total_attempts: int | None = None
    final_invocation_status: str | None = None
    ingestion_to_start_latency_ms: int | None = None
    ingestion_to_complete_latency_ms: int | None = None
    ingestion_to_success_latency_ms: int | None = None
    target_duration_ms: int | None = None
    target_input: str | None = None
    target_properties: dict[str, msgspec.Raw] | None = None
    target_response_body: str | None = None


class BusLogRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a bus's log."""

    resource_arn: str
    event_bus_name: str
    message_timestamp_ms: int
    message_type: BusLogType
    log_level: BusLogLevel
    request_id: str | None = None
    event_id: str | None = None
    invocation_id: str | None = None
    details: BusLogDetails | None = None
    error: BusLogError | None = None
    dropped_fields: tuple[str, ...] = ()


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(BusLogRecord).decode


def encode_record(record: BusLogRecord) -> bytes:
    """The record as a line of JSON (without its end), cut to what a record may be."""
    line = _encode(record)
    for name in (*DROPPED_IN_ORDER, "details"):
        if len(line) <= RECORD_BYTES:
            break
        record = _without(record, name)
        line = _encode(record)
    return line


def decode_record(line: bytes) -> BusLogRecord | None:
    """The record of a line; None if it is none, such as one that a crash has cut."""
    try:
        return _decode(line)
    except msgspec.MsgspecError:
        return None


def _without(record: BusLogRecord, name: str) -> BusLogRecord:
    dropped = (*record.dropped_fields, name)
    if name == "details":  # even the names of an event's resources can be too many
        return msgspec.structs.replace(record, details=None, dropped_fields=dropped)
    if record.details is None or getattr(record.details, name) is None:
        return record
    details = msgspec.structs.replace(record.details, **{name: None})
    return msgspec.structs.replace(record, details=details, dropped_fields=dropped)


def event_details(event: Event, source_time_ms: int, *, is_full: bool) -> BusLogDetails:
    """What records about an event tell. The caller is the account whose event it is."""
    return BusLogDetails(
        caller_account_id=event.account,
        source_time_ms=source_time_ms,
        source=event.source,
        detail_type=event.detail_type,
        resources=event.resources,
        event_detail=event.detail.decode(errors="replace") if is_full else None,
    )


NOT_PROPERTIES = frozenset({"InputTransformer", "RetryPolicy", "DeadLetterConfig"})
"""Structures of a target that say nothing of how it is called."""


def target_details(rule: Rule, target: Target, payload: bytes | None, *, is_full: bool) -> BusLogDetails:
    """What records about a delivery have in common. Nothing of a connection is in them."""
    properties = {
        name: msgspec.Raw(text.encode())
        for name, text in (target.parameters.items() if is_full else ())
        if name not in NOT_PROPERTIES
    }
    return BusLogDetails(
        rule_arn=rule.arn,
        role_arn=target.role_arn or rule.role_arn,
        target_arn=target.arn,
        target_input=payload.decode(errors="replace") if is_full and payload is not None else None,
        target_properties=properties or None,
    )
