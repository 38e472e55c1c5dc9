"""Kept records and their minutes, and how much a log holds."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from partnerbus.model.delivery import NewRecord, Record
from partnerbus.model.event import event_time, minute_at, minute_of
from partnerbus.store.protocol import LIVE, START, Kept, LogSize, Place, Store
from partnerbus.testing.store_contract.world import (
    StoreMaker,
    fill,
    new_record,
    trimmed_behind_dead_letters,
)

FIRST = datetime(2025, 12, 31, 23, 58, tzinfo=UTC)
MINUTE = minute_at(FIRST)


class KeepingContract:
    """Archives: copies in logs of their own, read by the minute of the event's time."""

    async def test_kept_records_are_read_by_minute_and_position(
        self, store: Store, maker: StoreMaker
    ) -> None:
        kept = await keep(store, [90, 0, 59, 60, 200, 1])
        for _ in range(2):
            everything = await store.read_by_minute("archive", Place(MINUTE), before=MINUTE + 4)
            assert list(everything) == [kept[n] for n in (1, 2, 5, 0, 3, 4)]
            two = await store.read_by_minute("archive", Place(MINUTE), before=MINUTE + 4, limit=2)
            assert list(two) == list(everything)[:2]
            place = Place(MINUTE, kept[2].position)
            rest = await store.read_by_minute("archive", place, before=MINUTE + 4, limit=3)
            assert list(rest) == [kept[n] for n in (5, 0, 3)]
            store = await maker.reopen()

    async def test_minutes_and_positions_end_what_is_read(self, store: Store) -> None:
        kept = await keep(store, [90, 0, 59, 60, 200, 1])
        read = store.read_by_minute
        assert list(await read("archive", Place(MINUTE), before=MINUTE + 1)) == [kept[n] for n in (1, 2, 5)]
        assert list(await read("archive", Place(MINUTE), before=MINUTE)) == []
        assert list(await read("archive", Place(MINUTE + 3), before=MINUTE + 9)) == [kept[4]]
        until = kept[3].position
        assert list(await read("archive", Place(MINUTE), before=MINUTE + 9, until=until)) == [
            kept[n] for n in (1, 2, 0, 3)
        ]
        assert list(await read("nothing", Place(MINUTE), before=MINUTE + 9)) == []

    async def test_only_kept_records_have_a_minute(self, store: Store) -> None:
        stored = await fill(store, 1)
        minute = minute_of(stored[0].event)
        assert list(await store.read_by_minute("log", Place(minute), before=minute + 1)) == []

    async def test_page_by_page_each_kept_record_is_read_once(self, store: Store) -> None:
        kept = await keep(store, [number * 337 % 600 for number in range(100)])
        seen: list[Record] = []
        place = Place(MINUTE)
        while found := await store.read_by_minute("archive", place, before=MINUTE + 10, limit=7):
            seen += found
            place = Place(minute_of(found[-1].event), found[-1].position)
        assert seen == sorted(kept, key=lambda record: (minute_of(record.event), record.position))

    async def test_what_was_trimmed_has_no_minute_any_more(self, store: Store) -> None:
        kept = await keep(store, [0, 60, 1])
        assert await store.trim("archive", kept[2].position) == 2
        assert list(await store.read_by_minute("archive", Place(MINUTE), before=MINUTE + 9)) == kept[2:]

    async def test_no_ledger_counts_a_copy(self, store: Store) -> None:
        await keep(store, [0, 60])
        ledger = await store.ledger("archive")
        assert (ledger.accepted, ledger.unrouted, ledger.pending) == (0, 0, 0)

    async def test_the_size_of_a_log_is_that_of_what_can_be_read(
        self, store: Store, maker: StoreMaker
    ) -> None:
        assert await store.size("log") == LogSize()
        kept = await keep(store, [0, 60, 1])
        await fill(store, 2, first=50)
        await fill(store, 2, first=50)  # stored already
        for _ in range(2):
            for log in ("log", "archive"):
                assert await store.size(log) == size_of(await store.read(log, START))
            store = await maker.reopen()
        await store.trim("archive", kept[2].position)
        assert await store.size("archive") == size_of(kept[2:])

    async def test_a_record_that_is_put_back_counts_again(self, store: Store) -> None:
        stored = await trimmed_behind_dead_letters(store)
        assert await store.size("log") == size_of(stored[3:])
        await store.redrive([("sub", stored[0].position)])
        assert await store.size("log") == size_of([stored[0], stored[3]])


async def keep(store: Store, seconds: Sequence[int]) -> list[Record]:
    """Keep an event of each of these times, so many seconds after the first; the copies, in that order."""
    stored = await store.append([timed_record(number, at) for number, at in enumerate(seconds, 1)])
    copies = [Kept(log="archive", record=record) for record in stored]
    await store.advance("log", LIVE, stored[-1].position, owed=[], unmatched=0, kept=copies)
    return list(await store.read("archive", START))


def timed_record(number: int, seconds: int) -> NewRecord:
    record = new_record(number)
    time = event_time(FIRST + timedelta(seconds=seconds))
    return msgspec.structs.replace(record, event=msgspec.structs.replace(record.event, time=time))


def size_of(records: Sequence[Record]) -> LogSize:
    return LogSize(records=len(records), bytes=sum(len(record.event.encode()) for record in records))
