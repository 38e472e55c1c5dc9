"""Archives and replays of engine tests."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from partnerbus.engine.archives import create_archive
from partnerbus.model.event import Event
from partnerbus.model.resources import ARCHIVE_LOGS, REPLAY_LOGS, Archive, EventBus, Replay
from partnerbus.store.protocol import START, LogSize
from tests.engine.world import World


async def archive_of(world: World, bus: EventBus, name: str = "all", **members: object) -> Archive:
    archive = Archive(
        account=bus.account,
        region=bus.region,
        name=name,
        bus=bus.name,
        bus_log=bus.log,
        log=f"{ARCHIVE_LOGS}{name}",
        since=await world.store.seek(bus.log),
        created_at=world.clock.now(),
        **members,  # type: ignore[arg-type]
    )
    assert await create_archive(world.catalog, archive)
    return archive


async def archived(world: World, archive: Archive) -> list[Event]:
    await world.engine.idle()
    records = await world.store.read(archive.log, START, limit=10_000)
    size = LogSize(records=len(records), bytes=sum(len(record.event.encode()) for record in records))
    assert await world.store.size(archive.log) == size
    return [record.event for record in records]


async def start(
    world: World,
    archive: Archive,
    window: tuple[datetime, datetime],
    name: str = "again",
    rules: Sequence[str] = (),
) -> Replay:
    """Start a replay of what is in the archive by now."""
    await world.engine.idle()
    replay = Replay(
        account=archive.account,
        region=archive.region,
        name=name,
        archive=archive.name,
        archive_log=archive.log,
        bus=archive.bus,
        log=f"{REPLAY_LOGS}{name}",
        until=await world.store.seek(archive.log),
        window_start_at=window[0],
        window_end_at=window[1],
        started_at=world.clock.now(),
        rule_arns=tuple(rules),
    )
    await world.catalog.create(replay)
    return replay


def now(world: World, replay: Replay) -> Replay:
    """The replay as it stands."""
    found = world.catalog.get(Replay, replay.key)
    assert found is not None
    return found


async def ended(world: World, replay: Replay) -> Replay:
    """The replay once it has ended."""
    changed = asyncio.Event()
    world.catalog.listen(lambda *_: changed.set())
    while (found := now(world, replay)).is_active:
        changed.clear()
        await changed.wait()
    return found


async def waits_for_the_clock(world: World) -> None:
    """Return once nothing but the clock moves any replay on."""
    while not world.engine._replays.is_quiet:
        world.engine._changed.clear()
        await world.engine._changed.wait()
