"""Reading: a connection, and the thread that uses it."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from partnerbus.kernel.errors import EventDamaged, StoreUnavailable
from partnerbus.store.embedded.database import DatabaseDamaged, connect, translated

T = TypeVar("T")

OnDamage = Callable[[StoreUnavailable], Awaitable[StoreUnavailable]]
"""What is to be said instead of the damage that a read met."""

READ_SECONDS = 30.0
"""How long one read may last, in real time: as long as it does, the write-ahead log only grows."""

STEPS_PER_LOOK = 10_000
"""How many steps SQLite takes between two looks at the time: about a millisecond of work."""


class Reader:
    """A connection with a thread of its own. A read that lasts longer than `most_seconds` is given up."""

    def __init__(
        self,
        path: Path,
        name: str,
        damaged: OnDamage | None = None,
        most_seconds: float = READ_SECONDS,
    ) -> None:
        self._path = path
        self._connection = connect(path, read_only=True)
        self._connection.set_progress_handler(self._is_late, STEPS_PER_LOOK)
        self._damaged = damaged
        self._most_seconds = most_seconds
        self._late_at = 0.0
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"partnerbus-store-{name}")

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Give what `work` reads; `StoreUnavailable` if it cannot be read."""
        if self._closed:
            raise StoreUnavailable("The store is closed.")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, work)
        except (EventDamaged, DatabaseDamaged) as found:
            if self._damaged is None:
                raise
            raise await self._damaged(found) from None

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._late_at = time.monotonic() + self._most_seconds
        with translated(self._path):
            return work(self._connection)

    def _is_late(self) -> bool:
        return time.monotonic() > self._late_at

    async def close(self) -> None:
        """Finish what was asked, then let go."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()
