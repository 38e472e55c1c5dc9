"""Clocks that jump, and processes that stand still, under a whole node that is at work."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Self

import pytest

from partnerbus.kernel.clock import SystemClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.model.delivery import DeliveryState
from partnerbus.node.folder import DataFolder, opened
from partnerbus.store.protocol import DeliveryQuery, Ledger
from partnerbus.testing.crash import Trouble, crash_run
from partnerbus.testing.operator import Operator
from partnerbus.testing.receiver import Receiver, Respond
from partnerbus.testing.server_process import ServerProcess
from tests.faults import launch_jumping
from tests.faults.launch_jumping import OFFSET
from tests.node.deliver import CUSTOMER, OPEN, deliver_to, put_event

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


@pytest.mark.timeout(180)
async def test_a_clock_that_is_set_back_holds_nothing_up(tmp_path: Path) -> None:
    """A retry that is due in seconds, and a rate that counts what began within the last second."""
    clock = MachineClock(tmp_path / "clock")
    async with (
        Receiver() as receiver,
        ServerProcess(tmp_path / "data", *OPEN, program=clock.program) as server,
    ):
        receiver.script("/", Respond(status=503), Respond())
        await deliver_to(f"{receiver.url}/", server.url, rate=1)
        await receiver.received(1)
        clock.jump(-HOUR)
        await put_event(server.url)
        await receiver.received(3)
        async with Operator(tmp_path / "data") as operator:
            await settled(operator, owed=2)


class HeldTarget:
    """Answers an event that is to be held once it is told to; of another, the first attempt with 503."""

    def __init__(self) -> None:
        self.attempts: Counter[str] = Counter()
        self.url = ""
        self._changed = asyncio.Condition()
        self._released = asyncio.Event()

    async def tried(self, name: str, times: int) -> None:
        """Return once so many attempts of an event have arrived."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.attempts[name] >= times)

    def release(self) -> None:
        self._released.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        name = "held" if b"held" in await reader.readexactly(length) else "other"
        async with self._changed:
            self.attempts[name] += 1
            self._changed.notify_all()
        if name == "held":
            await self._released.wait()
        status = b"503 Later" if (name, self.attempts[name]) == ("other", 1) else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.mark.timeout(180)
async def test_an_attempt_that_outlives_its_lease_ends_nothing_twice(tmp_path: Path) -> None:
    """While the process stood still, the lease of an attempt in flight ended: the delivery is claimed anew.

    Both attempts are answered then. Only the later one ends it: each end counts once in the ledger.
    """
    clock = MachineClock(tmp_path / "clock")
    async with (
        HeldTarget() as target,
        ServerProcess(tmp_path / "data", *OPEN, program=clock.program) as server,
    ):
        await deliver_to(target.url, server.url, detail='{"is": "held"}')
        await target.tried("held", 1)
        await put_event(server.url)
        await target.tried("other", 1)
        os.kill(server.pid, signal.SIGSTOP)
        clock.jump(A_MINUTE_AND_MORE)
        os.kill(server.pid, signal.SIGCONT)
        await target.tried("held", 2)  # it was claimed with the retry of the other one
        target.release()
        async with Operator(tmp_path / "data") as operator:
            ledger = await settled(operator, owed=2)
        assert (ledger.delivered, ledger.pending) == (2, 0)
    async with opened(DataFolder(tmp_path / "data"), SystemClock(), Failpoints()) as found:
        states = [delivery.state for delivery in await found.store.deliveries(DeliveryQuery())]
        assert states == [DeliveryState.DELIVERED] * 2


async def settled(operator: Operator, *, owed: int) -> Ledger:
    """The ledger of the customer's default bus once so much was owed, and has ended."""
    while True:
        ledger = await operator.ledger(CUSTOMER, "default")
        ended = ledger.delivered + ledger.dead + ledger.dropped + ledger.cancelled
        if ledger.owed >= owed and ended >= ledger.owed:
            return ledger
        await asyncio.sleep(0.05)
