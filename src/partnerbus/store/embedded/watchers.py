"""Those who watch the registry. Lives in the event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from partnerbus.kernel.errors import StoreError, StoreOverloaded, StoreUnavailable
from partnerbus.store.protocol import Change

WATCHER_CHANGES = 100_000
"""How far a watcher may fall behind. Beyond it the watcher is given up, never the writer or the memory."""


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
