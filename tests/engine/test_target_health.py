"""Targets that keep failing: who is told of them, how often, and what becomes of disabled ones."""

from datetime import timedelta

import msgspec
import pytest

from partnerbus.engine.breakers import HOLD_MOST
from partnerbus.engine.target_health import FAILING_AFTER, FAILING_FOR, SOURCE, SWEEP_EVERY
from partnerbus.kernel.failpoints import Failpoint
from partnerbus.model.delivery import DeliveryState
from partnerbus.model.event import Event
from partnerbus.model.resources import EventBus, FailingTarget, Target
from tests.engine.world import ACCOUNT, REFUSED, REGION, UNAVAILABLE, Parts, World, new_target, sink

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ALERTS = '{"source": ["partnerbus"]}'


@pytest.fixture
def parts(parts: Parts) -> Parts:
    parts.keep = 30 * DAY  # what an account was told is read from the log of its default bus
    return parts


def failing(world: World) -> list[FailingTarget]:
    return list(world.catalog.list(FailingTarget, "failing-target:"))


async def broken(world: World, target: Target | None = None) -> tuple[EventBus, Target]:
    """A bus with one event for a target that does not work."""
    bus, target = await world.bus(), target or new_target(sink("broken"))
    world.targets.answers[target.arn] = [UNAVAILABLE]
    await world.rule(bus, target)
    await world.put(bus)
    return bus, target


async def told(world: World) -> list[Event]:
    """What the account was told on its default bus."""
    default = world.catalog.bus(ACCOUNT, REGION, "default")
    assert default is not None
    return [record.event for record in await world.store.read(default.log, 0)]


def mend(world: World, target: Target) -> None:
    world.targets.answers[target.arn] = world.targets.answers["fresh"]


async def test_one_alert_when_it_fails_and_one_when_it_recovers(world: World) -> None:
    bus, target = await broken(world)
    await world.advance(HOUR)
    (entry,) = failing(world)
    (event,) = await told(world)
    assert (event.source, event.detail_type) == ("partnerbus", "Target Failing")
    assert (event.account, event.region) == (ACCOUNT, REGION)
    assert event.resources == (target.arn, entry.rule_arn)
    assert msgspec.json.decode(event.detail) == {
        "target-arn": target.arn,
        "rule-arn": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/orders/all",
        "since": "2026-01-01T00:00:00Z",
        "failures": entry.failures,
        "error": "ERROR_FROM_TARGET",
        "message": "503",
    }
    assert entry.failures >= FAILING_AFTER
    assert entry.told_at is not None
    assert entry.told_at - entry.since >= FAILING_FOR
    mend(world, target)
    await world.put(bus)
    await world.advance(HOUR)
    assert [each.detail_type for each in await told(world)] == ["Target Failing", "Target Recovered"]
    assert failing(world) == []
    assert len(world.lines("target failing")) == len(world.lines("target recovered")) == 1
    assert world.lines("target failing")[0]["level"] == "warning"

    world.targets.answers[target.arn] = [UNAVAILABLE]  # another episode
    await world.put(bus)
    await world.advance(HOUR)
    assert [each.detail_type for each in await told(world)][2:] == ["Target Failing"]


async def test_a_blip_is_no_episode(world: World) -> None:
    bus, target = await broken(world)
    await world.put(bus, 500)
    await world.advance(FAILING_FOR / 2)
    mend(world, target)
    await world.advance(HOUR)
    assert (await told(world), failing(world)) == ([], [])
    assert (await world.ledger(bus)).delivered == 501


async def test_a_few_failures_over_a_long_time_are_no_episode(world: World) -> None:
    bus = await world.bus()
    target = new_target()
    world.targets.answers[target.arn] = [REFUSED]
    await world.rule(bus, target)
    for _ in range(FAILING_AFTER - 1):
        await world.put(bus)
        await world.advance(HOUR)
    assert failing(world) == []
    await world.put(bus)
    await world.advance(HOUR)
    assert len(failing(world)) == 1


async def test_rules_can_match_an_alert(world: World) -> None:
    default = world.catalog.bus(ACCOUNT, REGION, "default")
    assert default is not None
    pager = new_target()
    await world.rule(default, pager, name="pager", pattern=ALERTS)
    await broken(world)
    await world.advance(HOUR)
    (alert,) = world.targets.to(pager.arn)
    assert alert.record.event.detail_type == "Target Failing"


async def test_alerts_to_the_failing_target_do_not_bring_about_others(world: World) -> None:
    """It fails a week, and never even takes the alert about itself."""
    default = world.catalog.bus(ACCOUNT, REGION, "default")
    assert default is not None
    _, target = await broken(world)
    await world.rule(default, new_target(target.arn), name="all of default")
    await world.advance(2 * DAY)
    assert [each.detail_type for each in await told(world)] == ["Target Failing"]
    mend(world, target)
    await world.advance(HOUR)
    assert failing(world) != []  # nothing but alerts went there, and these are not judged
    await world.put(default)
    await world.advance(HOUR)
    assert [each.detail_type for each in await told(world) if each.source == SOURCE] == [
        "Target Failing",
        "Target Recovered",
    ]


async def test_nobody_is_told_of_a_target_that_does_not_take_alerts(world: World) -> None:
    default = world.catalog.bus(ACCOUNT, REGION, "default")
    assert default is not None
    pager = new_target()
    world.targets.answers[pager.arn] = [UNAVAILABLE]
    await world.rule(default, pager, name="pager", pattern=ALERTS)
    _, target = await broken(world)
    await world.advance(DAY)
    assert len(world.targets.to(pager.arn)) > FAILING_AFTER
    assert [each.resources[0] for each in await told(world)] == [target.arn]


async def test_an_episode_goes_on_after_a_restart(parts: Parts) -> None:
    async with parts.open() as world:
        _, target = await broken(world)
        await world.advance(HOUR)
        before = failing(world)
    async with parts.open() as world:
        await world.advance(HOUR)
        assert failing(world) == before
        assert len(await told(world)) == 1
        mend(world, target)
        await world.advance(HOUR)
        assert [each.detail_type for each in await told(world)] == ["Target Failing", "Target Recovered"]


@pytest.mark.parametrize("point", [Failpoint.APPEND_BEFORE_COMMIT, Failpoint.APPEND_COMMITTED])
async def test_an_alert_that_cannot_be_stored_is_told_later_and_once(parts: Parts, point: Failpoint) -> None:
    parts.fail_at(point, 2)  # the first is the event
    async with parts.open() as world:
        _, target = await broken(world)
        await world.advance(HOUR)
        assert len(world.lines("crashed, will be started again")) == 1
        assert [each.detail_type for each in await told(world)] == ["Target Failing"]
        assert [each.told_at is None for each in failing(world)] == [False]
        mend(world, target)
        await world.advance(HOUR)
        assert failing(world) == []


async def test_what_a_crash_left_untold_is_told(parts: Parts) -> None:
    async with parts.open() as world:
        await broken(world)
        await world.advance(HOUR)
        (entry,) = failing(world)
        await world.catalog.replace(entry, msgspec.structs.replace(entry, told_at=None))
    async with parts.open() as world:
        await world.advance(HOUR)
        assert len(await told(world)) == 1  # appending the same event again changes nothing
        assert failing(world)[0].told_at is not None


async def test_a_target_that_nobody_has_any_more_is_forgotten(world: World) -> None:
    await broken(world)
    await world.advance(HOUR)
    (rule,) = world.rules
    await world.catalog.remove(rule)
    await world.advance(SWEEP_EVERY)
    while failing(world):
        await world.store.lanes()  # the sweep is under way
    assert len(await told(world)) == 1


# -- disabling ---------------------------------------------------------------------------------------------


async def test_nothing_is_disabled_unless_asked_for(world: World) -> None:
    bus, _ = await broken(world)
    for _ in range(3):
        await world.advance(DAY)
        await world.put(bus)
    assert [each.disabled_at for each in failing(world)] == [None]


async def test_a_target_that_fails_for_long_is_disabled(parts: Parts) -> None:
    parts.disable_after = 6 * HOUR
    async with parts.open() as world:
        bus, target = await broken(world)
        await world.advance(6 * HOUR - 2 * timedelta(minutes=10))
        assert [each.disabled_at for each in failing(world)] == [None]
        await world.advance(HOUR)
        (entry,) = failing(world)
        assert entry.disabled_at is not None
        assert entry.disabled_at - entry.since >= 6 * HOUR
        assert [each.detail_type for each in await told(world)] == ["Target Failing", "Target Disabled"]
        seen = len(world.targets.received)
        mend(world, target)
        await world.put(bus, 5)
        await world.advance(HOUR)
        assert len(world.targets.received) == seen
        dead = await world.deliveries(DeliveryState.DEAD)
        assert len(dead) == 6
        assert {each.last.error for each in dead if each.last} == {"NO_RESOURCE"}
    async with parts.open() as world:  # still
        await world.put(bus)
        await world.advance(HOUR)
        assert len(world.targets.received) == seen
        (entry,) = failing(world)
        await world.catalog.remove(entry)  # enabled
        await world.put(bus)
        await world.advance(HOLD_MOST)
        assert len(world.targets.received) == seen + 1
        assert failing(world) == []
        assert len(await told(world)) == 2


async def test_a_target_that_works_now_and_then_is_not_disabled(parts: Parts) -> None:
    parts.disable_after = 2 * HOUR
    async with parts.open() as world:
        bus, target = await broken(world)
        for _ in range(5):
            await world.advance(HOUR)
            mend(world, target)
            await world.put(bus)
            await world.advance(HOUR / 2)
            world.targets.answers[target.arn] = [UNAVAILABLE]
            await world.put(bus)
        assert [each.disabled_at for each in failing(world) if each.disabled_at] == []


async def test_the_same_target_of_another_rule_is_disabled_too_but_not_of_another_account(
    parts: Parts,
) -> None:
    parts.disable_after = HOUR
    async with parts.open() as world:
        bus, target = await broken(world)
        other = msgspec.structs.replace(bus, account="444455556666", name="theirs", log="theirs")
        await world.catalog.create(other)
        await world.rule(other, new_target(target.arn), name="theirs")
        await world.advance(2 * HOUR)
        assert failing(world)[0].disabled_at is not None
        mend(world, target)
        seen = len(world.targets.received)
        await world.put(other)
        await world.advance(HOUR)
        assert len(world.targets.received) == seen + 1
