"""What buses write of their events: at each level, of each way that a delivery can go."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest

from partnerbus.kernel.errors import PartnerbusError
from partnerbus.kernel.failpoints import Failpoint
from partnerbus.model.bus_log import WRITTEN, BusLogLevel, BusLogRecord, BusLogType
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.resources import EventBus, LogConfig
from tests.engine.world import REFUSED, UNAVAILABLE, Parts, World, new_target, retries, sink

THROTTLED = Reply(error=ErrorCode.THROTTLING, message="429", retryable=True, status=429)
LEVELS = tuple(BusLogLevel)
SECOND = timedelta(seconds=1)


async def logging_bus(world: World, level: str | None = "TRACE", detail: str | None = None) -> EventBus:
    bus = await world.bus()
    return await configure(world, bus, LogConfig(level=level, include_detail=detail))


async def configure(world: World, bus: EventBus, config: LogConfig | None) -> EventBus:
    changed = msgspec.structs.replace(bus, log_config=config)
    await world.catalog.replace(bus, changed)
    return changed


def kinds(records: Sequence[BusLogRecord]) -> list[str]:
    return [record.message_type.value for record in records]


def without_none(details: msgspec.Struct | None) -> dict[str, object]:
    found: dict[str, object] = msgspec.json.decode(msgspec.json.encode(details))
    return found


async def test_an_event_that_is_delivered(world: World) -> None:
    bus = await logging_bus(world)
    target = new_target(sink("a"), role_arn="arn:aws:iam::111122223333:role/r")
    rule = await world.rule(bus, target)
    (record,) = await world.put(bus, resources=("r",))
    await world.engine.idle()
    records = world.bus_log()
    assert kinds(records) == [
        "EVENT_RECEIPT",
        "EVENT_INGEST_SUCCESS",
        "RULE_MATCH_START",
        "RULE_MATCH",
        "INVOCATION_START",
        "INVOCATION_ATTEMPT_START",
        "INVOCATION_ATTEMPT_SUCCESS",
        "INVOCATION_SUCCESS",
    ]
    for found in records:
        assert (found.resource_arn, found.event_bus_name) == (bus.arn, "orders")
        assert found.event_id == record.event.id
        assert found.message_timestamp_ms == world.clock.now().timestamp() * 1_000
        assert found.error is None
    delivery = f"{target.subscription}-{record.position}"
    assert [found.invocation_id for found in records] == [None] * 4 + [delivery] * 4
    assert without_none(records[0].details) == {
        "caller_account_id": "111122223333",
        "source_time_ms": 1_767_225_600_000,
        "source": "shop",
        "detail_type": "Order Placed",
        "resources": ["r"],
    }
    assert without_none(records[3].details) == {
        "rule_arn": rule.arn,
        "target_arns": [target.arn],
        "invocation_ids": [delivery],
    }
    of_target = {"rule_arn": rule.arn, "role_arn": target.role_arn, "target_arn": target.arn}
    assert without_none(records[4].details) == {**of_target, "attempt_count": 1}
    attempt = without_none(records[6].details)
    assert attempt.pop("target_duration_ms") in range(60_000)
    assert attempt == {
        **of_target,
        "attempt_type": "FIRST",
        "attempt_count": 1,
        "invocation_status": "SUCCESS",
    }
    end = without_none(records[7].details)
    assert end.pop("target_duration_ms") in range(60_000)
    assert end == {
        **of_target,
        "total_attempts": 1,
        "final_invocation_status": "SUCCESS",
        "ingestion_to_start_latency_ms": 0,
        "ingestion_to_complete_latency_ms": 0,
        "ingestion_to_success_latency_ms": 0,
    }


async def everything(world: World, bus: EventBus) -> None:
    """A delivery of each kind, and an event that nobody wants."""
    await world.rule(bus, new_target(sink("good"), retry=retries(0)), name="good")
    failing = new_target(sink("failing"), retry=retries(1), dead_letter_arn=sink("dead"))
    await world.rule(bus, failing, name="failing")
    await world.rule(bus, new_target(sink("refusing")), name="refusing")
    await world.rule(bus, new_target(sink("busy")), name="busy")
    world.targets.answers[sink("failing")] = [UNAVAILABLE]
    world.targets.answers[sink("refusing")] = [REFUSED]
    world.targets.answers[sink("busy")] = [THROTTLED, Reply()]
    await world.put(bus)
    await world.engine.idle()
    for rule in world.rules:
        await world.change(rule, pattern='{"source": ["somebody else"]}')
    await world.advance(timedelta(minutes=10))
    await world.put(bus)
    await world.engine.idle()


@pytest.mark.parametrize("level", LEVELS)
async def test_a_level_writes_its_kinds_and_no_others(world: World, level: BusLogLevel) -> None:
    bus = await logging_bus(world, level)
    await everything(world, bus)
    records = world.bus_log()
    not_here = {BusLogType.EVENT_INGEST_FAILURE}
    assert {record.message_type for record in records} == WRITTEN[level] - not_here
    ends = [kind for kind in kinds(records) if kind in ("INVOCATION_SUCCESS", "INVOCATION_FAILURE")]
    if level in (BusLogLevel.INFO, BusLogLevel.TRACE):
        assert sorted(ends) == ["INVOCATION_FAILURE"] * 2 + ["INVOCATION_SUCCESS"] * 2


async def test_what_went_wrong_is_told_in_order(world: World) -> None:
    bus = await logging_bus(world, "ERROR")
    target = new_target(sink("failing"), retry=retries(1), dead_letter_arn=sink("dead"))
    await world.rule(bus, target)
    world.targets.answers[target.arn] = [THROTTLED, UNAVAILABLE]
    await world.put(bus)
    await world.advance(timedelta(minutes=1))
    records = world.bus_log()
    assert kinds(records) == [
        "INVOCATION_ATTEMPT_THROTTLE",
        "INVOCATION_THROTTLE_START",
        "INVOCATION_ATTEMPT_RETRYABLE_FAILURE",
        "INVOCATION_FAILURE",
        "INVOCATION_DLQ",
    ]
    first, _, second, end, dlq = records
    assert (first.details and first.details.attempt_type, second.details and second.details.attempt_type) == (
        "FIRST",
        "RETRY",
    )
    assert first.error is not None
    assert without_none(first.error) == {
        "error_message": "429",
        "aws_service": "sqs",
        "http_status_code": 429,
    }
    assert end.details is not None
    assert (end.details.total_attempts, end.details.final_invocation_status) == (2, "ERROR_FROM_TARGET")
    assert end.details.ingestion_to_success_latency_ms is None
    assert end.details == dlq.details


async def test_a_failure_without_an_attempt(world: World) -> None:
    bus = await logging_bus(world, "TRACE")
    broken = new_target(input_path="$.detail.nothing")
    await world.rule(bus, broken)
    await world.put(bus)
    await world.engine.idle()
    records = world.bus_log()
    assert kinds(records)[4:] == ["INVOCATION_FAILURE"]
    details = records[-1].details
    assert details is not None
    assert (details.total_attempts, details.final_invocation_status) == (0, "INVALID_JSON")


async def test_the_latencies_of_a_late_success(world: World) -> None:
    bus = await logging_bus(world, "INFO")
    target = new_target()
    await world.rule(bus, target)
    world.targets.answers[target.arn] = [UNAVAILABLE, Reply()]
    await world.put(bus)
    await world.advance(timedelta(minutes=1))
    details = world.bus_log()[-1].details
    assert details is not None
    assert details.total_attempts == 2
    assert details.ingestion_to_success_latency_ms in range(1_001)
    assert (details.ingestion_to_start_latency_ms, details.ingestion_to_complete_latency_ms) == (None, None)


async def test_detail_is_there_only_if_it_is_wanted(world: World) -> None:
    bus = await logging_bus(world, "TRACE", "FULL")
    parameters = {
        "SqsParameters": '{"MessageGroupId":"g"}',
        "InputTransformer": '{"InputTemplate":"\\"<x>\\""}',
    }
    transformer = {"template": '{"n": <n>}', "paths": {"n": "$.detail.n"}}
    target = new_target(input_transformer=transformer, parameters=parameters)
    await world.rule(bus, target)
    await world.put(bus, detail=b'{"n":1.0,"secret":"sesame"}')
    await world.engine.idle()
    full = world.bus_log()
    of_event, of_delivery = full[0].details, full[-1].details
    assert of_event is not None
    assert of_delivery is not None
    assert of_event.event_detail == '{"n":1.0,"secret":"sesame"}'
    assert of_delivery.target_input == '{"n": 1.0}'
    assert without_none(of_delivery)["target_properties"] == {"SqsParameters": {"MessageGroupId": "g"}}
    for detail in ("NONE", None):
        bus = await configure(world, bus, LogConfig(level="TRACE", include_detail=detail))
        await world.put(bus, detail=b'{"n":1.0,"secret":"sesame"}')
        await world.engine.idle()
        for record in world.bus_log():
            told = msgspec.json.encode(record)
            assert b"sesame" not in told
            assert b"target_input" not in told
            assert b"target_properties" not in told


async def test_managed_rules_are_not_told_of(world: World) -> None:
    bus = await logging_bus(world, "TRACE")
    rule = await world.rule(bus, new_target(), name="archive")
    await world.change(rule, managed_by="prod.vhs.events.aws.internal")
    await world.put(bus)
    await world.engine.idle()
    assert kinds(world.bus_log())[2:] == ["RULE_MATCH_START", "NO_STANDARD_RULES_MATCHED"]
    await world.rule(bus, new_target(), new_target(), name="standard")
    await world.put(bus)
    await world.engine.idle()
    told = [record for record in world.bus_log() if record.message_type is BusLogType.RULE_MATCH]
    assert [record.details and len(record.details.target_arns or ()) for record in told] == [2]


async def test_an_event_that_cannot_be_stored(parts: Parts) -> None:
    parts.fail_at(Failpoint.APPEND_BEFORE_COMMIT)
    async with parts.open() as world:
        bus = await logging_bus(world, "TRACE", "FULL")
        with pytest.raises(PartnerbusError):
            await world.put(bus, detail=b'{"n":1}')
        receipt, failure = world.bus_log()
        assert kinds([receipt, failure]) == ["EVENT_RECEIPT", "EVENT_INGEST_FAILURE"]
        assert failure.error is not None
        assert failure.error.aws_service == "events"
        assert failure.details is not None
        assert failure.details.event_detail == '{"n":1}'


async def test_the_config_counts_from_the_moment_it_is_changed(world: World) -> None:
    bus = await world.bus()
    await world.rule(bus, new_target())
    for config, count in (
        (None, 0),
        (LogConfig(), 0),
        (LogConfig(include_detail="FULL"), 0),
        (LogConfig(level="OFF"), 0),
        (LogConfig(level="INFO"), 4),
        (LogConfig(level="TRACE"), 8),
        (LogConfig(level="ERROR"), 0),
        (None, 0),
    ):
        bus = await configure(world, bus, config)
        await world.put(bus)
        await world.engine.idle()
        assert len(world.bus_log()) == count
    bus = await configure(world, bus, LogConfig(level="TRACE"))
    await world.catalog.remove(world.rules[0])
    await world.catalog.remove(bus)
    await world.put(bus)
    await world.engine.idle()
    assert world.bus_log() == []


async def test_what_was_configured_holds_after_a_restart(parts: Parts) -> None:
    async with parts.open() as world:
        bus = await logging_bus(world, "INFO")
    async with parts.open() as world:
        await world.put(bus)
        await world.engine.idle()
        assert kinds(world.bus_log()) == ["EVENT_INGEST_SUCCESS", "NO_STANDARD_RULES_MATCHED"]


async def test_buses_write_each_for_itself(world: World) -> None:
    loud = await logging_bus(world, "INFO")
    quiet = await world.bus("quiet")
    await world.put(loud)
    await world.put(quiet)
    await world.engine.idle()
    assert {record.event_bus_name for record in world.bus_log()} == {"orders"}
