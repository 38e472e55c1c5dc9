"""Lets deliveries to one target share calls, where its service has a call for many entries.

Nobody waits for company: an entry is sent as soon as fewer than `CALLS_AT_ONCE` calls to its target are under
way. What comes while that many are waits for one of them to end, and then goes together, as much as the
service takes in one call. So a lone delivery is as fast as ever, and a crowd needs fewer calls.

Each entry gets a reply of its own. A call of many that is refused for good is made again one by one, so that
one entry that the service does not like condemns no other.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

import msgspec

from partnerbus.model.reply import Reply

CALLS_AT_ONCE = 4
"""How many calls to one target may be under way before entries are gathered."""

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class CallLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one call takes: how many entries, and how many bytes together."""

    entries: int
    size_bytes: int


class _Waiting(Generic[T]):
    def __init__(self, entry: T, size: int) -> None:
        self.entry = entry
        self.size = size
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()


class _Group(Generic[T]):
    """What waits for one target, and how many calls to it are under way."""

    def __init__(self) -> None:
        self.waiting: deque[_Waiting[T]] = deque()
        self.calls = 0


class Gatherer(Generic[K, T]):
    """Gathers the entries of each key. `send_one` and `send_many` make the calls.

    `send_many` gives a reply for each entry, in their order, or one for all of them.
    """

    def __init__(
        self,
        limits: CallLimits,
        send_one: Callable[[K, T], Awaitable[Reply]],
        send_many: Callable[[K, Sequence[T]], Awaitable[Sequence[Reply] | Reply]],
    ) -> None:
        self._limits = limits
        self._send_one = send_one
        self._send_many = send_many
        self._groups: dict[K, _Group[T]] = {}
        self._workers: set[asyncio.Task[None]] = set()

    @property
    def groups(self) -> int:
        """How many keys have calls under way."""
        return len(self._groups)

    async def send(self, key: K, entry: T, size: int) -> Reply:
        """Send an entry of `size` bytes, perhaps together with others of its key; its reply."""
        group = self._groups.setdefault(key, _Group())
        waiting = _Waiting(entry, size)
        group.waiting.append(waiting)
        if group.calls < CALLS_AT_ONCE:
            group.calls += 1
            worker = asyncio.create_task(self._work(key, group))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return await waiting.reply

    async def close(self) -> None:
        """End the calls under way; whoever still waits for one is cancelled."""
        for worker in self._workers:
            worker.cancel()
        for group in self._groups.values():
            for waiting in group.waiting:
                waiting.reply.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def _work(self, key: K, group: _Group[T]) -> None:
        """Make calls as long as something waits."""
        try:
            while taken := self._take(group):
                await self._call(key, taken)
        finally:
            group.calls -= 1
            if not group.calls:
                del self._groups[key]

    def _take(self, group: _Group[T]) -> list[_Waiting[T]]:
        """What goes into the next call: at least one entry, if one waits that somebody still waits for."""
        taken: list[_Waiting[T]] = []
        left = self._limits.size_bytes
        while group.waiting and len(taken) < self._limits.entries:
            if group.waiting[0].reply.done():
                group.waiting.popleft()  # its attempt was cut short
                continue
            left -= group.waiting[0].size
            if taken and left < 0:
                break
            taken.append(group.waiting.popleft())
        return taken

    async def _call(self, key: K, taken: Sequence[_Waiting[T]]) -> None:
        """Make a call; whatever comes of it, nobody waits on."""
        try:
            replies = await self._replies(key, [each.entry for each in taken])
            for each, reply in zip(taken, replies, strict=True):
                if not each.reply.done():
                    each.reply.set_result(reply)
        except Exception as error:  # noqa: BLE001 (those who wait for a reply get it)
            for each in taken:
                if not each.reply.done():
                    each.reply.set_exception(error)
        finally:
            for each in taken:
                each.reply.cancel()  # without effect on those that were told

    async def _replies(self, key: K, entries: Sequence[T]) -> Sequence[Reply]:
        if len(entries) == 1:
            return [await self._send_one(key, entries[0])]
        replies = await self._send_many(key, entries)
        if not isinstance(replies, Reply):
            return replies
        if replies.retryable:
            return [replies] * len(entries)
        return await asyncio.gather(*(self._send_one(key, entry) for entry in entries))
