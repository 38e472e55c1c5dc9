"""Reading logs backwards, for people: the newest event is what they ask for first.

A log is read forwards, from a position on, and its positions may have gaps. So it is read in windows of
positions from its head down: a window that gave too much is halved, one that gave little is doubled.

What is damaged is given in its place, so that who looks at so many and no more has a bound, and can go on.
"""

import heapq
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from partnerbus.kernel.errors import EventDamaged
from partnerbus.model.delivery import Record
from partnerbus.store.protocol import START, LogInfo, LogStore

WINDOW = 256
LIMIT = 256

TICK = timedelta(microseconds=1)

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


class Damaged(msgspec.Struct, frozen=True):
    """The place of a record that cannot be read.

    `stored_at` is between those of its neighbours; `event_id` is None if it has none of its own.
    """

    log: str
    position: int
    stored_at: datetime
    event_id: str | None


Found = Record | Damaged


class Mark(msgspec.Struct, frozen=True, order=True):
    """The place of a record among those of several logs: by when it was stored, then by log and position."""

    stored_at: datetime
    log: str
    position: int

    @classmethod
    def of(cls, found: Found) -> "Mark":
        return cls(found.stored_at, found.log, found.position)


async def newest_first(
    store: LogStore, info: LogInfo, *, until: int | None = None, after: int = START
) -> AsyncIterator[Found]:
    """The records of a log with `after` < position <= `until`, the newest first."""
    high = info.head if until is None else min(until, info.head)
    low = max(after, info.horizon - 1)
    window, latest = WINDOW, LATEST
    while high > low:
        floor = max(low, high - window)
        found = await _whole_window(store, info.log, floor, high)
        if found is None:
            window = max(1, window // 2)
            continue
        for each in _in_order(found, latest):
            yield each
            latest = each.stored_at
        high = floor
        if len(found) < LIMIT // 4:
            window *= 2


async def _whole_window(
    store: LogStore, log: str, floor: int, high: int
) -> Sequence[Record | EventDamaged] | None:
    """Every record of a window; None if that is more than one read gives, or one between two damaged ones."""
    found: list[Record | EventDamaged] = []
    place, is_read = floor, False
    while place < high:
        if len(found) > LIMIT:
            return None  # each that is damaged cost a read of its own
        try:
            more = await store.read(log, place, until=high, limit=1 if is_read else LIMIT)
        except EventDamaged as damaged:
            found.append(damaged)
            place, is_read = damaged.position, False
            continue
        if not more:
            break
        if is_read:
            return None
        found += more
        place, is_read = more[-1].position, True
    return found


def _in_order(found: Sequence[Record | EventDamaged], latest: datetime) -> Iterator[Found]:
    """The newest first. A disk may have changed when a damaged one was stored: its neighbours bound that."""
    floors, earliest = [], EARLIEST
    for each in found:
        earliest = each.stored_at if isinstance(each, Record) else earliest
        floors.append(earliest)
    for each, floor in zip(reversed(found), reversed(floors), strict=True):
        latest = each.stored_at if isinstance(each, Record) else max(min(each.stored_at, latest), floor)
        yield each if isinstance(each, Record) else Damaged(each.log, each.position, latest, each.event_id)


async def merged(
    store: LogStore,
    logs: Sequence[LogInfo],
    *,
    before: Mark | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> AsyncIterator[Found]:
    """The records of several logs, the newest first: those stored from `since` on and before `until`.

    With `before`, only what comes behind that place.
    """
    ends = [each for each in (until, before.stored_at + TICK if before else None) if each is not None]
    sources = {
        info.log: newest_first(
            store,
            info,
            until=await store.seek(info.log, min(ends)) if ends else None,
            after=await store.seek(info.log, since) if since is not None else START,
        )
        for info in logs
    }
    async for found in _merged(sources):
        if before is None or Mark.of(found) < before:
            yield found


async def _merged(sources: Mapping[str, AsyncIterator[Found]]) -> AsyncIterator[Found]:
    heap: list[_Head] = []
    for source in sources.values():
        await _push(heap, source)
    while heap:
        head = heapq.heappop(heap)
        yield head.found
        await _push(heap, head.rest)


class _Head:
    """The newest record of a log that was not given yet."""

    def __init__(self, found: Found, rest: AsyncIterator[Found]) -> None:
        self.found = found
        self.rest = rest
        self._mark = Mark.of(found)

    def __lt__(self, other: "_Head") -> bool:
        return self._mark > other._mark  # a heap gives its least first


async def _push(heap: list[_Head], source: AsyncIterator[Found]) -> None:
    found = await anext(source, None)
    if found is not None:
        heapq.heappush(heap, _Head(found, source))
