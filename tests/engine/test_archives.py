"""What archives get and keep: once each, what matches, as long as they say."""

from datetime import timedelta

import msgspec
import pytest

from partnerbus.engine.archives import change_archive, remove_archive
from partnerbus.engine.retention import Retention
from partnerbus.kernel.failpoints import Failpoint
from partnerbus.kernel.telemetry import make_log
from partnerbus.model.delivery import DeliveryState
from partnerbus.model.resources import Archive
from partnerbus.store.protocol import LIVE, START
from tests.engine.archiving import archive_of, archived
from tests.engine.world import UNAVAILABLE, Parts, World, new_target

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


async def sweep(world: World) -> None:
    await Retention(world.store, world.catalog, world.clock, make_log("error")).sweep()


async def test_what_matches_is_archived_once_beside_its_deliveries(world: World) -> None:
    bus, target = await world.bus(), new_target()
    await world.rule(bus, target)
    everything = await archive_of(world, bus)
    some = await archive_of(world, bus, "some", pattern='{"source": ["shop"]}')
    none = await archive_of(world, bus, "none", pattern='{"source": ["nobody"]}')
    first = await world.put(bus, 2)
    (second,) = await world.put(bus, source="office")
    events = [record.event for record in [*first, second]]
    assert await archived(world, everything) == events
    assert await archived(world, some) == events[:2]
    assert await archived(world, none) == []
    assert len(world.targets.to(target.arn)) == 3
    ledger = await world.ledger(bus)
    assert (ledger.accepted, ledger.matched, ledger.unmatched) == (3, 3, 0)
    assert [line["archives"] for line in world.lines("event")] == [2, 2, 1]


async def test_an_archive_alone_is_no_rule_that_matches(world: World) -> None:
    bus = await world.bus()
    archive = await archive_of(world, bus)
    await world.put(bus)
    assert len(await archived(world, archive)) == 1
    ledger = await world.ledger(bus)
    assert (ledger.unmatched, ledger.owed) == (1, 0)
    assert [line["rules_matched"] for line in world.lines("event")] == [0]


async def test_what_is_replayed_is_not_archived_whatever_the_pattern_says(world: World) -> None:
    bus = await world.bus()
    pattern = '{"replay-name": [{"exists": true}]}'
    archives = [await archive_of(world, bus), await archive_of(world, bus, "replays", pattern=pattern)]
    await world.put(bus, replay_name="again")
    for archive in archives:
        assert await archived(world, archive) == []


async def test_what_a_schedule_sends_to_its_own_rule_is_not_archived(world: World) -> None:
    bus = world.catalog.bus("111122223333", "us-east-1", "default")
    assert bus is not None
    archive = await archive_of(world, bus)
    await world.put(bus, source="aws.events", resources=("arn:aws:events:us-east-1:111122223333:rule/tick",))
    assert await archived(world, archive) == []


async def test_what_was_put_before_an_archive_was_made_is_not_in_it(parts: Parts) -> None:
    async with parts.open() as world:
        bus = await world.bus()
    async with parts.open() as world:
        await world.store.append([])
        await world.put(bus)
        archive = await archive_of(world, bus)
        (record,) = await world.put(bus)
        assert await archived(world, archive) == [record.event]


async def test_changes_are_in_force_at_once(world: World) -> None:
    bus = await world.bus()
    before = await archive_of(world, bus, pattern='{"source": ["shop"]}')
    await world.put(bus)
    await world.engine.idle()
    after = msgspec.structs.replace(before, pattern='{"source": ["office"]}')
    await change_archive(world.catalog, before, after)
    await world.put(bus)
    await world.put(bus, source="office")
    assert [event.source for event in await archived(world, after)] == ["shop", "office"]
    await remove_archive(world.catalog, after)
    await world.put(bus, source="office")
    assert len(await archived(world, after)) == 2


async def test_the_default_bus_of_an_account_has_archives_too(world: World) -> None:
    bus = world.catalog.bus("111122223333", "us-east-1", "default")
    assert bus is not None
    archive = await archive_of(world, bus)
    (record,) = await world.put(bus)
    assert await archived(world, archive) == [record.event]


async def test_an_archive_of_a_bus_that_was_made_anew_gets_nothing(world: World) -> None:
    bus = await world.bus()
    archive = await archive_of(world, bus)
    anew = msgspec.structs.replace(bus, log="another")
    await world.catalog.replace(bus, anew)
    await world.put(anew)
    assert await archived(world, archive) == []


async def test_an_archive_whose_bus_is_deleted_meanwhile_is_not_made(world: World) -> None:
    bus = await world.bus()
    await world.catalog.remove(bus)
    with pytest.raises(AssertionError):
        await archive_of(world, bus)
    assert list(world.catalog.list(Archive, "archive:")) == []
    assert world.rules == []


# -- retention -----------------------------------------------------------------------------------------


async def test_each_copy_is_kept_for_the_days_that_the_archive_says(world: World) -> None:
    bus = await world.bus()
    short = await archive_of(world, bus, "short", retention_days=2)
    long = await archive_of(world, bus, "long")
    (first,) = await world.put(bus)
    await world.advance(DAY)
    (second,) = await world.put(bus)
    await world.advance(DAY)
    await sweep(world)
    assert await archived(world, short) == [first.event, second.event]
    await world.advance(SECOND)
    await sweep(world)
    assert await archived(world, short) == [second.event]
    await world.advance(DAY)
    await sweep(world)
    assert await archived(world, short) == []
    assert await archived(world, long) == [first.event, second.event]
    assert await world.store.read(bus.log, START) == []


@pytest.mark.parametrize("days", [1_000_000, 2**31 - 1])
async def test_more_days_than_a_clock_can_go_back_are_for_ever(world: World, days: int) -> None:
    bus = await world.bus()
    archive = await archive_of(world, bus, retention_days=days)
    (record,) = await world.put(bus)
    await world.advance(DAY)
    await sweep(world)
    assert await archived(world, archive) == [record.event]
    assert await world.store.read(bus.log, START) == []


async def test_a_deleted_archive_gives_its_room_back(world: World) -> None:
    bus = await world.bus()
    archive = await archive_of(world, bus)
    await world.put(bus, 10)
    await world.engine.idle()
    await remove_archive(world.catalog, archive)
    await sweep(world)
    assert await archived(world, archive) == []


async def test_a_log_keeps_what_its_archives_have_not_got_yet(parts: Parts) -> None:
    parts.fail_at(Failpoint.ROUTER_MATCHED)
    async with parts.open() as world:
        bus = await world.bus()
        archive = await archive_of(world, bus)
        (record,) = await world.put(bus)
        await world.engine.idle()
        assert await world.store.cursor(bus.log, LIVE) == START
        assert await world.store.trim(bus.log, record.position + 1) == 0
        await world.advance(SECOND)
        assert await archived(world, archive) == [record.event]


# -- restarts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", [Failpoint.ADVANCE_BEFORE_COMMIT, Failpoint.ADVANCE_COMMITTED])
async def test_a_commit_that_fails_neither_loses_nor_doubles(parts: Parts, point: Failpoint) -> None:
    parts.fail_at(point)
    async with parts.open() as world:
        bus = await world.bus()
        archive = await archive_of(world, bus)
        records = await world.put(bus, 5)
        await world.engine.idle()
        await world.advance(timedelta(minutes=2))
        assert await archived(world, archive) == [record.event for record in records]


async def test_nobody_routes_an_archive(parts: Parts) -> None:
    async with parts.open() as world:
        bus = await world.bus()
        archive = await archive_of(world, bus)
        await world.put(bus)
        await archived(world, archive)
    async with parts.open() as world:
        await world.advance(timedelta(minutes=2))
        assert await world.store.cursor(archive.log, LIVE) == START
        ledger = await world.store.ledger(archive.log)
        assert (ledger.accepted, ledger.unrouted) == (0, 0)
        (again,) = await world.put(bus)
        assert (await archived(world, archive))[1:] == [again.event]


async def test_a_slow_target_holds_up_no_archive(world: World) -> None:
    bus, target = await world.bus(), new_target()
    world.targets.answers[target.arn] = [UNAVAILABLE]
    await world.rule(bus, target)
    archive = await archive_of(world, bus)
    await world.put(bus, 3)
    assert len(await archived(world, archive)) == 3
    assert len(await world.deliveries(DeliveryState.OWED)) == 3
