"""The log goes into the database beside the commits, is bounded, and is not trusted after an error."""

import asyncio
import errno
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from unittest import mock

import pytest

from partnerbus.kernel.errors import StoreUnavailable
from partnerbus.store.embedded import EmbeddedStore, checkpoints
from partnerbus.store.protocol import START
from partnerbus.testing.store_contract.world import fill
from tests.store.maker import EmbeddedMaker
from tests.store.traces import commits

SOME = 20
PATIENCE_SECONDS = 120
"""How long a test waits for what another thread will do."""

FRAME = 4_096 + 24
HEADER = 32


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is worth copying, and nothing is so much that the writer would see to it alone."""
    monkeypatch.setattr(checkpoints, "WORTH_COPYING", 50)
    monkeypatch.setattr(checkpoints, "TOO_MANY", sys.maxsize)


def frames(store: EmbeddedStore) -> int:
    return store._checkpoints._index.frames


def log_bytes(maker: EmbeddedMaker) -> int:
    return (maker.folder / "partnerbus.db-wal").stat().st_size


def log_salts(maker: EmbeddedMaker) -> bytes:
    """Other ones each time that the log was begun anew."""
    with (maker.folder / "partnerbus.db-wal").open("rb") as log:
        return log.read(24)[16:]


async def fill_until_the_log_is_begun_anew(store: EmbeddedStore, first: int = 1) -> int:
    """Append, a few at a time, and give how many there are then."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        for number in count(first, SOME):
            before = frames(store)
            await fill(store, SOME, first=number)
            if frames(store) < before:
                return number + SOME - first
    raise AssertionError


@contextmanager
def in_the_middle_of_the_log(maker: EmbeddedMaker) -> Iterator[None]:
    """A reader that does not come to its end."""
    with closing(sqlite3.connect(maker.folder / "partnerbus.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM records").fetchone()
        yield


async def test_the_log_is_begun_anew_while_the_writer_goes_on(maker: EmbeddedMaker) -> None:
    store = await maker.open()
    stored = 0
    for _ in range(3):
        stored += await fill_until_the_log_is_begun_anew(store, first=1 + stored)
    found = await store.read("log", START, limit=1_000_000)
    assert len(found) == stored
    store = await maker.reopen()
    assert list(await store.read("log", START, limit=1_000_000)) == list(found)


async def test_the_writer_copies_what_the_thread_left(
    maker: EmbeddedMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await maker.open()
    store._checkpoints._own.close()
    monkeypatch.setattr(store._checkpoints, "_own", mock.Mock())  # whatever it is told, it copies nothing
    await fill_until_the_log_is_begun_anew(store)


async def test_publishers_wait_for_a_reader_rather_than_that_the_log_grows(
    maker: EmbeddedMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    most, group = 200, 30
    monkeypatch.setattr(checkpoints, "TOO_MANY", most)
    store = await maker.open()
    await fill(store, SOME)
    seen = commits(store)

    async def fill_much() -> None:
        for number in range(100):
            await fill(store, SOME, first=1_000 + SOME * number)

    with in_the_middle_of_the_log(maker):
        filling = asyncio.create_task(fill_much())
        assert await asyncio.to_thread(seen.waits_for_readers.wait, PATIENCE_SECONDS)
    await filling
    assert log_bytes(maker) <= HEADER + (most + group) * FRAME
    assert len(await store.read("log", START, limit=10_000)) == 101 * SOME


async def test_what_a_failed_sync_dropped_is_copied_again(
    maker: EmbeddedMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every page copied since the last good sync is lost with the next one; the disk says so once."""
    store = await maker.open()
    path = maker.folder / "partnerbus.db"
    synced, log_begun = path.read_bytes(), log_salts(maker)
    sync, dropped = os.fsync, threading.Event()

    def drop(file: int) -> None:
        nonlocal synced, log_begun
        index = store._checkpoints._index
        is_synced = index.copied == index.frames or log_begun != log_salts(maker)
        if dropped.is_set() or is_synced:  # SQLite has synced what it copied, so that is not lost any more
            sync(file)
            synced, log_begun = path.read_bytes(), log_salts(maker)
            return
        with path.open("r+b") as database:
            database.write(synced)
            database.truncate()
        dropped.set()
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(checkpoints, "_sync", drop)
    stored, refused = 0, 0
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not dropped.is_set():
            try:
                stored += len(await fill(store, SOME, first=1 + stored))
            except StoreUnavailable:  # it was committed while the sync failed; it is repeated
                refused += 1
    assert refused <= 1
    stored += await fill_until_the_log_is_begun_anew(store, first=1 + stored)
    store = await maker.reopen()
    assert len(await store.read("log", START, limit=1_000_000)) == stored
    assert integrity(path) == "ok"


def integrity(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


async def test_what_was_committed_beside_a_failed_sync_is_not_acknowledged(maker: EmbeddedMaker) -> None:
    store = await maker.open()
    await fill(store, 1)
    connection = store._tables.connection

    def fail(statement: str) -> None:
        if statement == "COMMIT":
            store._checkpoints.is_suspect = True
            connection.set_trace_callback(None)

    connection.set_trace_callback(fail)
    with pytest.raises(StoreUnavailable, match="cannot be used right now"):
        await fill(store, 1, first=2)
    seen = commits(store)
    await fill(store, 1, first=2)
    assert seen.checkpoints_at == [0], "the log was copied and synced before anything was acknowledged"
    assert len(await store.read("log", START)) == 2
