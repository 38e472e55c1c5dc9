"""The newest records of every log, in memory, so that who reads right behind the head needs no disk.

Lives in the event loop. What is pushed is committed, and records are pushed in the order of their positions.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from operator import attrgetter

from partnerbus.model.delivery import Record
from partnerbus.store.embedded.amounts import at_once, detail_bytes
from partnerbus.store.protocol import START

RECORD_OVERHEAD = 1_000
"""What a record costs in memory beside its detail (assumed, on the safe side)."""

_position = attrgetter("position")


class LogTail:
    """The newest records of one log: all of those after `floor`."""

    def __init__(self, head: int) -> None:
        self.head = head
        self.floor = head
        self.arrived = asyncio.Event()
        self._records: list[Record] = []
        self._first = 0

    def push(self, record: Record) -> None:
        self._records.append(record)
        self.head = record.position

    def evict(self) -> Record:
        """Forget the oldest record."""
        record = self._records[self._first]
        self._first += 1
        self.floor = record.position
        if self._first * 2 > len(self._records):
            del self._records[: self._first]
            self._first = 0
        return record

    def after(self, position: int, until: int, limit: int) -> Sequence[Record]:
        """Up to `limit` records behind `position`, which must not be before `floor`, up to `until`.

        Fewer if they are more than may be read at once.
        """
        first = bisect_right(self._records, position, lo=self._first, key=_position)
        last = min(first + limit, bisect_right(self._records, until, lo=first, key=_position))
        return at_once(self._records[first:last], detail_bytes)

    def at(self, position: int) -> Record | None:
        index = bisect_left(self._records, position, lo=self._first, key=_position)
        found = self._records[index] if index < len(self._records) else None
        return found if found is not None and found.position == position else None

    def forget(self, position: int) -> None:
        """Forget the records up to `position`."""
        last = bisect_right(self._records, position, lo=self._first, key=_position)
        if last > self._first:
            self.floor = self._records[last - 1].position
            del self._records[:last]
            self._first = 0

    def wake(self) -> None:
        """Wake those who wait for a record."""
        self.arrived.set()
        self.arrived = asyncio.Event()


class Tail:
    """The tails of all logs, together within a number of bytes."""

    def __init__(self, heads: dict[str, int], room: int) -> None:
        self._logs = {log: LogTail(head) for log, head in heads.items()}
        self._order: deque[tuple[LogTail, int, int]] = deque()
        self._room = room
        self._bytes = 0

    def log(self, name: str) -> LogTail:
        found = self._logs.get(name)
        if found is None:
            found = self._logs[name] = LogTail(START)
        return found

    def push(self, records: Sequence[Record]) -> None:
        """Take newly committed records, and wake those who wait for them."""
        grown: dict[str, LogTail] = {}
        for record in records:
            log = self.log(record.log)
            if record.position > log.head:
                log.push(record)
                size = len(record.event.detail) + RECORD_OVERHEAD
                self._order.append((log, record.position, size))
                self._bytes += size
                grown[record.log] = log
        self._evict()
        for log in grown.values():
            log.wake()

    def wake_all(self) -> None:
        for log in self._logs.values():
            log.wake()

    def clear(self) -> None:
        """Forget every log: nothing is stored any more."""
        self.wake_all()
        self._logs.clear()
        self._order.clear()
        self._bytes = 0

    def _evict(self) -> None:
        while self._bytes > self._room:
            log, position, size = self._order.popleft()
            self._bytes -= size
            if log.floor < position:
                log.evict()
