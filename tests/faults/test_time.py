"""Clocks that jump, and processes that stand still, under a whole node that is at work."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from partnerbus.testing.crash import Trouble, crash_run
from partnerbus.testing.server_process import ServerProcess
from tests.faults import launch_jumping
from tests.faults.launch_jumping import OFFSET

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(1_800)]

HOUR = timedelta(hours=1)
A_MINUTE_AND_MORE = timedelta(seconds=61)
"""Longer than a claim's lease."""


class MachineClock:
    """The clock of the machine that a server believes to be on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._off = timedelta(0)
        path.write_bytes(OFFSET.pack(0))

    @property
    def program(self) -> Sequence[str]:
        return (sys.executable, launch_jumping.__file__, str(self._path))

    def jump(self, by: timedelta) -> None:
        self._off += by
        with self._path.open("r+b") as file:
            file.write(OFFSET.pack(self._off.total_seconds()))


async def test_the_clock_jumps_both_ways(tmp_path: Path) -> None:
    clock = MachineClock(tmp_path / "clock")

    def jump(by: timedelta) -> Trouble:
        async def make(_server: ServerProcess) -> None:
            clock.jump(by)

        return Trouble(make)

    plan = [jump(by) for by in (HOUR, -HOUR, -HOUR, 3 * HOUR)]
    report = await crash_run(tmp_path, plan, events=200, program=clock.program)
    assert report.faults() == []


async def test_stopped_for_longer_than_a_lease(tmp_path: Path) -> None:
    """SIGSTOP, and the minute that passes meanwhile on the node's clock."""
    clock = MachineClock(tmp_path / "clock")

    async def stand_still(server: ServerProcess) -> None:
        os.kill(server.pid, signal.SIGSTOP)
        clock.jump(A_MINUTE_AND_MORE)
        os.kill(server.pid, signal.SIGCONT)

    report = await crash_run(tmp_path, [Trouble(stand_still)] * 3, events=200, program=clock.program)
    assert report.faults() == []


@pytest.mark.soak
async def test_stopped_for_a_minute(tmp_path: Path) -> None:
    """The same with time that really passes, so that the sockets' and the timers' does, too."""

    async def stand_still(server: ServerProcess) -> None:
        os.kill(server.pid, signal.SIGSTOP)
        await asyncio.sleep(A_MINUTE_AND_MORE.total_seconds())
        os.kill(server.pid, signal.SIGCONT)

    report = await crash_run(tmp_path, [Trouble(stand_still)], events=200)
    assert report.faults() == []
