"""What crashes is started again, after a pause, and readiness says so meanwhile."""

import asyncio
from datetime import timedelta

from partnerbus.engine.supervisor import PAUSE, Supervisor, Sweep
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.telemetry import make_log
from tests.engine.world import Parts

MINUTE = timedelta(minutes=1)


async def test_a_loop_that_crashes_is_started_again_after_a_pause(parts: Parts) -> None:
    clock = ManualClock()
    supervisor = Supervisor(clock, make_log(stream=parts.stream))
    starts: list[object] = []

    async def loop() -> None:
        starts.append(clock.now())
        if len(starts) < 3:
            raise ZeroDivisionError("a bug")
        await asyncio.Event().wait()

    assert not supervisor.is_ready
    supervisor.start("loop", loop)
    await clock.advance(timedelta(0))
    assert (len(starts), supervisor.is_ready, supervisor.down) == (1, False, frozenset({"loop"}))
    await clock.advance(PAUSE)
    await clock.advance(PAUSE)
    assert (len(starts), supervisor.is_ready, supervisor.down) == (3, True, frozenset())
    assert parts.written.getvalue().count(b"crashed, will be started again") == 2
    assert b"ZeroDivisionError: a bug" in parts.written.getvalue()
    await supervisor.stop()
    assert not supervisor.is_ready


async def test_a_sweep_runs_every_so_often_even_if_it_fails(parts: Parts) -> None:
    clock = ManualClock()
    supervisor = Supervisor(clock, make_log(stream=parts.stream))
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise ZeroDivisionError

    supervisor.sweep(Sweep("sweep", MINUTE, run))
    await clock.advance(MINUTE - PAUSE)
    assert runs == 0
    await clock.advance(3 * MINUTE)
    assert runs == 3
    await supervisor.stop()
    await clock.advance(3 * MINUTE)
    assert runs == 3
