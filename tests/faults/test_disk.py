"""Disks that are full, break, turn read-only or lose power under a whole node that is at work.

Each run of the harness counts at its end, by number and by ledger, what was acknowledged before, meanwhile
and after.
"""

import asyncio
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from partnerbus.testing.crash import CUSTOMER, PARTNER, SOURCE, Trouble, crash_run
from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.wire import Wire, WireError
from tests.faults.disk import Disk, State
from tests.faults.launch_filtered import NUMBERS
from tests.node.deliver import OPEN

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

REASONS = (
    (State.FULL, "is full: make room"),
    (State.UNSYNCED, "disk I/O error"),
    (State.READ_ONLY, "disk I/O error"),
)
"""What the node says of each state."""

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


async def readiness(server: ServerProcess) -> tuple[int, str]:
    """The status of /readyz, and what of the reasons below it names."""
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/readyz") as answer:
        text = await answer.text()
        return answer.status, next((why for _, why in REASONS if why in text), "")


async def ready_again(server: ServerProcess) -> None:
    while await readiness(server) != (200, ""):  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(0.01)


async def first_refusal(server: ServerProcess) -> WireError:
    async with Wire(server.url, PARTNER) as wire:
        for _ in range(ENOUGH):
            try:
                await put_one(wire)
            except WireError as error:
                return error
    pytest.fail("everything was acknowledged")


@pytest.mark.parametrize(("state", "why"), REASONS)
async def test_a_disk_that_fails_and_is_mended(tmp_path: Path, disk: Disk, state: State, why: str) -> None:
    log = tmp_path / "log"

    async def fail(server: ServerProcess) -> None:
        said_before = log.read_text().count(why)
        disk.state = state
        refusal = await first_refusal(server)
        assert refusal.code == RETRIED_BY_SDKS
        assert disk.refused
        if state is not State.FULL:  # a full disk still takes what fits into the file as it is
            assert await readiness(server) == (503, why)
            async with Wire(server.url, PARTNER) as wire:
                for _ in range(20):
                    with pytest.raises(WireError, match=RETRIED_BY_SDKS):
                        await put_one(wire)
        assert log.read_text().count(why) > said_before
        disk.state = State.FINE
        await ready_again(server)

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
    report.forgettable = 3
    assert report.faults() == []


async def test_power_cuts(tmp_path: Path, disk: Disk) -> None:
    """All is lost that was not synced: what was written since, and the names of new files."""

    async def cut(server: ServerProcess) -> None:
        disk.cut_power()
        await server.kill()
        disk.restore_after_power_cut()

    report = await crash_run(tmp_path, [Trouble(cut)] * 6, events=200, program=disk.program)
    report.forgettable = 6
    assert report.faults() == []


@pytest.mark.timeout(180)
async def test_a_node_on_a_full_disk_is_not_ready_until_there_is_room(tmp_path: Path, disk: Disk) -> None:
    async with ServerProcess(tmp_path / "data", *OPEN, program=disk.program) as server:
        assert await readiness(server) == (200, "")
        async with Wire(server.url, CUSTOMER) as wire:
            await put_large(wire)
            disk.state = State.FULL
            with pytest.raises(WireError, match=RETRIED_BY_SDKS):
                await put_large(wire, times=ENOUGH)
            assert await readiness(server) == (503, "is full: make room")
            disk.state = State.FINE
            await ready_again(server)
            await put_large(wire)


async def put_large(wire: Wire, times: int = 1) -> None:
    entry = {"Source": "shop", "DetailType": "order", "Detail": '{"filler":"' + "x" * 200_000 + '"}'}
    for _ in range(times):
        await wire.call("PutEvents", Entries=[entry])
