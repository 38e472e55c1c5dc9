"""The one way to read the time and to wait.

Everything that waits (a retry, a lease, a timeout, an expiry) takes a `Clock`, so that a test can run a
day of retries in milliseconds. `SystemClock` is the machine's clock, which an operator of a test bus may
shift forwards; `SteadyClock` is the same without its jumps backwards; `ManualClock` moves only when told to.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Reads the time and waits for it. Instants are aware and in UTC."""

    def now(self) -> datetime:
        """The current instant."""

    async def sleep_until(self, instant: datetime) -> None:
        """Return once `now()` is `instant` or later."""

    async def sleep(self, duration: timedelta) -> None:
        """Return once `duration` has passed on this clock."""

    def timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:
        """Cancel the block and raise `TimeoutError` once `duration` has passed on this clock."""


class SystemClock:
    """The machine's clock plus a shift, zero unless `shift` was called."""

    def __init__(self) -> None:
        self._offset = timedelta(0)
        self._shifted = asyncio.Event()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def shift(self, duration: timedelta) -> None:
        """Move this clock forwards; sleepers that are due by then wake at once. Timeouts do not move."""
        if duration < timedelta(0):
            raise ValueError("a clock is only ever shifted forwards")
        self._offset += duration
        self._shifted.set()
        self._shifted = asyncio.Event()

    async def sleep_until(self, instant: datetime) -> None:
        while (left := (instant - self.now()).total_seconds()) > 0:
            shifted = self._shifted
            try:
                async with asyncio.timeout(left):
                    await shifted.wait()
            except TimeoutError:
                continue

    async def sleep(self, duration: timedelta) -> None:
        await self.sleep_until(self.now() + duration)

    def timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:
        return asyncio.timeout(duration.total_seconds())


class SteadyClock(SystemClock):
    """The machine's clock, but it never goes back.

    Whatever waits for an instant, and whatever counts what began within the last second, would stand still
    for as long as the machine's clock was set back. So this one follows it forwards at once; when it is set
    back, this one goes on, at half its speed until the other has caught up.

    It is asked a dozen times for every event, so what is usual, that the machine's clock went on, is a
    comparison.
    """

    def __init__(self) -> None:
        super().__init__()
        self._agreed_at = datetime.now(UTC)
        self._agreed = time.monotonic()
        self._is_ahead = False

    def now(self) -> datetime:
        at, machine = time.monotonic(), datetime.now(UTC)
        if self._is_ahead or machine <= self._agreed_at:
            return self._steadied(at, machine)
        self._agreed_at, self._agreed = machine, at
        return machine + self._offset

    def _steadied(self, at: float, machine: datetime) -> datetime:
        least = self._agreed_at + timedelta(seconds=(at - self._agreed) / 2)
        self._is_ahead = machine < least
        if self._is_ahead:
            return least + self._offset
        self._agreed_at, self._agreed = machine, at
        return machine + self._offset


class ManualClock:
    """A clock for tests: it stands still until `advance` moves it."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._order = itertools.count()
        self._waiting: list[tuple[datetime, int, Callable[[], None]]] = []

    def now(self) -> datetime:
        return self._now

    @property
    def next_due(self) -> datetime | None:
        """The earliest instant anybody waits for."""
        return self._waiting[0][0] if self._waiting else None

    async def advance(self, duration: timedelta, settle: Callable[[], Awaitable[None]] | None = None) -> None:
        """Move forwards by `duration`, stopping at each instant somebody waits for.

        At each stop the event loop gets a few turns, so that who was woken can wait anew. `settle` runs
        there too, to let the woken work (which may use threads and sockets) finish before the time moves on.
        """
        until = self._now + duration
        await _settled(settle)
        while self._waiting and self._waiting[0][0] <= until:
            self._now = max(self._now, self._waiting[0][0])
            while self._waiting and self._waiting[0][0] <= self._now:
                heapq.heappop(self._waiting)[2]()
            await _settled(settle)
        self._now = until
        await _settled(settle)

    async def sleep_until(self, instant: datetime) -> None:
        if instant <= self._now:
            await asyncio.sleep(0)
            return
        woken = asyncio.Event()
        entry = self._call_at(instant, woken.set)
        try:
            await woken.wait()
        finally:
            self._forget(entry)

    async def sleep(self, duration: timedelta) -> None:
        await self.sleep_until(self._now + duration)

    @asynccontextmanager
    async def timeout(self, duration: timedelta) -> AsyncIterator[None]:
        async with asyncio.timeout(None) as scope:
            loop = asyncio.get_running_loop()
            entry = self._call_at(self._now + duration, lambda: scope.reschedule(loop.time()))
            try:
                yield
            finally:
                self._forget(entry)

    def _call_at(self, due: datetime, wake: Callable[[], None]) -> tuple[datetime, int, Callable[[], None]]:
        entry = (due, next(self._order), wake)
        heapq.heappush(self._waiting, entry)
        return entry

    def _forget(self, entry: tuple[datetime, int, Callable[[], None]]) -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)
            heapq.heapify(self._waiting)


async def _settled(settle: Callable[[], Awaitable[None]] | None) -> None:
    await _let_others_run()
    if settle is not None:
        await settle()
        await _let_others_run()


async def _let_others_run() -> None:
    for _ in range(10):
        await asyncio.sleep(0)
