"""A lane that fails again and again is held, and let through one attempt at a time."""

import asyncio
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from partnerbus.engine import breakers as module
from partnerbus.engine.breakers import BREAK_AFTER, HOLD_FIRST, HOLD_MOST, Breakers
from partnerbus.kernel.clock import ManualClock

SECOND = timedelta(seconds=1)


def fail(breakers: Breakers, count: int = 1) -> None:
    for _ in range(count):
        breakers.judge("lane", went_well=False)


async def test_it_takes_failures_in_a_row() -> None:
    breakers = Breakers(ManualClock())
    fail(breakers, BREAK_AFTER - 1)
    breakers.judge("lane", went_well=True)
    fail(breakers, BREAK_AFTER - 1)
    assert (breakers.take("lane", 5), breakers.held) == (5, {})
    fail(breakers)
    assert breakers.take("lane", 5) == 0
    assert breakers.take("another", 5) == 5


async def test_holds_grow_to_a_bound() -> None:
    clock = ManualClock()
    breakers = Breakers(clock)
    fail(breakers, BREAK_AFTER)
    holds = []
    for _ in range(8):
        opens_at = breakers.opens_at("lane")
        assert opens_at is not None
        holds.append(opens_at - clock.now())
        await clock.advance(holds[-1] - timedelta(milliseconds=1))
        assert breakers.take("lane", 1) == 0
        await clock.advance(timedelta(milliseconds=1))
        assert breakers.take("lane", 9) == 1
        fail(breakers)
    assert holds[:3] == [HOLD_FIRST, 2 * HOLD_FIRST, 4 * HOLD_FIRST]
    assert holds[-1] == HOLD_MOST


async def test_one_probe_at_a_time() -> None:
    clock = ManualClock()
    breakers = Breakers(clock)
    fail(breakers, BREAK_AFTER)
    await clock.advance(HOLD_FIRST)
    assert (breakers.take("lane", 9), breakers.take("lane", 9)) == (1, 0)
    assert breakers.opens_at("lane") is None
    assert set(breakers.held) == {"lane"}
    breakers.give_back("lane")  # there was nothing to try it with
    assert breakers.opens_at("lane") == clock.now()
    assert breakers.take("lane", 9) == 1
    breakers.judge("lane", went_well=True)
    assert (breakers.take("lane", 9), breakers.held) == (9, {})


async def test_attempts_that_began_before_it_was_held_do_not_prolong_the_hold() -> None:
    clock = ManualClock()
    breakers = Breakers(clock)
    fail(breakers, BREAK_AFTER)
    opens_at = breakers.opens_at("lane")
    await clock.advance(SECOND)
    fail(breakers, 50)
    assert breakers.opens_at("lane") == opens_at
    breakers.judge("lane", went_well=True)
    assert breakers.take("lane", 9) == 9


async def test_a_hold_that_is_over_holds_nothing() -> None:
    clock = ManualClock()
    breakers = Breakers(clock)
    fail(breakers, BREAK_AFTER)
    assert set(breakers.held) == {"lane"}
    await clock.advance(HOLD_FIRST)
    assert breakers.held == {}


async def test_lanes_that_failed_long_ago_are_forgotten() -> None:
    clock = ManualClock()
    breakers = Breakers(clock)
    for number in range(module.LANES_KEPT):
        breakers.judge(f"lane-{number}", went_well=False)
    await clock.advance(module.REMEMBERED)
    breakers.judge("another", went_well=False)
    assert set(breakers._lanes) == {"another"}


@given(st.lists(st.sampled_from(["fail", "succeed", "take", "unused", "wait"]), max_size=80))
def test_a_lane_is_never_held_for_ever(steps: list[str]) -> None:
    """Whatever happened, after the longest hold one attempt may begin, unless it is in flight."""

    async def run() -> None:
        clock = ManualClock()
        breakers = Breakers(clock)
        in_flight = 0
        for step in steps:
            if step == "take":
                in_flight += breakers.take("lane", 3)
            elif step == "wait":
                await clock.advance(7 * SECOND)
            elif in_flight:
                in_flight -= 1
                if step == "unused":
                    breakers.give_back("lane")
                else:
                    breakers.judge("lane", went_well=step == "succeed")
        for _ in range(in_flight):
            fail(breakers)
        await clock.advance(HOLD_MOST)
        assert breakers.take("lane", 1) == 1

    asyncio.run(run())
