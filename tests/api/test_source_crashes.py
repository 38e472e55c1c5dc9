"""What a crash between the two writes of a source and its bus leaves behind, and how it goes on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from partnerbus.kernel.failpoints import Failpoint
from partnerbus.model.partner_source import Standing, Trigger
from tests.api.lifecycle import GONE, SEEN, bus_of, pull, reach, seen, source_of, sources
from tests.api.world import SOURCE, Refused, World

INTERNAL = "InternalException"


@pytest.fixture
async def broken(tmp_path: Path) -> AsyncIterator[World]:
    """A world that fails once between the two writes, whichever way."""
    plan = {Failpoint.SOURCE_BUS_CREATED: "error@1", Failpoint.SOURCE_BUS_RELEASED: "error@1"}
    made = await World.open(tmp_path, failpoints=plan)
    yield made
    await made.close()


async def _interrupted(world: World, trigger: Trigger) -> None:
    with pytest.raises(Refused) as caught:
        await pull(world, trigger)
    assert caught.value.code == INTERNAL


async def _active(world: World) -> None:
    """ACTIVE with a bus, by way of an interrupted association."""
    await reach(world, Standing.PENDING)
    await _interrupted(world, Trigger.ASSOCIATE)
    await pull(world, Trigger.ACTIVATE)


async def test_an_interrupted_association_can_be_activated(broken: World) -> None:
    await reach(broken, Standing.PENDING)
    await _interrupted(broken, Trigger.ASSOCIATE)
    assert bus_of(broken) is not None
    assert await seen(broken) == SEEN[Standing.PENDING_WITH_BUS]
    await pull(broken, Trigger.ACTIVATE)
    assert await seen(broken) == SEEN[Standing.ACTIVE]


async def test_an_interrupted_release_can_be_repeated(broken: World) -> None:
    await _active(broken)
    await _interrupted(broken, Trigger.RELEASE)
    assert bus_of(broken) is not None
    assert await seen(broken) == SEEN[Standing.PENDING_WITH_BUS]
    await pull(broken, Trigger.RELEASE)
    assert await seen(broken) == SEEN[Standing.PENDING]
    assert bus_of(broken) is None


async def test_an_interrupted_release_can_be_taken_back(broken: World) -> None:
    await _active(broken)
    await _interrupted(broken, Trigger.RELEASE)
    await pull(broken, Trigger.ACTIVATE)
    assert await seen(broken) == SEEN[Standing.ACTIVE]


async def test_the_remnant_of_a_deleted_source_is_absent_and_swept(broken: World) -> None:
    await _active(broken)
    await pull(broken, Trigger.WITHDRAW)
    await _interrupted(broken, Trigger.RELEASE)
    assert bus_of(broken) is None
    assert await seen(broken) == SEEN[Standing.ABSENT]
    assert source_of(broken) is not None
    await sources(broken).expire()
    assert source_of(broken) is None


async def test_the_remnant_does_not_stand_in_the_way_of_a_new_offer(broken: World) -> None:
    await _active(broken)
    await pull(broken, Trigger.WITHDRAW)
    await _interrupted(broken, Trigger.RELEASE)
    await broken.partner("CreatePartnerEventSource", Name=SOURCE, Account="222222222222")
    assert (await broken.other("DescribeEventSource", Name=SOURCE))["State"] == "PENDING"


async def test_an_active_source_whose_bus_vanished_in_a_race_waits_for_a_bus(world: World) -> None:
    await reach(world, Standing.ACTIVE)
    bus = bus_of(world)
    assert bus is not None
    await world.services.catalog.remove(bus)
    assert (await world.customer("DescribeEventSource", Name=SOURCE))["State"] == "PENDING"
    await sources(world).expire()
    found = await world.customer("DescribeEventSource", Name=SOURCE)
    assert found["ExpirationTime"] == world.clock.now().timestamp() + 14 * 86_400
    await pull(world, Trigger.ASSOCIATE)
    assert await seen(world) == SEEN[Standing.ACTIVE]
    assert bus_of(world) is not None


async def test_a_source_withdrawn_while_its_bus_is_made_leaves_no_bus(world: World) -> None:
    await reach(world, Standing.PENDING)
    withdrawn, associated = await asyncio.gather(
        pull(world, Trigger.WITHDRAW), pull(world, Trigger.ASSOCIATE), return_exceptions=True
    )
    assert withdrawn is None
    assert isinstance(associated, Refused)
    assert associated.code == GONE
    assert bus_of(world) is None
    assert await seen(world) == SEEN[Standing.ABSENT]


async def test_a_source_whose_bus_vanished_and_that_is_withdrawn_while_another_is_made(world: World) -> None:
    await reach(world, Standing.ACTIVE)
    bus = bus_of(world)
    assert bus is not None
    await world.services.catalog.remove(bus)
    await asyncio.gather(
        pull(world, Trigger.WITHDRAW), pull(world, Trigger.ASSOCIATE), return_exceptions=True
    )
    assert source_of(world) is None
    assert bus_of(world) is None


async def test_of_two_who_associate_one_wins(world: World) -> None:
    await reach(world, Standing.PENDING)
    answers = await asyncio.gather(
        pull(world, Trigger.ASSOCIATE), pull(world, Trigger.ASSOCIATE), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert [one.code for one in refused] == ["ResourceAlreadyExistsException"]
    assert await seen(world) == SEEN[Standing.ACTIVE]


async def test_of_two_offers_at_once_one_wins(world: World) -> None:
    answers = await asyncio.gather(
        *(
            world.partner("CreatePartnerEventSource", Name=SOURCE, Account=account)
            for account in ("111111111111", "222222222222")
        ),
        return_exceptions=True,
    )
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert [one.code for one in refused] == ["ResourceAlreadyExistsException"]
