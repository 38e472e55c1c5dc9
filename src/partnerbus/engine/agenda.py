"""What is due when: keys in order of their instants, on a `Clock`."""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Hashable
from datetime import datetime
from typing import Generic, TypeVar

from partnerbus.kernel.clock import Clock

K = TypeVar("K", bound=Hashable)


STALE_AT_MOST = 64
"""So many entries that were overtaken, or as many as there are keys, are left lying before they are swept."""


class Agenda(Generic[K]):
    """Keys, each at most once, at the earliest instant that was asked for.

    A key that is due already costs no timer, so a busy agenda is a first-in, first-out line; for the others
    one sleeper waits until the earliest of them is due.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now: deque[K] = deque()
        self._later: list[tuple[datetime, int, K]] = []
        self._due: dict[K, datetime | None] = {}
        self._order = itertools.count()
        self._changed = asyncio.Event()

    def __contains__(self, key: K) -> bool:
        return key in self._due

    def put(self, key: K, due_at: datetime | None = None) -> None:
        """Let `key` be due at `due_at` (None: at once), unless it is due earlier anyway."""
        if due_at is not None and due_at <= self._clock.now():
            due_at = None
        if key in self._due and not _earlier(due_at, self._due[key]):
            return
        self._due[key] = due_at
        if due_at is None:
            self._now.append(key)
        else:
            heapq.heappush(self._later, (due_at, next(self._order), key))
            self._sweep_stale()
        self._changed.set()

    def is_due(self, key: K) -> bool:
        """Whether `key` is here and due."""
        if key not in self._due:
            return False
        due_at = self._due[key]
        return due_at is None or due_at <= self._clock.now()

    @property
    def anything_due(self) -> bool:
        """Whether `next` would return at once."""
        self._collect()
        return bool(self._now)

    @property
    def next_due_at(self) -> datetime | None:
        """When the first of the keys that are not due yet will be; None if there is none."""
        self._collect()
        return self._later[0][0] if self._later else None

    async def next(self) -> K:
        """Take the next key that is due; wait for one if need be. For one waiter at a time."""
        while not self.anything_due:
            self._changed.clear()
            await self._wait()
        key = self._now.popleft()
        del self._due[key]
        return key

    async def _wait(self) -> None:
        due_at = self.next_due_at
        if due_at is None:
            await self._changed.wait()
            return
        sleeper = asyncio.create_task(self._sleep_until(due_at))
        try:
            await self._changed.wait()
        finally:
            sleeper.cancel()

    async def _sleep_until(self, due_at: datetime) -> None:
        await self._clock.sleep_until(due_at)
        self._changed.set()

    def _collect(self) -> None:
        """Move what has become due to the line, and forget what was put again at an earlier instant."""
        now = self._clock.now()
        while self._later:
            due_at, _, key = self._later[0]
            stale = self._due.get(key) != due_at
            if not stale and due_at > now:
                return
            heapq.heappop(self._later)
            if not stale:
                self._due[key] = None
                self._now.append(key)

    def _sweep_stale(self) -> None:
        """Let the heap hold no more than about two entries a key, however far off they are."""
        if len(self._later) > 2 * len(self._due) + STALE_AT_MOST:
            valid = {entry[2]: entry for entry in self._later if self._due.get(entry[2]) == entry[0]}
            self._later = sorted(valid.values())


def _earlier(a: datetime | None, b: datetime | None) -> bool:
    return b is not None and (a is None or a < b)
