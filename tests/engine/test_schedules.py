"""Schedules from a due minute to a settled delivery, on a real store, over restarts."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoint
from partnerbus.model.delivery import DeliveryState, NewRecord
from partnerbus.model.event import event_time
from partnerbus.model.resources import EventBus, Rule, RuleState, Target
from partnerbus.model.schedule import scheduled_event
from tests.engine.world import ACCOUNT, EVERYTHING, REGION, UNAVAILABLE, Parts, World, new_target, sink

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)  # where the clock stands at first; a Thursday


async def scheduled(
    world: World,
    expression: str,
    *targets: Target,
    name: str = "tick",
    pattern: str | None = None,
    state: RuleState = RuleState.ENABLED,
) -> Rule:
    """A rule of the default bus with a schedule, put in force now."""
    now = world.clock.now()
    rule = Rule(
        account=ACCOUNT,
        region=REGION,
        bus="default",
        name=name,
        state=state,
        created_by=ACCOUNT,
        created_at=now,
        pattern=pattern,
        schedule=expression,
        scheduled_at=now,
        targets=targets,
    )
    await world.catalog.create(rule)
    return rule


def default_bus(world: World) -> EventBus:
    bus = world.catalog.bus(ACCOUNT, REGION, "default")
    assert bus is not None
    return bus


def times(parts: Parts | World, name: str = "sink") -> list[str]:
    """The times of the events that arrived at a sink."""
    return sorted(found.record.event.time for found in parts.targets.to(sink(name)))


def every(step: timedelta, until: timedelta, first: timedelta | None = None) -> list[str]:
    """Times since the start, one each `step`."""
    begin = step if first is None else first
    return [event_time(START + begin + number * step) for number in range((until - begin) // step + 1)]


async def test_the_event_is_as_recorded(world: World) -> None:
    rule = await scheduled(world, "rate(5 minutes)", new_target(sink("sink")))
    await world.advance(5 * MINUTE - timedelta(seconds=1))
    assert world.targets.received == []
    await world.advance(timedelta(seconds=1))
    (found,) = world.targets.received
    event = found.record.event
    assert (
        found.payload
        == (
            f'{{"version":"0","id":"{event.id}","detail-type":"Scheduled Event","source":"aws.events",'
            f'"account":"{ACCOUNT}","time":"2026-01-01T00:05:00Z","region":"{REGION}",'
            f'"resources":["{rule.arn}"],"detail":{{}}}}'
        ).encode()
    )
    ledger = await world.ledger(default_bus(world))
    assert (ledger.accepted, ledger.matched, ledger.owed, ledger.delivered) == (1, 1, 1, 1)


@pytest.mark.slow
async def test_each_minute_of_a_day_fires_once_over_restarts(parts: Parts) -> None:
    async with parts.open() as world:
        await scheduled(world, "rate(1 minute)", new_target(sink("sink")))
        await scheduled(world, "cron(*/2 6-18 * * ? *)", new_target(sink("even")), name="even")
    for _ in range(6):
        async with parts.open() as world:
            await world.advance(3 * HOUR)
        await parts.clock.advance(HOUR)  # nobody is there
    async with parts.open() as world:
        await world.advance(timedelta(0))
    assert times(parts) == every(MINUTE, DAY)
    assert times(parts, "even") == every(2 * MINUTE, 18 * HOUR + 58 * MINUTE, 6 * HOUR)


async def test_only_the_rules_own_targets_get_it(world: World) -> None:
    await world.rule(default_bus(world), new_target(sink("all")), pattern=EVERYTHING)
    await scheduled(world, "rate(1 hour)", new_target(sink("one")), new_target(sink("two")))
    await scheduled(world, "rate(1 day)", new_target(sink("other")), name="other")
    await world.advance(HOUR)
    assert times(world, "one") == times(world, "two") == every(HOUR, HOUR)
    assert world.targets.to(sink("all")) == world.targets.to(sink("other")) == []


async def test_what_is_put_never_triggers_a_schedule(world: World) -> None:
    await scheduled(world, "rate(1 hour)", new_target(sink("sink")))
    await world.put(default_bus(world))
    await world.engine.idle()
    assert world.targets.received == []


async def test_with_a_pattern_too_either_fires(world: World) -> None:
    target = new_target(sink("sink"))
    await scheduled(world, "rate(1 hour)", target, pattern='{"source": ["shop"]}')
    await world.put(default_bus(world))
    await world.put(default_bus(world), source="other")
    await world.advance(HOUR)
    sources = [found.record.event.source for found in world.targets.received]
    assert sources == ["shop", "aws.events"]


async def test_a_delivery_of_it_is_retried_like_any(world: World) -> None:
    target = new_target(sink("sink"))
    world.targets.answers[target.arn] = [UNAVAILABLE, *world.targets.answers[target.arn]]
    await scheduled(world, "rate(1 hour)", target)
    await world.advance(HOUR + 10 * MINUTE)
    first, second = world.targets.received
    assert first.payload == second.payload
    assert len(await world.deliveries(DeliveryState.DELIVERED)) == 1


async def test_on_another_bus_it_is_an_event_like_any(world: World) -> None:
    other = await world.bus("other")
    await world.rule(other, new_target(sink("sink")), pattern='{"source": ["aws.events"]}')
    await scheduled(world, "rate(1 hour)", new_target(other.arn))
    await world.advance(HOUR)
    (found,) = world.targets.to(sink("sink"))
    assert found.record.via == default_bus(world).arn
    assert found.record.event.detail_type == "Scheduled Event"


class TestChanges:
    async def test_a_disabled_rule_is_silent_and_counts_anew(self, world: World) -> None:
        rule = await scheduled(world, "rate(10 minutes)", new_target(sink("sink")))
        await world.advance(15 * MINUTE)
        rule = await world.change(rule, state=RuleState.DISABLED)
        await world.advance(HOUR)
        await world.change(rule, state=RuleState.ENABLED, scheduled_at=world.clock.now())
        await world.advance(15 * MINUTE)
        assert times_of(world) == [10 * MINUTE, 85 * MINUTE]

    async def test_another_expression_is_in_force_at_once(self, world: World) -> None:
        rule = await scheduled(world, "rate(10 minutes)", new_target(sink("sink")))
        await world.advance(12 * MINUTE)
        now = world.clock.now()
        await world.change(rule, schedule="cron(0/15 * * * ? *)", scheduled_at=now)
        await world.advance(20 * MINUTE)
        assert times_of(world) == [10 * MINUTE, 15 * MINUTE, 30 * MINUTE]

    async def test_a_change_of_something_else_lets_it_count_on(self, world: World) -> None:
        rule = await scheduled(world, "rate(10 minutes)", new_target(sink("sink")))
        await world.advance(5 * MINUTE)
        await world.change(rule, description="other")
        await world.advance(5 * MINUTE)
        assert times_of(world) == [10 * MINUTE]

    async def test_a_rule_that_is_gone_or_has_no_schedule_any_more_is_silent(self, world: World) -> None:
        gone = await scheduled(world, "rate(10 minutes)", new_target(sink("sink")))
        plain = await scheduled(world, "rate(10 minutes)", new_target(sink("sink")), name="plain")
        await world.catalog.remove(gone)
        await world.change(plain, schedule=None, scheduled_at=None, pattern=EVERYTHING)
        await world.advance(HOUR)
        assert world.targets.received == []

    async def test_a_target_that_comes_later_gets_what_is_due_later(self, world: World) -> None:
        rule = await scheduled(world, "rate(10 minutes)")
        await world.advance(15 * MINUTE)
        since = await world.store.seek(default_bus(world).log)
        await world.change(rule, targets=(new_target(sink("sink"), since=since),))
        await world.advance(10 * MINUTE)
        assert times_of(world) == [20 * MINUTE]
        assert (await world.ledger(default_bus(world))).unmatched == 1

    async def test_what_is_stored_before_a_target_comes_is_not_owed_to_it(self, world: World) -> None:
        bus = default_bus(world)
        rule = await scheduled(world, "rate(10 minutes)")
        early = scheduled_event(rule, START, "00000000-0000-4000-8000-000000000000")
        await world.store.append([NewRecord(log=bus.log, dedup_id=bytes(16), event=early)])  # not routed yet
        since = await world.store.seek(bus.log)
        await world.change(rule, targets=(new_target(sink("sink"), since=since),))
        await world.advance(10 * MINUTE)
        assert times_of(world) == [10 * MINUTE]
        assert (await world.ledger(bus)).accepted == 2

    async def test_a_stored_schedule_that_is_none_any_more_stops_nobody(self, world: World) -> None:
        await scheduled(world, "rate(10 apples)", new_target(), name="apples")
        await scheduled(world, "rate(10 minutes)", new_target(sink("sink")))
        await world.advance(10 * MINUTE)
        assert times_of(world) == [10 * MINUTE]
        assert world.lines("stored schedule does not parse")


def times_of(world: World) -> Sequence[timedelta]:
    """How long after the start the events at the sink were due, in the order of arrival."""
    found = [found.record.event.time for found in world.targets.to(sink("sink"))]
    return [datetime.fromisoformat(time) - START for time in found]


class TestWhatWasMissed:
    async def test_each_minute_of_the_last_day(self, parts: Parts) -> None:
        async with parts.open() as world:
            await scheduled(world, "rate(1 minute)", new_target(sink("sink")))
            await world.advance(3 * MINUTE)
        await parts.clock.advance(2 * HOUR)
        async with parts.open() as world:
            await world.advance(timedelta(0))
        assert times(parts) == every(MINUTE, 2 * HOUR + 3 * MINUTE)

    async def test_of_what_is_older_the_first_only(self, parts: Parts) -> None:
        async with parts.open() as world:
            await scheduled(world, "rate(1 hour)", new_target(sink("sink")))
            await scheduled(world, "cron(0 12 ? * THU *)", new_target(sink("weekly")), name="weekly")
        await parts.clock.advance(6 * DAY)
        async with parts.open() as world:
            await world.advance(timedelta(0))
            assert times(parts) == [*every(HOUR, HOUR), *every(HOUR, 6 * DAY, 5 * DAY + HOUR)]
            assert times(parts, "weekly") == ["2026-01-01T12:00:00Z"]
            await world.advance(2 * DAY)
        assert times(parts, "weekly") == ["2026-01-01T12:00:00Z", "2026-01-08T12:00:00Z"]

    @pytest.mark.parametrize("failing", [None, 2, 3])
    async def test_more_than_is_stored_at_once(self, parts: Parts, failing: int | None) -> None:
        """Several rules are due at each minute; batches end in the middle of some, and one may fail."""
        async with parts.open() as world:
            for number in range(3):
                await scheduled(world, "rate(1 minute)", new_target(sink("sink")), name=f"r{number}")
        await parts.clock.advance(4 * HOUR)
        if failing is not None:
            parts.fail_at(Failpoint.APPEND_BEFORE_COMMIT, failing)
        async with parts.open() as world:
            await world.advance(timedelta(seconds=1))
            assert bool(world.lines("crashed, will be started again")) is (failing is not None)
        assert Counter(times(parts)) == dict.fromkeys(every(MINUTE, 4 * HOUR), 3)

    async def test_nothing_that_fell_due_while_it_was_disabled(self, parts: Parts) -> None:
        async with parts.open() as world:
            rule = await scheduled(world, "rate(10 minutes)", new_target(sink("sink")))
            rule = await world.change(rule, state=RuleState.DISABLED)
        await parts.clock.advance(HOUR)
        async with parts.open() as world:
            await world.change(rule, state=RuleState.ENABLED, scheduled_at=world.clock.now())
        await parts.clock.advance(15 * MINUTE)
        async with parts.open() as world:
            await world.advance(timedelta(0))
            assert times_of(world) == [70 * MINUTE]


async def test_a_clock_that_was_put_back_neither_silences_nor_repeats(parts: Parts) -> None:
    """As long as events are kept, which is what tells a repeat."""
    step = 10 * MINUTE
    async with parts.open() as world:
        await scheduled(world, "rate(10 minutes)", new_target(sink("sink")))
        await world.advance(3 * step)
    parts.clock = ManualClock(START)
    async with parts.open() as world:
        await scheduled(world, "rate(10 minutes)", new_target(sink("new")), name="new")
    async with parts.open() as world:
        await world.advance(2 * step)
    await parts.clock.advance(3 * step)
    async with parts.open() as world:
        await world.advance(timedelta(0))
    assert times(parts) == times(parts, "new") == every(step, 5 * step)


@pytest.mark.parametrize("point", [Failpoint.APPEND_BEFORE_COMMIT, Failpoint.APPEND_COMMITTED])
async def test_a_store_that_fails_makes_it_late_not_lost_and_not_twice(
    parts: Parts, point: Failpoint
) -> None:
    parts.fail_at(point, 3)
    async with parts.open() as world:
        await scheduled(world, "rate(1 minute)", new_target(sink("sink")))
        await world.advance(10 * MINUTE)
        assert len(world.lines("crashed, will be started again")) == 1
    assert times(parts) == every(MINUTE, 10 * MINUTE)


@pytest.mark.parametrize("count", [3, 4, 5])
@pytest.mark.parametrize("point", [Failpoint.REGISTRY_BEFORE_COMMIT, Failpoint.REGISTRY_COMMITTED])
async def test_what_was_stored_and_not_noted_is_not_fired_again(
    parts: Parts, point: Failpoint, count: int
) -> None:
    parts.fail_at(point, count)
    async with parts.open() as world:
        await scheduled(world, "rate(1 minute)", new_target(sink("sink")))
        await world.advance(5 * MINUTE)
        assert world.lines("crashed, will be started again")
    parts.failpoints = type(parts.failpoints)()
    async with parts.open() as world:  # whatever was noted: it is asked for again
        await world.advance(5 * MINUTE)
        assert (await world.ledger(default_bus(world))).accepted == 10
    assert times(parts) == every(MINUTE, 10 * MINUTE)
