"""What an entry meets: the verdict on a source name, and who may name it."""

import pytest

from partnerbus.engine.sources import AcceptAndDrop, AcceptInto, Reject, judge
from partnerbus.model.partner_source import Standing
from tests.api.lifecycle import bus_of, reach
from tests.api.world import PARTNER, REGION, SOURCE, World

A, P, PB, ON, D = Standing


def _verdict(world: World, name: str = SOURCE, partner: str | None = PARTNER, region: str = REGION) -> object:
    return judge(world.services.catalog, region, name, partner, False, world.clock.now())


@pytest.mark.parametrize(
    ("standing", "expected"),
    [(A, Reject.NO_SUCH_SOURCE), (P, AcceptAndDrop()), (PB, AcceptAndDrop()), (D, Reject.NO_SUCH_SOURCE)],
)
async def test_verdict_without_a_bus_that_takes_it(
    world: World, standing: Standing, expected: object
) -> None:
    await reach(world, standing)
    assert _verdict(world) == expected


async def test_an_active_source_leads_to_its_bus(world: World) -> None:
    await reach(world, ON)
    bus = bus_of(world)
    assert bus is not None
    assert _verdict(world) == AcceptInto(bus)
    assert _verdict(world, region="us-east-1") is Reject.NO_SUCH_SOURCE


@pytest.mark.parametrize("standing", list(Standing))
@pytest.mark.parametrize("partner", [None, "acme.com.test", "acme"])
async def test_strangers_learn_nothing(world: World, standing: Standing, partner: str | None) -> None:
    await reach(world, standing)
    assert _verdict(world, partner=partner) is Reject.NOT_THE_PARTNERS


async def test_a_caller_who_may_be_anybody(world: World) -> None:
    await reach(world, P)
    verdict = judge(world.services.catalog, REGION, SOURCE, None, True, world.clock.now())
    assert verdict == AcceptAndDrop()


@pytest.mark.parametrize(("standing", "expected"), [(P, Reject.NO_SUCH_SOURCE), (PB, Reject.NO_SUCH_SOURCE)])
async def test_expired_at_once(world: World, standing: Standing, expected: Reject) -> None:
    await reach(world, standing)
    await world.advance(days=13, hours=23, minutes=59, seconds=59)
    assert _verdict(world) == AcceptAndDrop()
    await world.advance(seconds=1)
    assert _verdict(world) is expected


async def test_a_custom_bus_of_a_sources_name_would_not_do(world: World) -> None:
    """Only a bus that was made for the source takes its events."""
    await reach(world, ON)
    bus = bus_of(world)
    assert bus is not None
    assert bus.source == SOURCE
