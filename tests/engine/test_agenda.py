"""The agenda gives every key when it is due, once, at the earliest instant that was asked for."""

import asyncio
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from partnerbus.engine.agenda import Agenda
from partnerbus.kernel.clock import ManualClock

SECOND = timedelta(seconds=1)


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(-1, 20)), max_size=30))
def test_every_key_comes_at_its_earliest_instant(puts: list[tuple[str, int]]) -> None:
    async def run() -> None:
        clock = ManualClock()
        start = clock.now()
        agenda: Agenda[str] = Agenda(clock)
        wanted: dict[str, int] = {}
        for key, seconds in puts:
            agenda.put(key, start + seconds * SECOND)
            wanted[key] = min(max(seconds, 0), wanted.get(key, 99))
        came: dict[str, float] = {}

        async def take() -> None:
            while True:
                key = await agenda.next()
                assert key not in came
                came[key] = (clock.now() - start).total_seconds()

        taker = asyncio.create_task(take())
        await clock.advance(21 * SECOND)
        taker.cancel()
        assert came == wanted
        assert not agenda.anything_due
        assert agenda.next_due_at is None

    asyncio.run(run())


async def test_what_is_due_at_once_comes_in_turn_and_without_a_timer() -> None:
    clock = ManualClock()
    agenda: Agenda[str] = Agenda(clock)
    for key in "cab":
        agenda.put(key)
    assert [await agenda.next() for _ in range(3)] == ["c", "a", "b"]
    assert clock.next_due is None


async def test_an_earlier_instant_wakes_the_waiter() -> None:
    clock = ManualClock()
    agenda: Agenda[str] = Agenda(clock)
    agenda.put("late", clock.now() + 60 * SECOND)
    waiter = asyncio.create_task(agenda.next())
    await clock.advance(SECOND)
    agenda.put("early", clock.now() + SECOND)
    await clock.advance(SECOND)
    assert waiter.done()
    assert await waiter == "early"
    assert agenda.next_due_at is not None


async def test_a_key_taken_may_come_again() -> None:
    clock = ManualClock()
    agenda: Agenda[str] = Agenda(clock)
    agenda.put("a")
    assert await agenda.next() == "a"
    agenda.put("a", clock.now() + SECOND)
    assert not agenda.is_due("a")
    await clock.advance(SECOND)
    assert agenda.is_due("a")
    assert await agenda.next() == "a"


async def test_a_busy_key_with_something_far_off_costs_no_memory() -> None:
    """As a busy lane does that has one retry to make in half a day."""
    clock = ManualClock()
    agenda: Agenda[str] = Agenda(clock)
    far_off = clock.now() + timedelta(hours=12)
    agenda.put("other", far_off - SECOND)
    for _ in range(1_000):
        agenda.put("busy", far_off)
        agenda.put("busy")
        assert await agenda.next() == "busy"
    agenda.put("busy", far_off)
    assert len(agenda._later) < 100
    assert agenda.next_due_at == far_off - SECOND
    clock._now = far_off
    assert [await agenda.next(), await agenda.next()] == ["other", "busy"]
    assert not agenda.anything_due
