import asyncio
from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from partnerbus.kernel import clock as under_test
from partnerbus.kernel.clock import ManualClock, SteadyClock, SystemClock

START = datetime(2026, 3, 1, tzinfo=UTC)


async def test_a_manual_clock_wakes_sleepers_in_the_order_they_are_due() -> None:
    clock = ManualClock(START)
    woken: list[tuple[str, datetime]] = []

    async def sleeper(name: str, seconds: int) -> None:
        await clock.sleep(timedelta(seconds=seconds))
        woken.append((name, clock.now()))

    async with asyncio.TaskGroup() as group:
        for name, seconds in [("late", 60), ("early", 10), ("beyond", 600)]:
            group.create_task(sleeper(name, seconds))
        await clock.advance(timedelta(seconds=100))
        assert woken == [("early", START + timedelta(seconds=10)), ("late", START + timedelta(seconds=60))]
        assert clock.now() == START + timedelta(seconds=100)
        assert clock.next_due == START + timedelta(seconds=600)
        await clock.advance(timedelta(seconds=500))
    assert [name for name, _ in woken] == ["early", "late", "beyond"]


async def test_what_a_woken_sleeper_waits_for_next_is_reached_in_the_same_advance() -> None:
    clock = ManualClock(START)
    ticks: list[datetime] = []

    async def tick() -> None:
        for _ in range(3):
            await clock.sleep(timedelta(hours=8))
            ticks.append(clock.now())

    async with asyncio.TaskGroup() as group:
        group.create_task(tick())
        await clock.advance(timedelta(days=1))
    assert ticks == [START + timedelta(hours=8 * n) for n in (1, 2, 3)]


async def test_a_manual_timeout_cancels_only_when_the_clock_gets_there() -> None:
    clock = ManualClock(START)
    never = asyncio.Event()

    async def bounded() -> str:
        try:
            async with clock.timeout(timedelta(seconds=5)):
                await never.wait()
        except TimeoutError:
            return "timed out"
        return "finished"

    task = asyncio.create_task(bounded())
    await clock.advance(timedelta(seconds=4))
    assert not task.done()
    await clock.advance(timedelta(seconds=1))
    assert await task == "timed out"
    assert clock.next_due is None


async def test_a_cancelled_sleeper_leaves_nothing_behind() -> None:
    clock = ManualClock(START)
    task = asyncio.create_task(clock.sleep(timedelta(days=1)))
    await clock.advance(timedelta(0))
    assert clock.next_due is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.next_due is None


async def test_shifting_the_system_clock_wakes_whoever_is_due_by_then() -> None:
    clock = SystemClock()
    before = clock.now()
    day = asyncio.create_task(clock.sleep(timedelta(days=1)))
    week = asyncio.create_task(clock.sleep(timedelta(days=7)))
    await asyncio.sleep(0)
    clock.shift(timedelta(days=2))
    await day
    assert not week.done()
    assert timedelta(days=2) <= clock.now() - before < timedelta(days=3)
    clock.shift(timedelta(days=7))
    await week


async def test_the_system_clock_is_never_shifted_backwards() -> None:
    with pytest.raises(ValueError, match="forwards"):
        SystemClock().shift(timedelta(seconds=-1))


async def test_the_system_clock_times_out() -> None:
    with pytest.raises(TimeoutError):
        async with SystemClock().timeout(timedelta(milliseconds=1)):
            await asyncio.Event().wait()


class Machine:
    """What the machine says of the time, and how long it has been running."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = START
        self.running = 0.0
        monkeypatch.setattr(under_test, "datetime", self)
        monkeypatch.setattr(under_test, "time", self)

    def now(self, _: tzinfo) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.running

    def run(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.running += seconds


async def test_a_steady_clock_follows_the_machines_forwards(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    clock = SteadyClock()
    machine.run(10)
    assert clock.now() == machine.time
    machine.time += timedelta(hours=3)
    assert clock.now() == machine.time
    clock.shift(timedelta(hours=1))
    assert clock.now() == machine.time + timedelta(hours=1)


async def test_a_steady_clock_goes_on_at_half_its_speed_when_the_machines_is_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch)
    clock = SteadyClock()
    machine.run(10)
    before = clock.now()
    machine.time -= timedelta(hours=1)
    assert clock.now() == before
    for _ in range(3_600):
        machine.run(1)
        assert clock.now() > machine.time
    assert clock.now() == before + timedelta(minutes=30)
    machine.run(3_600)
    assert clock.now() == before + timedelta(hours=1) == machine.time
    machine.run(1)
    assert clock.now() == machine.time


async def test_a_steady_clock_never_stands_still_however_often_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch)
    clock = SteadyClock()
    machine.time -= timedelta(hours=1)
    for _ in range(10_000):
        machine.run(0.000_000_5)
        clock.now()
    assert clock.now() == START + timedelta(seconds=0.002_5)


async def test_a_steady_clock_that_was_behind_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    clock, seen = SteadyClock(), []
    for step in (5, -3, -3, 0, 2, -1, 0, 9, -2, 1, 1, 1):
        machine.run(1)
        machine.time += timedelta(seconds=step)
        seen.append(clock.now())
    assert seen == sorted(set(seen))  # it moves each time, too
