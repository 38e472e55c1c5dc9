"""Disks that are full, break, or hold something else; and the lock."""

import asyncio
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from partnerbus.kernel.errors import ConfigurationError, StoreLocked, StoreUnavailable
from partnerbus.kernel.failpoints import Failpoint, Failpoints
from partnerbus.store.embedded import EmbeddedStore, watchers
from partnerbus.store.embedded.database import SCHEMA_VERSION, make_folder
from partnerbus.store.protocol import START, DeliveryQuery
from partnerbus.testing.store_contract.world import LEASE, fill, new_record, owe
from tests.store.maker import EmbeddedMaker
from tests.store.processes import process
from tests.store.traces import commits


@contextmanager
def full_disk(store: EmbeddedStore) -> Iterator[None]:
    """SQLite may not use one more page."""
    connection = store._tables.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    try:
        yield
    finally:
        connection.execute("PRAGMA max_page_count = 1073741823")


@contextmanager
def broken_disk(more: int = 8_192) -> Iterator[None]:
    """The system refuses to let any file of this process grow beyond what the WAL has now, plus `more`."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_each_folder_that_is_made_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync, synced = os.fsync, set()

    def fsync(descriptor: int) -> None:
        synced.add(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    make_folder(tmp_path / "one" / "two" / "three")
    assert synced == {tmp_path, tmp_path / "one", tmp_path / "one" / "two"}
    make_folder(tmp_path / "one" / "two" / "three")
    assert len(synced) == 3


async def test_a_probe_finds_out_whether_the_disk_takes_anything(maker: EmbeddedMaker) -> None:
    store = await maker.open()
    stored = await fill(store, 10)
    wal = maker.folder / "partnerbus.db-wal"
    before = wal.stat().st_size
    await store.probe()
    assert wal.stat().st_size > before
    with broken_disk(wal.stat().st_size), pytest.raises(StoreUnavailable, match=r"partnerbus\.db"):
        await store.probe()
    await store.probe()
    assert await store.read("log", START) == stored


async def test_a_full_disk_refuses_and_recovers(maker: EmbeddedMaker) -> None:
    store = await maker.open()
    await fill(store, 10)
    with full_disk(store):
        answers = await asyncio.gather(
            *(fill(store, 50, first=100 * n) for n in range(1, 5)), return_exceptions=True
        )
        assert {type(answer) for answer in answers} == {StoreUnavailable}
        assert "full" in str(answers[0])
        assert "partnerbus.db" in str(answers[0])
        assert len(await store.read("log", START)) == 10
    assert len(await fill(store, 50, first=100)) == 50
    for _ in range(2):
        assert len(await store.read("log", START, limit=1000)) == 60
        assert (await store.ledger("log")).accepted == 60
        store = await maker.reopen()


async def test_new_names_of_a_group_that_failed_are_forgotten(maker: EmbeddedMaker) -> None:
    """What the writer remembers of a transaction that was undone must not be used by the next one."""
    store = await maker.open()
    stored = await fill(store, 50)
    with full_disk(store):
        with pytest.raises(StoreUnavailable):
            await store.append([new_record(n, "other") for n in range(100, 200)])
        for lane in range(300):
            try:
                await owe(store, stored, subscription=f"s{lane}" * 50, lane=f"l{lane}" * 50)
            except StoreUnavailable:
                break
    await owe(store, stored, subscription="s0" * 50, lane="l0" * 50)
    assert (await store.ledger("other")).accepted == 0
    await store.append([new_record(1_000, "other")])
    store = await maker.reopen()
    assert {delivery.lane[:2] for delivery in await store.deliveries(DeliveryQuery())} == {"l0"}
    assert len(await store.read("other", START)) == 1


async def test_a_disk_that_breaks_and_is_mended(maker: EmbeddedMaker) -> None:
    store = await maker.open()
    await fill(store, 10)
    with broken_disk():
        for first in (100, 200):
            with pytest.raises(StoreUnavailable, match="cannot be used right now"):
                await fill(store, 50, first=first)
    seen = commits(store)
    assert len(await fill(store, 50, first=300)) == 50
    assert seen.checkpoints_at == [0], "the WAL was made sure of before anything was acknowledged"
    for _ in range(2):
        records = await store.read("log", START, limit=1000)
        assert len(records) == 60
        store = await maker.reopen()


@pytest.mark.parametrize(
    "point", [Failpoint.APPEND_BEFORE_COMMIT, Failpoint.APPEND_COMMITTED, Failpoint.REGISTRY_BEFORE_COMMIT]
)
async def test_an_error_at_a_failpoint_is_not_acknowledged(tmp_path: Path, point: Failpoint) -> None:
    maker = EmbeddedMaker(tmp_path / "data", Failpoints({point: "error@1"}))
    store = await maker.open()
    is_registry = point is Failpoint.REGISTRY_BEFORE_COMMIT
    call = store.put("k", b"", 0) if is_registry else store.append([new_record(1)])
    with pytest.raises(StoreUnavailable):
        await call
    stored = len(await store.read("log", START))
    assert stored == (1 if point is Failpoint.APPEND_COMMITTED else 0)
    assert len(await fill(store, 1)) == 1
    assert len(await store.read("log", START)) == 1
    await maker.close()


async def test_a_damaged_file_is_named_and_not_served(maker: EmbeddedMaker) -> None:
    store = await maker.open()
    await fill(store, 200)
    await maker.close()
    path = maker.folder / "partnerbus.db"
    with path.open("r+b") as file:
        size = path.stat().st_size
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    with pytest.raises(StoreUnavailable, match=r"partnerbus\.db is damaged"):
        await maker.open()


async def test_a_damaged_event_is_not_served(maker: EmbeddedMaker) -> None:
    store = await maker.open()
    await owe(store, await fill(store, 2))
    store = await maker.reopen()
    store._tables.connection.execute("UPDATE records SET body = x'7b00' WHERE position = 1")
    with pytest.raises(StoreUnavailable, match="damaged"):
        await store.read("log", START)
    assert [claim.record.position for claim in (await store.claim("lane", 9, LEASE)).claims] == [2]


async def test_a_file_that_is_not_ours_is_left_alone(maker: EmbeddedMaker) -> None:
    maker.folder.mkdir()
    path = maker.folder / "partnerbus.db"
    path.write_bytes(b"a diary\n" * 1000)
    with pytest.raises(ConfigurationError, match="not a partnerbus database"):
        await maker.open()
    assert path.read_bytes() == b"a diary\n" * 1000
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE t (a)")
    other.close()
    with pytest.raises(ConfigurationError, match="not a partnerbus database"):
        await maker.open()


@pytest.mark.parametrize(
    ("version", "sentence"),
    [(SCHEMA_VERSION + 1, "by a newer partnerbus"), (SCHEMA_VERSION - 1, "by an older partnerbus")],
)
async def test_another_schema_is_refused(maker: EmbeddedMaker, version: int, sentence: str) -> None:
    await maker.open()
    await maker.close()
    other = sqlite3.connect(maker.folder / "partnerbus.db")
    other.execute(f"PRAGMA user_version = {version}")
    other.close()
    with pytest.raises(ConfigurationError, match=sentence):
        await maker.open()


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be made"):
        await EmbeddedMaker(tmp_path / "file" / "data").open()


async def test_a_folder_is_for_one(maker: EmbeddedMaker) -> None:
    await maker.open()
    with pytest.raises(StoreLocked, match=str(maker.folder)):
        await EmbeddedMaker(maker.folder).open()
    await maker.reopen()


async def test_a_refused_opening_lets_go_of_the_lock(maker: EmbeddedMaker) -> None:
    maker.folder.mkdir()
    path = maker.folder / "partnerbus.db"
    path.write_bytes(b"a diary\n" * 1000)
    with pytest.raises(ConfigurationError):
        await maker.open()
    path.unlink()
    await maker.open()


@pytest.mark.fault
async def test_the_lock_holds_between_processes_and_ends_with_them(maker: EmbeddedMaker) -> None:
    with process("open", maker.folder) as other:
        assert await asyncio.to_thread(other.readline) == "open"
        with pytest.raises(StoreLocked):
            await maker.open()
        await asyncio.to_thread(other.kill)
        await maker.open()


async def test_a_watcher_that_never_looks_is_given_up(
    maker: EmbeddedMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "WATCHER_CHANGES", 5)
    store = await maker.open()
    slow, quick = store.watch(), store.watch()
    for number in range(10):
        await store.put(f"k{number}", b"", 0)
        await anext(quick)
    assert [(await anext(slow)).key for _ in range(5)] == [f"k{n}" for n in range(5)]
    with pytest.raises(Exception, match="too far behind"):
        await anext(slow)
