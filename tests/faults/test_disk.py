"""Disks that are full, break, turn read-only or lose power under a whole node that is at work.

Each run of the harness counts at its end, by number and by ledger, what was acknowledged before, meanwhile
and after.
"""

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from partnerbus.testing.crash import PARTNER, SOURCE, Trouble, crash_run
from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.wire import Wire, WireError
from tests.faults.disk import Disk, State
from tests.faults.launch_filtered import NUMBERS

pytestmark = [
    pytest.mark.fault,
    pytest.mark.slow,
    pytest.mark.timeout(1_800),
    pytest.mark.skipif(
        sys.platform != "linux" or platform.machine() not in NUMBERS, reason="needs Linux's seccomp"
    ),
]

RETRIED_BY_SDKS = "InternalException"
"""Sent with status 500, which every SDK takes for a reason to try again."""

ENOUGH = 1_000
"""After so many events even a file that had room to spare must grow."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with Disk(tmp_path / "data", tmp_path / "calls") as disk:
        yield disk


async def put_one(wire: Wire) -> None:
    """One event that no rule asks for."""
    entry = {"Source": SOURCE, "DetailType": "other", "Detail": '{"filler":"' + "x" * 2_000 + '"}'}
    await wire.call("PutPartnerEvents", Entries=[entry])


async def first_refusal(server: ServerProcess) -> WireError:
    async with Wire(server.url, PARTNER) as wire:
        for _ in range(ENOUGH):
            try:
                await put_one(wire)
            except WireError as error:
                return error
    pytest.fail("everything was acknowledged")


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (State.FULL, "is full: make room"),
        (State.UNSYNCED, "disk I/O error"),
        (State.READ_ONLY, "disk I/O error"),
    ],
)
async def test_a_disk_that_fails_and_is_mended(tmp_path: Path, disk: Disk, state: State, why: str) -> None:
    log = tmp_path / "log"

    async def fail(server: ServerProcess) -> None:
        said_before = log.read_text().count(why)
        disk.state = state
        refusal = await first_refusal(server)
        assert refusal.code == RETRIED_BY_SDKS
        assert disk.refused
        if state is not State.FULL:  # a full disk still takes what fits into the file as it is
            async with Wire(server.url, PARTNER) as wire:
                for _ in range(20):
                    with pytest.raises(WireError, match=RETRIED_BY_SDKS):
                        await put_one(wire)
        assert log.read_text().count(why) > said_before
        disk.state = State.FINE

    report = await crash_run(tmp_path, [Trouble(fail)] * 2, events=200, program=disk.program)
    assert report.faults() == []


async def test_a_disk_that_never_comes_back(tmp_path: Path, disk: Disk) -> None:
    """What was acknowledged before is there on the next start, on a disk that works."""

    async def die(server: ServerProcess) -> None:
        disk.state = State.UNSYNCED
        await first_refusal(server)
        await server.kill()
        disk.state = State.FINE

    report = await crash_run(tmp_path, [Trouble(die)] * 2, events=200, program=disk.program)
    assert report.faults() == []


async def test_power_cuts_after_a_sync_that_failed(tmp_path: Path, disk: Disk) -> None:
    """The disk is fine again and acknowledges, but what the failed sync should have written is on no disk."""

    async def fail(server: ServerProcess) -> None:
        disk.state = State.UNSYNCED
        await first_refusal(server)
        disk.state = State.FINE
        async with Wire(server.url, PARTNER) as wire:
            for _ in range(20):
                await put_one(wire)
        disk.cut_power()
        await server.kill()
        disk.restore_after_power_cut()

    report = await crash_run(tmp_path, [Trouble(fail)] * 3, events=200, program=disk.program)
    assert report.faults() == []


async def test_power_cuts(tmp_path: Path, disk: Disk) -> None:
    """All is lost that was not synced: what was written since, and the names of new files."""

    async def cut(server: ServerProcess) -> None:
        disk.cut_power()
        await server.kill()
        disk.restore_after_power_cut()

    report = await crash_run(tmp_path, [Trouble(cut)] * 6, events=200, program=disk.program)
    assert report.faults() == []
