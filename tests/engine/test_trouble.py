"""Stores that fail, targets that hang, nodes that stop: nothing is lost, nobody else waits."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from partnerbus.engine.breakers import BREAK_AFTER
from partnerbus.engine.engine import LOOK_EVERY
from partnerbus.engine.lanes import Room
from partnerbus.engine.leases import LEASE
from partnerbus.kernel.failpoints import Failpoint, FailpointError, Failpoints
from partnerbus.model.delivery import DeliveryState
from partnerbus.model.resources import EventBus
from tests.engine.world import UNAVAILABLE, Parts, World, new_record, new_target, sink

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)

ROUTING = (Failpoint.ROUTER_MATCHED, Failpoint.ADVANCE_BEFORE_COMMIT, Failpoint.ADVANCE_COMMITTED)
SETTLING = (Failpoint.SETTLE_BEFORE_COMMIT, Failpoint.SETTLE_COMMITTED)
DISPATCHING = (
    Failpoint.CLAIM_COMMITTED,
    Failpoint.DISPATCHER_BEFORE_INVOKE,
    Failpoint.DISPATCHER_INVOKED,
    Failpoint.DISPATCHER_BEFORE_DEAD_LETTER,
    Failpoint.DISPATCHER_DEAD_LETTERED,
)


class Outage(Failpoints):
    """Every pass of the points in `failing` fails, until they are taken out."""

    def __init__(self, *failing: Failpoint) -> None:
        super().__init__()
        self.failing = set(failing)
        self.failures = 0

    def hit(self, point: Failpoint) -> None:
        if point in self.failing:
            self.failures += 1
            raise FailpointError(f"failpoint {point}")


async def wait_until(world: World, condition: Callable[[], object]) -> None:
    """Give the event loop and the store's threads turns until `condition` holds."""
    while not condition():
        await world.store.lanes()


def events_at(world: World, arn: str) -> set[int]:
    """The positions of the events that a target has had, some perhaps twice: a clock may outrun a lease."""
    return {invocation.record.position for invocation in world.targets.to(arn)}


async def hanging(world: World, events: int = 1) -> tuple[EventBus, asyncio.Event]:
    """A bus with so many attempts in flight at one target, which answers once the event is set."""
    bus = await world.bus()
    target = new_target()
    answered = asyncio.Event()
    world.targets.answers[target.arn] = [answered]
    await world.rule(bus, target)
    await world.put(bus, events)
    await world.targets.wait_for(lambda: len(world.targets.received) == events)
    return bus, answered


@pytest.mark.parametrize("point", ROUTING)
async def test_routing_goes_on_after_the_store_failed(parts: Parts, point: Failpoint) -> None:
    outage = parts.failpoints = Outage(point)
    async with parts.open() as world:
        bus = await world.bus()
        await world.rule(bus, new_target(), new_target())
        await world.put(bus, 3)
        await wait_until(world, lambda: outage.failures)
        await world.advance(5 * SECOND)
        failures = 1 if point is Failpoint.ADVANCE_COMMITTED else 6  # once a second, and no more
        assert outage.failures == failures
        outage.failing.clear()
        await world.advance(2 * LEASE)
        ledger = await world.ledger(bus)
        assert (ledger.matched, ledger.owed, ledger.delivered) == (3, 6, 6)


@pytest.mark.parametrize("point", SETTLING)
async def test_a_settlement_waits_for_the_store(parts: Parts, point: Failpoint) -> None:
    outage = parts.failpoints = Outage(point)
    async with parts.open() as world:
        bus = await world.bus()
        await world.rule(bus, new_target())
        await world.put(bus)
        await wait_until(world, lambda: outage.failures)
        outage.failing.clear()
        await world.advance(2 * SECOND)
        assert len(world.targets.received) == 1  # settled late, not attempted twice
        assert (await world.ledger(bus)).delivered == 1


@pytest.mark.parametrize("point", DISPATCHING)
async def test_one_failure_while_dispatching_loses_nothing(parts: Parts, point: Failpoint) -> None:
    parts.fail_at(point)
    async with parts.open() as world:
        bus = await world.bus()
        target = new_target(retry={"max_retries": 3}, dead_letter_arn=sink("dead"))
        world.targets.answers[target.arn] = [UNAVAILABLE]
        await world.rule(bus, target)
        await world.put(bus, 2)
        await world.advance(HOUR)
        assert (await world.ledger(bus)).dead == 2
        for delivery in await world.deliveries(DeliveryState.DEAD):
            assert delivery.attempts_made == 4  # the last one perhaps unseen: the next claim made none
        for subject in world.targets.received:
            same = [each for each in world.targets.received if each.record == subject.record]
            assert len(same) <= 4
        assert len({body for _, body, _ in world.queues.sent}) == 2


async def test_an_attempt_that_runs_long_keeps_its_lease(world: World) -> None:
    bus, answered = await hanging(world)

    async def all_is_written() -> None:
        await world.store.extend([], LEASE)  # behind what the engine asked the writer for

    for _ in range(20):
        await world.clock.advance(LEASE / 2, all_is_written)
    answered.set()
    await world.engine.idle()
    assert len(world.targets.received) == 1
    assert (await world.ledger(bus)).delivered == 1


async def test_a_lease_that_was_lost_is_a_line_in_the_log(world: World) -> None:
    bus, answered = await hanging(world)
    world.clock._now += 2 * LEASE  # this node stood still, and another took over
    (claim,) = (await world.store.claim(world.targets.received[0].target.arn, 1, LEASE)).claims
    answered.set()
    await world.engine.idle()
    assert [line["lease_lost"] for line in world.lines("attempt")] == [True]
    assert claim.attempt == 2
    assert (await world.ledger(bus)).pending == 1


async def test_a_lease_that_this_node_lost_to_itself_gives_every_slot_back(world: World) -> None:
    bus, answered = await hanging(world, 2)
    world.clock._now += 2 * LEASE  # the clock jumped, and nobody extended the leases
    await world.engine.look()
    await world.targets.wait_for(lambda: len(world.targets.received) == 4)
    answered.set()
    await world.engine.idle()  # waits for every slot
    assert sorted(bool(line["lease_lost"]) for line in world.lines("attempt")) == [False, False, True, True]
    ledger = await world.ledger(bus)
    assert (ledger.delivered, ledger.pending) == (2, 0)


async def test_a_hanging_target_does_not_delay_another(parts: Parts) -> None:
    parts.room = Room(attempts=20, sick_attempts=10)
    async with parts.open() as world:
        bus = await world.bus()
        hanging, well = new_target(), new_target()
        never = asyncio.Event()
        world.targets.answers[hanging.arn] = [never]
        await world.rule(bus, hanging, well)
        await world.put(bus, 300)
        await world.targets.wait_for(lambda: len(events_at(world, well.arn)) == 300)
        assert world.targets.most_in_flight[hanging.arn] == 8
        never.set()
        await world.engine.idle()
        assert (await world.ledger(bus)).delivered == 600


async def test_many_sick_targets_do_not_delay_a_sound_one(parts: Parts) -> None:
    parts.room = Room(attempts=20, sick_attempts=10)
    async with parts.open() as world:
        sick_bus, bus = await world.bus("sick"), await world.bus()
        never = asyncio.Event()
        for number in range(40):
            target = new_target(retry={"max_retries": 185, "max_age_seconds": 86_400})
            world.targets.answers[target.arn] = [*[UNAVAILABLE] * 8, never]
            await world.rule(sick_bus, target, name=f"rule{number}")
        await world.put(sick_bus, 8)
        await world.engine.idle()  # all have failed, and will hang
        assert len(world.targets.received) == 8 * 40
        await world.put(sick_bus)
        sound = new_target()
        await world.rule(bus, sound)
        for _ in range(20):
            await world.clock.advance(60 * SECOND)
            await world.put(bus)
        await world.targets.wait_for(lambda: len(events_at(world, sound.arn)) == 20)
        never.set()
        await world.advance(HOUR)
        assert (await world.ledger(sick_bus)).delivered == 9 * 40


async def test_large_events_for_many_targets_are_in_memory_a_few_at_a_time(parts: Parts) -> None:
    detail = b'{"note":"' + b"n" * 990 + b'"}'
    parts.room = Room(payload_bytes=5 * len(detail))
    async with parts.open() as world:
        bus = await world.bus()
        targets, answered = [new_target() for _ in range(40)], asyncio.Event()
        for number, target in enumerate(targets):
            world.targets.answers[target.arn] = [answered]
            await world.rule(bus, target, name=f"rule{number}")
        await world.put(bus, detail=detail)
        await world.targets.wait_for(lambda: len(world.targets.received) >= 5)
        await world.engine.look()
        assert sum(world.targets.in_flight.values()) == 5
        answered.set()
        await world.engine.idle()
        assert (await world.ledger(bus)).delivered == 40


async def test_reopened_in_the_middle_nothing_is_lost(parts: Parts) -> None:
    never = asyncio.Event()
    hanging, failing = new_target(sink("hanging")), new_target(sink("failing"))
    parts.targets.answers[hanging.arn] = [never]
    parts.targets.answers[failing.arn] = [UNAVAILABLE] * 30 + parts.targets.answers[failing.arn]
    async with parts.open() as world:
        bus = await world.bus()
        await world.rule(bus, hanging, failing)
        await world.put(bus, 20)
        await parts.targets.wait_for(lambda: len(parts.targets.to(failing.arn)) >= BREAK_AFTER)
        await world.store.append([new_record(bus) for _ in range(5)])  # stored, and nobody routed it
    parts.targets.answers[hanging.arn] = [parts.targets.answers["fresh"][0]]
    async with parts.open() as world:
        await world.advance(HOUR)
        ledger = await world.ledger(bus)
        assert (ledger.accepted, ledger.owed, ledger.delivered) == (25, 50, 50)


async def draining(world: World, grace: timedelta) -> asyncio.Task[None]:
    """A drain that has come to where it waits for attempts to end."""
    drained = asyncio.create_task(world.engine.drain(grace))
    await wait_until(world, lambda: world.clock.next_due == world.clock.now() + grace)
    return drained


async def test_drain_lets_attempts_end_within_the_grace(world: World) -> None:
    bus, answered = await hanging(world)
    drained = await draining(world, 10 * SECOND)
    await world.clock.advance(9 * SECOND)
    assert not drained.done()
    answered.set()
    await drained
    assert (await world.ledger(bus)).delivered == 1


async def test_drain_hands_back_what_takes_longer(parts: Parts) -> None:
    target = new_target()
    async with parts.open() as world:
        bus = await world.bus()
        parts.targets.answers[target.arn] = [asyncio.Event()]
        await world.rule(bus, target)
        await world.put(bus, 10)
        await parts.targets.wait_for(lambda: len(parts.targets.received) == 8)
        drained = await draining(world, 10 * SECOND)
        await world.clock.advance(10 * SECOND)
        await drained
        await world.put(bus)  # an append that was under way: routed by whoever comes next
        assert {each.due_at for each in await world.deliveries()} <= {
            world.clock.now(),
            parts.clock.now() - 10 * SECOND,
        }
    parts.targets.answers[target.arn] = [parts.targets.answers["fresh"][0]]
    async with parts.open() as world:
        await world.engine.idle()  # due at once: no lease to wait for
        assert (await world.ledger(bus)).delivered == 11


async def test_what_nobody_told_of_is_found(world: World) -> None:
    bus = await world.bus()
    await world.rule(bus, new_target())
    await world.store.append([new_record(bus)])
    await world.engine.idle()
    assert world.targets.received == []
    while not world.targets.received:
        await world.advance(LOOK_EVERY)
