"""Rates and circuit breakers at work: what they hold back waits in the store, and nobody else waits."""

import asyncio
from collections import Counter
from datetime import timedelta
from random import Random

import msgspec
import pytest

from partnerbus.engine.breakers import BREAK_AFTER, HOLD_FIRST, HOLD_MOST
from partnerbus.engine.lanes import Room
from partnerbus.model.delivery import DeliveryState
from partnerbus.model.resources import ApiDestination
from tests.engine.world import (
    ACCOUNT,
    REFUSED,
    REGION,
    UNAVAILABLE,
    Parts,
    World,
    new_target,
    retries,
    sink,
)

pytestmark = pytest.mark.slow

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


async def destination(world: World, rate: int, name: str = "d") -> ApiDestination:
    """An API destination; what it is sent arrives at the scripted targets."""
    now = world.clock.now()
    made = ApiDestination(
        account=ACCOUNT,
        region=REGION,
        name=name,
        uuid="u",
        connection_arn="",
        url="https://hooks.example.com/",
        method="POST",
        created_at=now,
        modified_at=now,
        rate_per_second=rate,
    )
    await world.catalog.create(made)
    return made


# -- rates -------------------------------------------------------------------------------------------------


async def test_a_rate_delays_and_drops_nothing(parts: Parts) -> None:
    parts.room = Room(attempts=20, sick_attempts=10)
    async with parts.open() as world:
        bus = await world.bus()
        slow = await destination(world, 5)
        well = new_target()
        await world.rule(bus, new_target(slow.arn), well)
        await world.put(bus, 52)
        await world.engine.idle()
        assert len(world.targets.to(well.arn)) == 52  # holds no slots, and delays nobody
        assert len(world.targets.to(slow.arn)) == 5
        for second in range(1, 11):
            await world.advance(SECOND)
            assert len(world.targets.to(slow.arn)) == min(5 + 5 * second, 52)
        assert (await world.ledger(bus)).delivered == 104


async def test_a_rate_is_kept_for_later_events_and_in_order(world: World) -> None:
    bus = await world.bus()
    slow = await destination(world, 1)
    await world.rule(bus, new_target(slow.arn))
    first = await world.put(bus, 3)
    await world.advance(SECOND / 2)
    second = await world.put(bus, 2)
    await world.advance(9 * SECOND)
    received = [each.record.position for each in world.targets.to(slow.arn)]
    assert received == [each.position for each in (*first, *second)]


async def test_a_rate_that_is_raised_counts_from_the_next_second(world: World) -> None:
    bus = await world.bus()
    slow = await destination(world, 1)
    await world.rule(bus, new_target(slow.arn))
    await world.put(bus, 30)
    await world.engine.idle()
    await world.catalog.replace(slow, msgspec.structs.replace(slow, rate_per_second=300))
    await world.advance(SECOND)
    assert len(world.targets.received) == 30


async def test_what_waits_for_its_rate_ages(world: World) -> None:
    bus = await world.bus()
    slow = await destination(world, 1)
    policy = {"max_retries": 185, "max_age_seconds": 60}
    await world.rule(bus, new_target(slow.arn, retry=policy, dead_letter_arn=sink("dead")))
    await world.put(bus, 100)
    await world.advance(2 * MINUTE)
    assert len(world.targets.received) == 61
    dead = await world.deliveries(DeliveryState.DEAD)
    assert len(dead) == 39
    for each in dead:
        assert each.last is not None
        assert (each.last.exhausted, each.attempts_made) == ("MaximumEventAgeInSeconds", 0)
        assert "(60 seconds) before its first attempt" in each.last.message
        assert each.settled_at is not None
        assert each.settled_at - each.owed_at <= timedelta(seconds=61)
    told = ("ERROR_CODE", "EXHAUSTED_RETRY_CONDITION", "RETRY_ATTEMPTS")
    assert {tuple(map(attributes.get, told)) for _, _, attributes in world.queues.sent} == {
        ("THROTTLING", "MaximumEventAgeInSeconds", "0")
    }


async def test_retries_count_for_the_rate(world: World) -> None:
    bus = await world.bus()
    slow = await destination(world, 2)
    world.targets.answers[slow.arn] = [UNAVAILABLE] * 8 + world.targets.answers[slow.arn]
    await world.rule(bus, new_target(slow.arn))
    await world.put(bus, 4)
    begun: Counter[int] = Counter()
    for second in range(60):
        before = len(world.targets.received)
        await world.advance(SECOND)
        begun[second] = len(world.targets.received) - before
    assert (await world.ledger(bus)).delivered == 4
    assert max(begun.values()) <= 4  # the ends of two windows may fall into one of ours


# -- circuit breakers --------------------------------------------------------------------------------------


async def test_a_target_that_is_down_is_left_alone_and_probed(world: World) -> None:
    bus = await world.bus()
    down, well = new_target(), new_target()
    world.targets.answers[down.arn] = [UNAVAILABLE]
    await world.rule(bus, down, well)
    await world.put(bus, 1_000)
    await world.engine.idle()
    assert BREAK_AFTER <= len(world.targets.to(down.arn)) < BREAK_AFTER + 8
    assert set(world.engine.held) == {down.arn}
    assert len(world.targets.to(well.arn)) == 1_000
    await world.advance(HOUR)
    assert len(world.targets.to(down.arn)) < 80  # once a minute
    attempts = {each.id: each.attempts_made for each in await world.deliveries(DeliveryState.OWED)}
    assert sum(attempts.values()) == len(world.targets.to(down.arn))  # counted only if made

    world.targets.answers[down.arn] = world.targets.answers["fresh"]
    await world.advance(HOLD_MOST)
    await world.engine.idle()
    assert world.engine.held == {}
    await world.advance(HOUR)
    assert (await world.ledger(bus)).delivered == 2_000


async def test_a_probe_that_hangs_holds_one_slot(parts: Parts) -> None:
    parts.room = Room(attempts=4, sick_attempts=2)
    async with parts.open() as world:
        bus = await world.bus()
        down = new_target()
        answered = asyncio.Event()
        world.targets.answers[down.arn] = [*[UNAVAILABLE] * BREAK_AFTER, answered]
        await world.rule(bus, down)
        await world.put(bus, 20)
        await world.engine.idle()
        seen = len(world.targets.received)
        assert seen == BREAK_AFTER
        await world.clock.advance(HOLD_FIRST)
        await world.targets.wait_for(lambda: len(world.targets.received) == seen + 1)
        await world.clock.advance(30 * SECOND)
        assert len(world.targets.received) == seen + 1
        answered.set()
        await world.advance(HOUR)
        assert (await world.ledger(bus)).delivered == 20


async def test_refusals_of_single_events_hold_nobody(world: World) -> None:
    bus = await world.bus()
    target = new_target()
    world.targets.answers[target.arn] = [REFUSED]
    await world.rule(bus, target)
    await world.put(bus, 100)
    await world.engine.idle()
    assert (len(world.targets.received), world.engine.held) == (100, {})


async def test_what_is_held_never_outlives_its_age_by_more_than_the_hold(world: World) -> None:
    bus = await world.bus()
    down = new_target(retry={"max_retries": 185, "max_age_seconds": 600})
    world.targets.answers[down.arn] = [UNAVAILABLE]
    await world.rule(bus, down)
    await world.put(bus, 200)
    await world.advance(HOUR)
    dead = await world.deliveries(DeliveryState.DEAD)
    assert len(dead) == 200
    for each in dead:
        assert each.last is not None
        assert each.last.exhausted == "MaximumEventAgeInSeconds"
        assert each.settled_at is not None
        assert each.settled_at - each.owed_at <= timedelta(seconds=600) + HOLD_MOST
        waited = "before its first attempt" in each.last.message
        assert waited is (each.attempts_made == 0)
        assert each.last.error == ("THROTTLING" if waited else "ERROR_FROM_TARGET")
    unsent = [each.last.message for each in dead if each.last and not each.last.attempt]
    assert any(message.endswith("The last one ended: ERROR_FROM_TARGET: 503") for message in unsent)


async def test_a_held_lane_whose_rule_is_removed_is_cancelled(world: World) -> None:
    bus = await world.bus()
    down = new_target()
    world.targets.answers[down.arn] = [UNAVAILABLE]
    rule = await world.rule(bus, down)
    await world.put(bus, 100)
    await world.engine.idle()
    await world.catalog.remove(rule)
    await world.advance(HOUR)
    assert (await world.ledger(bus)).cancelled == 100


# -- all of it together ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
async def test_no_lane_is_left_behind(parts: Parts, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However rates, breakers, windows and failures meet; without the look that finds what is lost."""
    monkeypatch.setattr("partnerbus.engine.engine.LOOK_EVERY", 365 * DAY)
    monkeypatch.setattr("partnerbus.engine.dispatcher.LEASE", 365 * DAY)
    random = Random(seed)
    parts.room = Room(attempts=12, sick_attempts=4)
    async with parts.open() as world:
        bus = await world.bus()
        rated = [await destination(world, random.randint(1, 5), f"d{number}") for number in range(3)]
        targets = [new_target(each.arn) for each in rated] + [new_target() for _ in range(3)]
        for number, target in enumerate(targets):
            await world.rule(bus, target, name=f"rule-{number}")
        for _ in range(30):
            for target in targets:
                world.targets.answers[target.arn] = [
                    random.choice([UNAVAILABLE, UNAVAILABLE, REFUSED, *world.targets.answers["fresh"]])
                    for _ in range(random.randint(1, 15))
                ]
            await world.put(bus, random.randint(0, 12))
            await world.advance(timedelta(seconds=random.choice([0, 0.3, 1, 5, 60])))
        for target in targets:
            world.targets.answers[target.arn] = world.targets.answers["fresh"]
        await world.advance(HOUR)
        ledger = await world.ledger(bus)
        assert (ledger.pending, ledger.unrouted, world.engine.held) == (0, 0, {})
        assert ledger.owed == 6 * ledger.accepted


# -- a day of retries --------------------------------------------------------------------------------------


async def test_a_day_of_retries_ends_with_its_185th(world: World) -> None:
    """The documented end of the default policy, here with the jitter that is drawn."""
    bus = await world.bus()
    target = new_target()
    world.targets.answers[target.arn] = [UNAVAILABLE]
    await world.rule(bus, target)
    await world.put(bus)
    await world.advance(DAY)
    (dead,) = await world.deliveries(DeliveryState.DEAD)
    assert dead.last is not None
    assert (len(world.targets.received), dead.attempts_made) == (186, 186)  # the first, and 185 retries
    assert (dead.last.exhausted, dead.last.error) == ("MaximumRetryAttempts", "ERROR_FROM_TARGET")
    assert dead.settled_at is not None
    assert timedelta(hours=10) < dead.settled_at - dead.owed_at < DAY


async def test_a_day_of_retries_ends_with_the_day(parts: Parts) -> None:
    """The other documented end: waits that are drawn so long that the 24 hours are over first."""
    parts.jitter = lambda: 0.99
    async with parts.open() as world:
        bus = await world.bus()
        target = new_target(retry=msgspec.to_builtins(retries(185)))
        world.targets.answers[target.arn] = [UNAVAILABLE]
        await world.rule(bus, target)
        await world.put(bus)
        await world.advance(DAY)
        (dead,) = await world.deliveries(DeliveryState.DEAD)
        assert dead.last is not None
        assert len(world.targets.received) == dead.attempts_made < 186
        assert dead.last.exhausted == "MaximumEventAgeInSeconds"
        assert dead.settled_at is not None
        assert DAY - 10 * MINUTE < dead.settled_at - dead.owed_at <= DAY
