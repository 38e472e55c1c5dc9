"""Reading backwards: every record once, the newest first, whatever the gaps and however large they are."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from partnerbus.engine.newest_first import Damaged, Found, Mark, merged, newest_first
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.model.delivery import NewRecord, Record
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.store.embedded.database import DATABASE
from partnerbus.testing.store_contract.world import LARGE, fill, make_event

SECOND = timedelta(seconds=1)


@pytest.fixture
async def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[EmbeddedStore]:
    store = await EmbeddedStore.open(tmp_path, clock, Failpoints())
    yield store
    await store.close()


async def backwards(store: EmbeddedStore, log: str, **bounds: int) -> list[Found]:
    (info,) = [each for each in await store.logs() if each.log == log]
    return [record async for record in newest_first(store, info, **bounds)]


async def test_a_dense_log_behind_a_gap(store: EmbeddedStore) -> None:
    stored = await fill(store, 1_000)
    await fill(store, 3_000, "other", first=1_001)  # positions of its own between
    stored += await fill(store, 3, first=4_001)
    assert await backwards(store, "log") == stored[::-1]
    bounds = {"until": stored[900].position, "after": stored[100].position}
    assert await backwards(store, "log", **bounds) == stored[101:901][::-1]


async def test_records_that_fill_a_read_by_their_size(store: EmbeddedStore) -> None:
    stored = [
        record
        for number in range(1, 9)
        for record in await store.append(
            [NewRecord(log="log", dedup_id=number.to_bytes(16, "big"), event=make_event(number, LARGE))]
        )
    ]
    assert await backwards(store, "log") == stored[::-1]


async def test_what_was_trimmed_is_not_there(store: EmbeddedStore) -> None:
    stored = await fill(store, 10)
    await store.advance("log", "live", stored[-1].position, owed=[], unmatched=10)
    await store.trim("log", stored[6].position)
    assert await backwards(store, "log") == stored[6:][::-1]


async def test_several_logs_go_on_where_a_page_ended(store: EmbeddedStore, clock: ManualClock) -> None:
    number = 0
    every: list[Record] = []
    for _ in range(6):
        for log in ("a", "b", "a"):
            number += 1
            every += await fill(store, 1, log, first=number)
        await clock.advance(SECOND)
    infos = [each for each in await store.logs() if each.log in ("a", "b")]
    expected = sorted(every, key=Mark.of, reverse=True)
    assert [record async for record in merged(store, infos)] == expected
    for at in range(len(expected)):
        before = Mark.of(expected[at])
        behind = [record async for record in merged(store, infos, before=before)]
        assert behind == expected[at + 1 :]
    since, until = expected[-1].stored_at + SECOND, expected[0].stored_at
    found = [record async for record in merged(store, infos, since=since, until=until)]
    assert found == [record for record in expected if since <= record.stored_at < until]


@pytest.mark.parametrize("which", [[0], [99], [50], [50, 51], [0, 10, 11, 12, 99], list(range(100))])
async def test_what_is_damaged_is_told_of_in_its_place(
    tmp_path: Path, clock: ManualClock, which: list[int]
) -> None:
    store = await EmbeddedStore.open(tmp_path / "damaged", clock, Failpoints())
    stored = []
    for number in range(1, 101):
        stored += await fill(store, 1, first=number)
        await clock.advance(SECOND)
    await store.close()
    with closing(sqlite3.connect(tmp_path / "damaged" / DATABASE)) as connection, connection:
        for at in which:
            connection.execute(
                "UPDATE records SET checksum = checksum + 1 WHERE position = ?", (stored[at].position,)
            )
    store = await EmbeddedStore.open(tmp_path / "damaged", clock, Failpoints())
    infos = await store.logs()
    found = [each async for each in merged(store, infos)]
    assert [Mark.of(each) for each in found] == [Mark.of(record) for record in reversed(stored)]
    assert [99 - at for at, each in enumerate(found) if isinstance(each, Damaged)] == which[::-1]
    for at in range(100):  # a page may end with any
        assert [each async for each in merged(store, infos, before=Mark.of(found[at]))] == found[at + 1 :]
    await store.close()


@pytest.mark.parametrize("stored_at", [0, 2**62])
async def test_a_damaged_instant_moves_nothing_out_of_its_place(
    tmp_path: Path, clock: ManualClock, stored_at: int
) -> None:
    store = await EmbeddedStore.open(tmp_path / "damaged", clock, Failpoints())
    stored = [*await fill(store, 1)]
    await clock.advance(SECOND)
    stored += await fill(store, 2, first=2)
    await store.close()
    with closing(sqlite3.connect(tmp_path / "damaged" / DATABASE)) as connection, connection:
        connection.execute(
            "UPDATE records SET checksum = checksum + 1, stored_at = ? WHERE position = ?",
            (stored_at, stored[1].position),
        )
    store = await EmbeddedStore.open(tmp_path / "damaged", clock, Failpoints())
    newest, damaged, oldest = [each async for each in merged(store, await store.logs())]
    assert [newest, oldest] == [stored[2], stored[0]]
    assert stored[0].stored_at <= damaged.stored_at <= stored[2].stored_at
    await store.close()
