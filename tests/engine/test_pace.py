"""No more attempts of a lane begin within any second than its rate."""

import asyncio
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from partnerbus.engine import pace
from partnerbus.engine.pace import WINDOW, Paces
from partnerbus.kernel.clock import ManualClock

STEPS = st.lists(
    st.tuples(st.integers(0, 1_500), st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=40
)


@given(st.integers(1, 8), STEPS)
def test_no_second_holds_more_than_the_rate(rate: int, steps: list[tuple[int, int, int]]) -> None:
    async def run() -> None:
        clock = ManualClock()
        paces = Paces(clock, lambda _: rate)
        begun: list[datetime] = []
        for milliseconds, wanted, unused in steps:
            await clock.advance(timedelta(milliseconds=milliseconds))
            taken = paces.take("lane", wanted)
            returned = min(taken, unused)
            paces.give_back("lane", returned)
            begun += [clock.now()] * (taken - returned)
            assert taken <= wanted
            in_window = [at for at in begun if clock.now() - WINDOW < at]
            assert len(in_window) <= rate
            assert taken == wanted or len(in_window) + returned == rate  # no fewer than may be

    asyncio.run(run())


async def test_it_opens_when_the_oldest_of_a_full_second_is_over() -> None:
    clock = ManualClock()
    paces = Paces(clock, lambda _: 3)
    start = clock.now()
    assert paces.opens_at("lane") == start
    assert paces.take("lane", 2) == 2
    await clock.advance(timedelta(milliseconds=400))
    assert paces.take("lane", 2) == 1
    assert paces.opens_at("lane") == start + WINDOW
    await clock.advance(timedelta(milliseconds=600))
    assert paces.take("lane", 9) == 2


async def test_a_lane_without_a_rate_is_let_through() -> None:
    paces = Paces(ManualClock(), lambda lane: 1 if lane == "slow" else None)
    assert paces.take("slow", 5) == 1
    assert (paces.take("fast", 1_000), paces.take("fast", 1_000)) == (1_000, 1_000)
    paces.give_back("fast", 5)


async def test_a_rate_that_changes_counts_at_once() -> None:
    rate = 1
    clock = ManualClock()
    paces = Paces(clock, lambda _: rate)
    assert paces.take("lane", 5) == 1
    rate = 4
    assert paces.take("lane", 5) == 3
    rate = 2
    assert paces.take("lane", 5) == 0
    assert paces.opens_at("lane") == clock.now() + WINDOW


async def test_lanes_that_are_quiet_are_forgotten() -> None:
    clock = ManualClock()
    paces = Paces(clock, lambda _: 1)
    for number in range(2 * pace.LANES_KEPT):
        paces.take(f"lane-{number}", 1)
    await clock.advance(WINDOW)
    paces.take("another", 1)
    assert set(paces._seconds) == {"another"}
