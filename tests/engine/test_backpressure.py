"""A log takes no more while too much of it waits, and takes events again once less does."""

import asyncio

import pytest

from partnerbus.engine.backpressure import LOOK_AFTER, Backpressure, Bounds
from partnerbus.kernel.telemetry import make_log
from partnerbus.model.resources import EventBus
from partnerbus.store.protocol import LIVE, Ledger
from tests.edge.world import until
from tests.engine.world import Parts, World, new_record, new_target, sink


class Waiting:
    """A log's backpressure over a real store, without anybody who routes it."""

    def __init__(self, world: World, bus: EventBus, bounds: Bounds) -> None:
        self._store = world.store
        self._bus = bus
        self.log = bus.log
        self.pressure = Backpressure(world.store, make_log("error"), bounds)

    async def store(self, count: int) -> None:
        for record in await self._store.append([new_record(self._bus) for _ in range(count)]):
            self.pressure.stored(record.log)
        await self.pressure.finish()

    async def route(self) -> None:
        head = await self._store.seek(self.log)
        await self._store.advance(self.log, LIVE, head, owed=(), unmatched=0)

    async def is_behind(self) -> bool:
        told = self.pressure.is_behind(self.log)
        await self.pressure.finish()
        return told


async def test_what_is_not_routed_is_bounded(world: World) -> None:
    waiting = Waiting(world, await world.bus(), Bounds(unrouted_events=20))
    await waiting.store(20)
    assert not await waiting.is_behind()
    await waiting.store(3)
    assert await waiting.is_behind()
    assert waiting.pressure.behind == {waiting.log}
    await waiting.route()
    assert await waiting.is_behind()  # by what was seen last; this call looked again
    assert not await waiting.is_behind()


async def test_no_bound_is_no_bound(world: World) -> None:
    waiting = Waiting(world, await world.bus(), Bounds(unrouted_events=0, pending_deliveries=0))
    await waiting.store(LOOK_AFTER + 1)
    assert not await waiting.is_behind()


@pytest.mark.parametrize(
    ("bounds", "after"),
    [(Bounds(), LOOK_AFTER), (Bounds(unrouted_events=50), 5), (Bounds(pending_deliveries=3), 1)],
)
def test_small_bounds_are_looked_at_more_often(bounds: Bounds, after: int) -> None:
    assert bounds.look_after == after


def test_what_is_too_much_is_said() -> None:
    bounds = Bounds(unrouted_events=2, pending_deliveries=3)
    assert bounds.exceeded_by(Ledger(log="log", unrouted=2, pending=3)) is None
    assert bounds.exceeded_by(Ledger(log="log", unrouted=3)) == "3 events wait to be matched"
    assert bounds.exceeded_by(Ledger(log="log", pending=4)) == "4 deliveries wait for their targets"


async def test_a_hanging_target_stops_its_bus_and_no_other(parts: Parts) -> None:
    parts.bounds = Bounds(pending_deliveries=10)
    async with parts.open() as world:
        bus, other = await world.bus(), await world.bus("other")
        hung = asyncio.Event()
        world.targets.answers[sink("hung")] = [hung]
        await world.rule(bus, new_target(sink("hung")))
        await world.rule(other, new_target(sink("well")))
        while not world.engine.publisher.is_behind(bus.log):
            await world.put(bus)
            await world.put(other)
        assert not world.engine.publisher.is_behind(other.log)
        assert len(world.lines("takes no more events")) == 1
        hung.set()
        await world.engine.idle()
        await until(lambda: not world.engine.publisher.is_behind(bus.log))
        await until(lambda: bool(world.lines("takes events again")))  # the log is written a turn later
        assert len(world.lines("takes events again")) == 1
        assert (await world.ledger(bus)).pending == 0


async def test_a_bus_that_is_behind_is_tried_again_by_those_that_forward_to_it(parts: Parts) -> None:
    parts.bounds = Bounds(pending_deliveries=10)
    async with parts.open() as world:
        bus, forwarding = await world.bus(), await world.bus("forwarding")
        hung = asyncio.Event()
        world.targets.answers[sink("hung")] = [hung]
        await world.rule(bus, new_target(sink("hung")))
        await world.rule(forwarding, new_target(bus.arn))
        while not world.engine.publisher.is_behind(bus.log):
            await world.put(bus)
        before = (await world.ledger(bus)).accepted
        await world.put(forwarding)
        await until(lambda: any(line["error"] == "THROTTLING" for line in world.lines("attempt")))
        assert (await world.ledger(bus)).accepted == before
        hung.set()
