"""The live tail: nothing is missed between two calls, and nobody waits for a node that stops."""

import asyncio
from datetime import timedelta
from pathlib import Path

import msgspec

from partnerbus.api.admin.tail import TailEvents
from tests.admin.world import ANN, BOB, Desk, open_desk


async def begin(desk: Desk, account: str = ANN, **query: str) -> str:
    found = (await desk.ask("/tail", account, **query)).read(TailEvents)
    assert found.events == []
    return found.next


async def test_events_come_as_they_are_stored(desk: Desk) -> None:
    before = await desk.put_own(ANN, {"n": 0})
    place = await begin(desk)
    asking = asyncio.create_task(desk.ask("/tail", ANN, after=place))
    ids = [await desk.put_own(ANN, {"n": 1})]
    found = (await asking).read(TailEvents)
    assert [each.id for each in found.events] == ids
    assert before not in ids
    ids += [await desk.put_own(ANN, {"n": number}) for number in range(2, 5)]
    rest = (await desk.ask("/tail", ANN, after=found.next, limit=2)).read(TailEvents)
    last = (await desk.ask("/tail", ANN, after=rest.next)).read(TailEvents)
    assert [each.id for each in (*rest.events, *last.events)] == ids[1:]


async def test_a_pattern_picks_and_what_it_does_not_pick_wakes_nobody(desk: Desk) -> None:
    pattern = '{"detail":{"n":[{"numeric":[">",2]}]}}'
    place = await begin(desk, pattern=pattern)
    asking = asyncio.create_task(desk.ask("/tail", ANN, after=place, pattern=pattern))
    ids = [await desk.put_own(ANN, {"n": number}) for number in range(1, 4)]
    found = (await asking).read(TailEvents)
    assert [each.id for each in found.events] == ids[2:]


async def test_it_waits_no_longer_than_it_is_told(desk: Desk) -> None:
    await desk.put_own(ANN, {})
    place = await begin(desk)
    now = (await desk.ask("/tail", ANN, after=place, wait_seconds=0)).read(TailEvents)
    assert (now.events, now.next) == ([], place)
    asking = asyncio.create_task(desk.ask("/tail", ANN, after=place, wait_seconds=29.5))
    await desk.until_waiting(29.5)
    await desk.clock.advance(timedelta(seconds=29))
    assert not asking.done()
    await desk.clock.advance(timedelta(seconds=1))
    assert (await asking).read(TailEvents).events == []


async def test_the_first_event_of_a_bus_is_not_missed(desk: Desk) -> None:
    place = await begin(desk)
    event_id = await desk.put_own(ANN, {})
    found = (await desk.ask("/tail", ANN, after=place)).read(TailEvents)
    assert [each.id for each in found.events] == [event_id]


async def test_events_of_others_wake_nobody(desk: Desk) -> None:
    await desk.put_own(ANN, {})
    mine = await begin(desk)
    theirs = await begin(desk, BOB)
    await desk.put_own(ANN, {"secret": 1})
    assert (await desk.ask("/tail", BOB, after=theirs, wait_seconds=0)).read(TailEvents).events == []
    assert (await desk.ask("/tail", BOB, after=mine, wait_seconds=0)).read(TailEvents).events == []


async def test_a_place_that_is_none_is_refused(desk: Desk) -> None:
    for after in ("x", "e30", "eyJhIjoxLjV9", "bnVsbA==", "\u00fc"):
        answer = await desk.ask("/tail", ANN, after=after, wait_seconds=0)
        assert (answer.status, answer.error) == (400, "after is the next of another call"), after


async def test_whoever_waits_is_answered_when_the_node_stops(desk: Desk) -> None:
    await desk.put_own(ANN, {})
    place = await begin(desk)
    asking = asyncio.create_task(desk.ask("/tail", ANN, after=place, wait_seconds=29.5))
    await desk.until_waiting(29.5)
    await desk.node.__aexit__(None, None, None)
    found = msgspec.json.decode((await asking).body, type=TailEvents)
    assert found.events == []


async def test_whoever_waits_does_not_hold_up_a_reset(tmp_path: Path) -> None:
    async with open_desk(tmp_path / "data", allow_reset=True) as desk:
        await desk.put_own(ANN, {})
        place = await begin(desk)
        asking = asyncio.create_task(desk.ask("/tail", ANN, after=place, wait_seconds=29.5))
        await desk.until_waiting(29.5)
        await desk.node.reset()
        await desk.clock.advance(timedelta(seconds=30))
        assert (await asking).status == 200
