"""The registry: small values changed by compare-and-set, and those who watch them."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Sequence

import msgspec

from partnerbus.kernel.errors import RevisionConflict, StoreError, StoreOverloaded, StoreUnavailable
from partnerbus.kernel.failpoints import Failpoint
from partnerbus.store.embedded.tables import Tables
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.protocol import Change, Revised

WATCHER_CHANGES = 100_000
"""How far a watcher may fall behind. Beyond it the watcher is given up, never the writer or the memory."""

LAST_CHARACTER = "\U0010ffff"


class Setting(msgspec.Struct, frozen=True, gc=False):
    """The argument of put and delete; no value means delete."""

    key: str
    value: bytes | None
    expected: int


def _set(tables: Tables, commands: Sequence[Setting]) -> list[int | StoreError]:
    return [_set_one(tables, command) for command in commands]


def _set_one(tables: Tables, command: Setting) -> int | StoreError:
    found = get(tables.connection, command.key)
    if (found.revision if found else 0) != command.expected or (command.value is None and found is None):
        return RevisionConflict()
    tables.revision += 1
    if command.value is None:
        tables.connection.execute("DELETE FROM registry WHERE key = ?", (command.key,))
    else:
        tables.connection.execute(
            "INSERT OR REPLACE INTO registry (key, value, revision) VALUES (?, ?, ?)",
            (command.key, command.value, tables.revision),
        )
    return tables.revision


SET: Verb[Setting, int] = Verb(
    _set, on_disk=True, before=Failpoint.REGISTRY_BEFORE_COMMIT, committed=Failpoint.REGISTRY_COMMITTED
)


def get(connection: sqlite3.Connection, key: str) -> Revised | None:
    row = connection.execute("SELECT key, value, revision FROM registry WHERE key = ?", (key,)).fetchone()
    return Revised(key=row[0], value=row[1], revision=row[2]) if row else None


def list_values(connection: sqlite3.Connection, prefix: str) -> list[Revised]:
    rows = connection.execute(
        "SELECT key, value, revision FROM registry WHERE key >= ? AND key < ? ORDER BY key",
        (prefix, prefix + LAST_CHARACTER),
    )
    return [Revised(key=key, value=value, revision=revision) for key, value, revision in rows]


class Watchers:
    """Tells each watcher of each change, in the order of the commits. Lives in the event loop."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()
        self._closed = False

    def add(self) -> "Watcher":
        watcher = Watcher(self)
        if self._closed:
            watcher.end(StoreUnavailable("The store is closed."))
        self._watchers.add(watcher)
        return watcher

    def remove(self, watcher: "Watcher") -> None:
        self._watchers.discard(watcher)

    def tell(self, change: Change) -> None:
        for watcher in tuple(self._watchers):
            watcher.tell(change)

    def close(self) -> None:
        self._closed = True
        for watcher in tuple(self._watchers):
            watcher.end(StoreUnavailable("The store is closed."))


class Watcher(AsyncIterator[Change]):
    """The changes since it was made. It ends with an error if it falls too far behind or the store closes."""

    def __init__(self, watchers: Watchers) -> None:
        self._watchers = watchers
        self._changes: deque[Change] = deque()
        self._news = asyncio.Event()
        self._error: StoreError | None = None
        self._closed = False

    def tell(self, change: Change) -> None:
        if len(self._changes) >= WATCHER_CHANGES:
            self.end(StoreOverloaded("A watcher of the registry fell too far behind."))
            return
        self._changes.append(change)
        self._news.set()

    def end(self, error: StoreError) -> None:
        """Let the iteration raise `error` after what it was already told."""
        self._error = self._error or error
        self._watchers.remove(self)
        self._news.set()

    async def __anext__(self) -> Change:
        while not self._changes:
            if self._closed:
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error
            self._news.clear()
            await self._news.wait()
        return self._changes.popleft()

    async def aclose(self) -> None:
        """Stop watching."""
        self._closed = True
        self._changes.clear()
        self._watchers.remove(self)
        self._news.set()
