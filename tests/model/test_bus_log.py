"""The records of a bus's log: which level writes what, and how long one may be."""

import msgspec
import pytest

from partnerbus.model.bus_log import (
    LEVELS,
    RECORD_BYTES,
    WRITTEN,
    BusLogDetails,
    BusLogLevel,
    BusLogRecord,
    BusLogType,
    decode_record,
    encode_record,
)

DOCUMENTED = """
EVENT_INGEST_SUCCESS INFO
EVENT_INGEST_FAILURE ERROR
EVENT_RECEIPT TRACE
RULE_MATCH_START TRACE
RULE_MATCH INFO
NO_STANDARD_RULES_MATCHED INFO
INVOCATION_START INFO
INVOCATION_ATTEMPT_START TRACE
INVOCATION_THROTTLE_START ERROR
INVOCATION_ATTEMPT_SUCCESS TRACE
INVOCATION_ATTEMPT_RETRYABLE_FAILURE ERROR
INVOCATION_ATTEMPT_PERMANENT_FAILURE ERROR
INVOCATION_ATTEMPT_THROTTLE ERROR
INVOCATION_SUCCESS INFO
INVOCATION_FAILURE ERROR
INVOCATION_DLQ ERROR
"""


def test_the_levels_are_the_documented_ones() -> None:
    documented = dict(line.split() for line in DOCUMENTED.split("\n") if line)
    assert {kind.value: level.value for kind, level in LEVELS.items()} == documented


def test_levels_nest() -> None:
    assert WRITTEN[BusLogLevel.OFF] == frozenset()
    assert WRITTEN[BusLogLevel.ERROR] < WRITTEN[BusLogLevel.INFO] < WRITTEN[BusLogLevel.TRACE]
    assert WRITTEN[BusLogLevel.TRACE] == frozenset(BusLogType)


def record(**details: object) -> BusLogRecord:
    return BusLogRecord(
        resource_arn="arn:aws:events:us-east-1:111122223333:event-bus/orders",
        event_bus_name="orders",
        message_timestamp_ms=1,
        message_type=BusLogType.INVOCATION_FAILURE,
        log_level=BusLogLevel.ERROR,
        details=msgspec.json.decode(msgspec.json.encode(details), type=BusLogDetails),
    )


LONG = "x" * 500_000


@pytest.mark.parametrize(
    ("details", "left", "dropped"),
    [
        ({"target_input": LONG}, {"target_input"}, ()),
        (
            {"target_input": LONG, "target_response_body": LONG, "target_properties": {"a": LONG}},
            {"target_properties", "target_response_body"},
            ("target_input",),
        ),
        (
            {"target_input": "x", "target_response_body": LONG * 3, "rule_arn": "r"},
            {"rule_arn"},
            ("target_input", "target_response_body"),
        ),
        ({"event_detail": LONG * 3, "source": "shop"}, {"source"}, ("event_detail",)),
        ({"resources": [LONG] * 3, "event_detail": "x"}, None, ("event_detail", "details")),
    ],
)
def test_a_long_record_loses_whole_fields_in_the_documented_order(
    details: dict[str, object], left: set[str] | None, dropped: tuple[str, ...]
) -> None:
    line = encode_record(record(**details))
    assert len(line) <= RECORD_BYTES
    found = msgspec.json.decode(line)
    assert tuple(found.get("dropped_fields", ())) == dropped
    assert (set(found["details"]) if "details" in found else None) == left


def test_exactly_the_limit_is_kept() -> None:
    spare = RECORD_BYTES - len(encode_record(record(target_input="x")))
    longest = encode_record(record(target_input="x" * (spare + 1)))
    assert len(longest) == RECORD_BYTES
    assert b"dropped_fields" not in longest
    assert b"dropped_fields" in encode_record(record(target_input="x" * (spare + 2)))


def test_a_line_that_is_cut_is_no_record() -> None:
    line = encode_record(record(source="shop"))
    assert decode_record(line) == record(source="shop")
    assert all(decode_record(line[:end]) is None for end in range(len(line)))
