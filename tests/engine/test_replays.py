"""Replays: which events, in which order, to whom; what stops them, and what does not."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partnerbus.engine.archives import remove_archive
from partnerbus.engine.replay_pace import GROWTH, LEAST, LIVE_FOR
from partnerbus.engine.replays import KEEP, PATIENCE, PAUSE
from partnerbus.engine.retention import Retention
from partnerbus.kernel.failpoints import Failpoint
from partnerbus.kernel.telemetry import make_log
from partnerbus.model import arns
from partnerbus.model.delivery import Record
from partnerbus.model.event import Event, event_time, minute_of
from partnerbus.model.reply import ACCEPTED
from partnerbus.model.resources import Archive, EventBus, Replay, ReplayState
from partnerbus.store.protocol import LIVE, START
from partnerbus.targets.invoker import Invocation
from tests.effort import examples
from tests.engine.archiving import archive_of, archived, ended, now, start, waits_for_the_clock
from tests.engine.world import UNAVAILABLE, Parts, World, new_record, new_target

FIRST = datetime(2025, 12, 31, 23, 58, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
WINDOW = (FIRST, FIRST + timedelta(hours=1))


async def put_at(world: World, bus: EventBus, *seconds: int) -> list[Record]:
    """Put an event for each of these times, so many seconds after the first."""
    times = [event_time(FIRST + timedelta(seconds=each)) for each in seconds]
    return list(await world.engine.publisher.publish([new_record(bus, time=time) for time in times]))


async def bus_with_archive(world: World, *seconds: int) -> tuple[EventBus, Archive, list[Record]]:
    """A bus without rules, with an archive of these events."""
    bus = await world.bus()
    archive = await archive_of(world, bus)
    records = await put_at(world, bus, *seconds)
    assert len(await archived(world, archive)) == len(records)
    return bus, archive, records


async def copies(world: World, replay: Replay) -> list[Event]:
    return [record.event for record in await world.store.read(replay.log, START, limit=10_000)]


def ids(invocations: list[Invocation]) -> set[str]:
    return {invocation.record.event.id for invocation in invocations}


async def test_who_is_not_to_move_replays_remembers_none_and_finds_all_when_it_is(world: World) -> None:
    """As on all nodes of a cluster but one, until that one is gone."""
    _, archive, _ = await bus_with_archive(world, 0, 60)
    replays, supervisor = world.engine._replays, world.engine._supervisor
    await supervisor.stop("replays")
    replay = await start(world, archive, WINDOW)
    assert replays._news.empty()
    supervisor.start("replays", replays.run)
    assert (await ended(world, replay)).state is ReplayState.COMPLETED


# -- which events, and in which order ------------------------------------------------------------------


async def test_a_window_goes_minute_by_minute_of_the_events_own_time(world: World) -> None:
    bus, archive, records = await bus_with_archive(world, 185, 0, 61, 59, 120, 60, 179)
    target = new_target(since=records[-1].position)
    await world.rule(bus, target)
    replay = await start(world, archive, (FIRST + 59 * SECOND, FIRST + 179 * SECOND))
    await world.engine.idle()
    expected = [records[n].event for n in (3, 2, 5, 4)]
    assert await copies(world, replay) == [
        msgspec.structs.replace(event, replay_name="again") for event in expected
    ]
    assert ids(world.targets.to(target.arn)) == {event.id for event in expected}
    assert {each.record.event.replay_name for each in world.targets.received} == {"again"}
    assert len(world.targets.received) == 4
    found = now(world, replay)
    assert found.state is ReplayState.COMPLETED
    assert found.ended_at == world.clock.now()
    assert found.replayed_until == FIRST + 120 * SECOND


async def test_nothing_in_the_window(world: World) -> None:
    _, archive, _ = await bus_with_archive(world, 0)
    replay = await start(world, archive, (FIRST + SECOND, FIRST + MINUTE))
    await world.engine.idle()
    found = now(world, replay)
    assert (found.state, found.replayed_until) == (ReplayState.COMPLETED, None)
    assert await copies(world, replay) == []


async def test_it_ends_with_what_was_archived_when_it_was_started(world: World) -> None:
    bus, archive, _ = await bus_with_archive(world, *range(3))
    replay = await start(world, archive, WINDOW)
    await put_at(world, bus, *range(5))
    await world.engine.idle()
    assert len(await copies(world, replay)) == 3


async def test_what_is_replayed_stays_and_is_not_archived_again(world: World) -> None:
    bus, archive, records = await bus_with_archive(world, *range(40))
    second = await archive_of(world, bus, "second")
    for name in ("one", "two"):
        await start(world, archive, WINDOW, name)
        await world.engine.idle()
    assert await archived(world, archive) == [record.event for record in records]
    assert await archived(world, second) == []


@pytest.mark.slow
@settings(max_examples=examples(15), deadline=None)
@given(
    st.lists(st.integers(-90, 330), max_size=60),
    st.integers(0, 240),
    st.integers(1, 240),
    st.sampled_from([1, 3, LEAST]),
)
def test_each_event_of_any_window_is_copied_once_and_minutes_never_go_back(
    seconds: list[int], begin: int, length: int, per_turn: int
) -> None:
    async def check(folder: Path) -> None:
        async with Parts(folder).open() as world:
            _, archive, records = await bus_with_archive(world, *seconds)
            window = (FIRST + begin * SECOND, FIRST + (begin + length) * SECOND)
            replay = await start(world, archive, window)
            await world.engine.idle()
            found = await copies(world, replay)
            meant = [
                record.event
                for record, at in zip(records, seconds, strict=True)
                if begin <= at < begin + length
            ]
            assert [event.id for event in found] == [event.id for event in sorted(meant, key=minute_of)]

    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr("partnerbus.engine.replay_pace.LEAST", per_turn)
        patch.setattr("partnerbus.engine.replay_pace.MOST", per_turn)
        asyncio.run(check(Path(folder)))


# -- to whom -------------------------------------------------------------------------------------------


async def test_it_goes_to_the_rules_of_now_as_their_patterns_say(world: World) -> None:
    bus, archive, _ = await bus_with_archive(world, 0)
    replays, live, every = new_target(), new_target(), new_target()
    await world.rule(bus, replays, name="replays", pattern='{"replay-name": ["again"]}')
    await world.rule(bus, live, name="live", pattern='{"replay-name": [{"exists": false}]}')
    await world.rule(bus, every)
    await start(world, archive, WINDOW)
    await world.engine.idle()
    received = [len(world.targets.to(target.arn)) for target in (replays, live, every)]
    assert received == [1, 0, 1]


async def test_only_the_rules_that_it_is_for(world: World) -> None:
    bus, archive, _ = await bus_with_archive(world, 0, 1)
    one, two = new_target(), new_target()
    meant = await world.rule(bus, one, name="one")
    await world.rule(bus, two, name="two")
    replay = await start(world, archive, WINDOW, rules=[meant.arn])
    await world.engine.idle()
    assert (len(world.targets.to(one.arn)), len(world.targets.to(two.arn))) == (2, 0)
    ledger = await world.store.ledger(replay.log)
    assert (ledger.accepted, ledger.matched, ledger.delivered) == (2, 2, 2)


async def test_two_replays_deliver_twice_and_live_events_only_once(world: World) -> None:
    bus, target = await world.bus(), new_target()
    archive = await archive_of(world, bus)
    await world.rule(bus, target)
    (record,) = await put_at(world, bus, 0)
    for name in ("one", "two"):
        await start(world, archive, WINDOW, name)
    await world.engine.idle()
    names = [invocation.record.event.replay_name for invocation in world.targets.received]
    assert sorted(name or "" for name in names) == ["", "one", "two"]
    assert ids(world.targets.received) == {record.event.id}


async def test_on_another_bus_it_is_still_a_replay(world: World) -> None:
    bus, archive, _ = await bus_with_archive(world, 0)
    other, target = await world.bus("other"), new_target()
    theirs = await archive_of(world, other, "theirs")
    await world.rule(bus, new_target(arns.bus_arn(other.region, other.account, other.name)))
    await world.rule(other, target)
    await start(world, archive, WINDOW)
    await world.engine.idle()
    (invocation,) = world.targets.to(target.arn)
    assert invocation.record.event.replay_name == "again"
    assert await archived(world, theirs) == []


async def test_an_event_that_fails_is_retried_as_any_other(world: World) -> None:
    bus, archive, _ = await bus_with_archive(world, 0)
    target = new_target()
    world.targets.answers[target.arn] = [UNAVAILABLE, ACCEPTED]
    await world.rule(bus, target)
    replay = await start(world, archive, WINDOW)
    await world.engine.idle()
    assert now(world, replay).state is ReplayState.COMPLETED
    await world.advance(MINUTE)
    assert (await world.store.ledger(replay.log)).delivered == 1


# -- what stops it, and what does not ------------------------------------------------------------------


async def held_replay(world: World, count: int = 3 * LEAST) -> tuple[Replay, asyncio.Event]:
    """A replay of `count` events whose target hangs until the event is set: it is waiting for it."""
    bus, archive, _ = await bus_with_archive(world, *range(count))
    target, goes_on = new_target(), asyncio.Event()
    world.targets.answers[target.arn] = [goes_on]
    await world.rule(bus, target)
    replay = await start(world, archive, WINDOW)
    await world.targets.wait_for(lambda: len(world.targets.received) >= LEAST)
    return replay, goes_on


async def test_it_waits_for_a_target_that_takes_its_time(world: World) -> None:
    replay, goes_on = await held_replay(world)
    assert now(world, replay).state is ReplayState.RUNNING
    assert len(await copies(world, replay)) == LEAST
    goes_on.set()
    await world.engine.idle()
    assert now(world, replay).state is ReplayState.COMPLETED
    assert (await world.store.ledger(replay.log)).delivered == 3 * LEAST


async def test_but_no_target_stops_it(world: World) -> None:
    replay, goes_on = await held_replay(world, 5 * LEAST)
    for turns in range(1, 6):
        await waits_for_the_clock(world)
        assert len(await copies(world, replay)) == turns * LEAST
        await world.clock.advance(PATIENCE)
    assert (await ended(world, replay)).state is ReplayState.COMPLETED
    assert (await world.store.ledger(replay.log)).delivered == 0
    goes_on.set()
    await world.engine.idle()
    assert (await world.store.ledger(replay.log)).delivered == 5 * LEAST


async def test_in_silence_the_second_turn_is_larger_and_does_not_wait_for_the_first(world: World) -> None:
    bus, archive, _ = await bus_with_archive(world, *range(10 * LEAST))
    target, goes_on = new_target(), asyncio.Event()
    world.targets.answers[target.arn] = [goes_on]
    await world.rule(bus, target)
    await world.advance(LIVE_FOR)
    replay = await start(world, archive, WINDOW)
    await world.targets.wait_for(lambda: len(world.targets.received) >= LEAST)
    await waits_for_the_clock(world)
    assert len(await copies(world, replay)) == LEAST + LEAST + GROWTH
    goes_on.set()
    await world.engine.idle()
    assert now(world, replay).state is ReplayState.COMPLETED
    assert (await world.store.ledger(replay.log)).delivered == 10 * LEAST


async def test_a_dead_target_holds_it_up_hardly_at_all(world: World) -> None:
    bus, archive, _ = await bus_with_archive(world, *range(10 * LEAST))
    dead, well = new_target(), new_target()
    world.targets.answers[dead.arn] = [UNAVAILABLE]
    await world.rule(bus, dead, well)
    replay = await start(world, archive, WINDOW)
    await world.engine.idle()
    assert now(world, replay).state is ReplayState.COMPLETED
    assert len(world.targets.to(well.arn)) == 10 * LEAST


async def test_cancelling_ends_it_where_it_is(world: World) -> None:
    replay, goes_on = await held_replay(world)
    running = now(world, replay)
    await world.catalog.replace(running, msgspec.structs.replace(running, state=ReplayState.CANCELLING))
    goes_on.set()
    await world.engine.idle()
    found = now(world, replay)
    assert (found.state, found.ended_at) == (ReplayState.CANCELLED, world.clock.now())
    assert found.replayed_until == FIRST + (LEAST - 1) * SECOND
    ledger = await world.store.ledger(replay.log)
    assert (ledger.accepted, ledger.delivered) == (LEAST, LEAST)


async def test_without_its_archive_it_fails(world: World) -> None:
    replay, goes_on = await held_replay(world)
    (archive,) = world.catalog.list(Archive, "archive:")
    await remove_archive(world.catalog, archive)
    goes_on.set()
    await world.engine.idle()
    found = now(world, replay)
    assert (found.state, found.reason) == (ReplayState.FAILED, "Archive all does not exist.")


async def test_without_its_bus_it_fails(world: World) -> None:
    bus, archive, _ = await bus_with_archive(world, 0)
    await world.catalog.remove(bus)
    replay = await start(world, archive, WINDOW)
    await world.engine.idle()
    found = now(world, replay)
    assert (found.state, found.reason) == (ReplayState.FAILED, "Event bus orders does not exist.")


async def test_an_archive_forgets_nothing_while_it_is_replayed(world: World) -> None:
    replay, goes_on = await held_replay(world)
    (archive,) = world.catalog.list(Archive, "archive:")
    await world.catalog.replace(archive, msgspec.structs.replace(archive, retention_days=1))
    world.clock._now += timedelta(days=2)
    retention = Retention(world.store, world.catalog, world.clock, make_log("error"))
    await retention.sweep()
    assert (await world.store.size(archive.log)).records == 3 * LEAST
    goes_on.set()
    await world.engine.idle()
    assert now(world, replay).state is ReplayState.COMPLETED
    await retention.sweep()
    assert (await world.store.size(archive.log)).records == 0


async def test_it_is_shown_for_ninety_days(world: World) -> None:
    _, archive, _ = await bus_with_archive(world, 0)
    replay = await start(world, archive, WINDOW)
    await world.engine.idle()
    world.clock._now += KEEP - SECOND
    await world.engine._replays.forget_old()
    assert now(world, replay).state is ReplayState.COMPLETED
    world.clock._now += SECOND
    await world.engine._replays.forget_old()
    assert world.catalog.get(Replay, replay.key) is None


# -- restarts ------------------------------------------------------------------------------------------


async def test_after_a_restart_it_goes_on(parts: Parts) -> None:
    async with parts.open() as world:
        replay, _ = await held_replay(world)
    (target,) = {invocation.target.arn for invocation in parts.targets.received}
    parts.targets.answers[target] = [ACCEPTED]
    async with parts.open() as world:
        await world.engine.idle()
        assert now(world, replay).state is ReplayState.COMPLETED
        found = await copies(world, replay)
        assert len({event.id for event in found}) == len(found) == 3 * LEAST
        assert (await world.store.ledger(replay.log)).delivered == 3 * LEAST
        await world.advance(2 * MINUTE)
        assert await world.store.cursor(replay.log, LIVE) == await world.store.seek(replay.log)


@pytest.mark.parametrize(
    "point",
    [
        Failpoint.APPEND_BEFORE_COMMIT,
        Failpoint.APPEND_COMMITTED,
        Failpoint.ADVANCE_BEFORE_COMMIT,
        Failpoint.ADVANCE_COMMITTED,
        Failpoint.ROUTER_MATCHED,
        Failpoint.REGISTRY_BEFORE_COMMIT,
        Failpoint.REGISTRY_COMMITTED,
    ],
)
async def test_whatever_fails_once_is_tried_again(parts: Parts, point: Failpoint) -> None:
    async with parts.open() as world:
        bus, archive, _ = await bus_with_archive(world, *range(40))
        await world.rule(bus, new_target())
    parts.fail_at(point, 2 if "registry" in point else 1)
    async with parts.open() as world:
        replay = await start(world, archive, WINDOW)
        await world.engine.idle()
        await world.advance(PAUSE)
        await world.advance(2 * MINUTE)  # a lease of what was born claimed and never heard of
        assert now(world, replay).state is ReplayState.COMPLETED
        assert len(await copies(world, replay)) == 40
        assert (await world.store.ledger(replay.log)).delivered == 40


async def test_a_replay_that_was_cancelled_when_the_node_died_ends_cancelled(parts: Parts) -> None:
    async with parts.open() as world:
        replay, _ = await held_replay(world)
        running = now(world, replay)
        await world.catalog.replace(running, msgspec.structs.replace(running, state=ReplayState.CANCELLING))
    async with parts.open() as world:
        assert (await ended(world, replay)).state is ReplayState.CANCELLED
