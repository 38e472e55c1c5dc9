"""Reading logs backwards, for people: the newest event is what they ask for first.

A log is read forwards, from a position on, and its positions may have gaps. So it is read in windows of
positions from its head down: a window that gave too much is halved, one that gave little is doubled.

What is damaged is left out, and whoever asks is told of it, perhaps more than once.
"""

import heapq
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from partnerbus.kernel.errors import EventDamaged
from partnerbus.model.delivery import Record
from partnerbus.store.protocol import START, LogInfo, LogStore

WINDOW = 256
LIMIT = 256

Tell = Callable[[EventDamaged], None]

TICK = timedelta(microseconds=1)


class Mark(msgspec.Struct, frozen=True, order=True):
    """The place of a record among those of several logs: by when it was stored, then by log and position."""

    stored_at: datetime
    log: str
    position: int

    @classmethod
    def of(cls, record: Record) -> "Mark":
        return cls(record.stored_at, record.log, record.position)


async def newest_first(
    store: LogStore, info: LogInfo, *, until: int | None = None, after: int = START, tell: Tell
) -> AsyncIterator[Record]:
    """The records of a log with `after` < position <= `until`, the newest first."""
    high = info.head if until is None else min(until, info.head)
    low = max(after, info.horizon - 1)
    window = WINDOW
    while high > low:
        floor = max(low, high - window)
        found = await _whole_window(store, info.log, floor, high, tell)
        if found is None:
            window = max(1, window // 2)
            continue
        for record in reversed(found):
            yield record
        high = floor
        if len(found) < LIMIT // 4:
            window *= 2


async def _whole_window(
    store: LogStore, log: str, floor: int, high: int, tell: Tell
) -> Sequence[Record] | None:
    """Every record of a window; None if that is more than one read gives, or one between two damaged ones."""
    found: list[Record] = []
    place, is_read = floor, False
    while place < high:
        try:
            more = await store.read(log, place, until=high, limit=1 if is_read else LIMIT)
        except EventDamaged as damaged:
            tell(damaged)
            place, is_read = damaged.position, False
            continue
        if not more:
            break
        if is_read:
            return None
        found += more
        place, is_read = more[-1].position, True
    return found


async def merged(
    store: LogStore,
    logs: Sequence[LogInfo],
    *,
    before: Mark | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    tell: Tell,
) -> AsyncIterator[Record]:
    """The records of several logs, the newest first: those stored from `since` on and before `until`.

    With `before`, only what comes behind that place. `tell` hears of what is damaged on the way.
    """
    ends = [each for each in (until, before.stored_at + TICK if before else None) if each is not None]
    sources = {
        info.log: newest_first(
            store,
            info,
            until=await store.seek(info.log, min(ends)) if ends else None,
            after=await store.seek(info.log, since) if since is not None else START,
            tell=tell,
        )
        for info in logs
    }
    async for record in _merged(sources):
        if before is None or Mark.of(record) < before:
            yield record


async def _merged(sources: Mapping[str, AsyncIterator[Record]]) -> AsyncIterator[Record]:
    heap: list[_Head] = []
    for source in sources.values():
        await _push(heap, source)
    while heap:
        head = heapq.heappop(heap)
        yield head.record
        await _push(heap, head.rest)


class _Head:
    """The newest record of a log that was not given yet."""

    def __init__(self, record: Record, rest: AsyncIterator[Record]) -> None:
        self.record = record
        self.rest = rest
        self._mark = Mark.of(record)

    def __lt__(self, other: "_Head") -> bool:
        return self._mark > other._mark  # a heap gives its least first


async def _push(heap: list[_Head], source: AsyncIterator[Record]) -> None:
    record = await anext(source, None)
    if record is not None:
        heapq.heappush(heap, _Head(record, source))
