"""What is trimmed, and what never is."""

from datetime import timedelta

from partnerbus.engine.retention import CHUNK, KEEP_DEAD_LETTERS, SWEEP_EVERY, Retention
from partnerbus.kernel.telemetry import make_log
from partnerbus.model.delivery import DeliveryState
from partnerbus.model.resources import EventBus
from tests.engine.world import REFUSED, UNAVAILABLE, World, new_record, new_target, retries

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


async def stored(world: World, bus: EventBus) -> int:
    return len(await world.store.read(bus.log, 0, limit=10_000))


async def sweep(world: World) -> None:
    await Retention(world.store, world.catalog, world.clock, make_log("error")).sweep()


async def test_records_that_nothing_needs_go_after_the_keep_period(world: World) -> None:
    bus = await world.bus()
    await world.rule(bus, new_target(), pattern='{"source": ["shop"]}')
    await world.put(bus, 3)
    await world.put(bus, 2, source="nobody")
    await world.advance(HOUR)
    await sweep(world)
    assert await stored(world, bus) == 5
    await world.advance(SECOND)
    await sweep(world)
    assert await stored(world, bus) == 0
    assert (await world.ledger(bus)).accepted == 5
    await world.put(bus)
    assert await stored(world, bus) == 1


async def test_what_a_retry_needs_stays_and_a_dead_letter_keeps_only_its_own(world: World) -> None:
    bus, other = await world.bus(), await world.bus("other")
    retried, dead = new_target(), new_target()
    world.targets.answers[retried.arn] = [UNAVAILABLE]
    world.targets.answers[dead.arn] = [REFUSED]
    await world.rule(bus, retried)
    await world.rule(other, dead)
    await world.put(bus)
    (record,) = await world.put(other)
    await world.advance(HOUR + SECOND)
    await sweep(world)
    assert (await stored(world, bus), await stored(world, other)) == (1, 0)
    (kept,) = await world.deliveries(DeliveryState.DEAD)
    assert kept.record == record
    await world.advance(KEEP_DEAD_LETTERS)
    await sweep(world)
    assert (await world.ledger(other)).dropped == 1
    (late,) = await world.deliveries()  # of the retries, given up a day after it was put
    assert (late.state, late.log) == (DeliveryState.DEAD, bus.log)
    assert await stored(world, bus) == 0


async def test_a_redriven_dead_letter_has_its_whole_retry_policy_again(world: World) -> None:
    bus, target = await world.bus(), new_target(retry=retries(5, seconds=600))
    world.targets.answers[target.arn] = [UNAVAILABLE]
    await world.rule(bus, target)
    (record,) = await world.put(bus)
    await world.engine.idle()
    await world.advance(48 * HOUR)
    (dead,) = await world.deliveries(DeliveryState.DEAD)
    await sweep(world)
    assert await stored(world, bus) == 0
    assert len(world.targets.received) == 6
    assert await world.engine.redrive([(dead.subscription, dead.position)]) == 1
    await world.advance(600 * SECOND)
    assert len(world.targets.received) == 12
    assert {received.record for received in world.targets.received} == {record}
    (dead,) = await world.deliveries(DeliveryState.DEAD)
    assert (dead.attempts_made, dead.redriven) == (6, 1)


async def test_a_large_log_goes_in_chunks_and_logs_of_deleted_buses_go_too(world: World) -> None:
    bus = await world.bus()
    count = 2 * CHUNK + 10
    await world.engine.publisher.publish([new_record(bus) for _ in range(count)])
    await world.engine.idle()
    await world.catalog.remove(bus)
    await world.advance(HOUR + SECOND)
    await sweep(world)
    assert await stored(world, bus) == 0


async def test_the_engine_sweeps(world: World) -> None:
    bus = await world.bus()
    await world.put(bus)
    while await stored(world, bus):
        await world.advance(SWEEP_EVERY)
    assert world.lines("retention")[0]["records_trimmed"] == 1
