"""The embedded store: `partnerbus.store.protocol` on SQLite, in one folder, for one process.

What its verbs do stands in `table_store`; which of them must be on disk and what a group of them is, in
`writer`; what the tables mean, in `schema.sql`.
"""

import asyncio
from pathlib import Path

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.store.embedded import deliveries
from partnerbus.store.embedded.checkpoints import Checkpoints
from partnerbus.store.embedded.database import (
    DATABASE,
    FolderLock,
    check_only,
    make_folder,
    prepare,
    to_micros,
    translated,
)
from partnerbus.store.embedded.seen import Seen
from partnerbus.store.embedded.table_store import PENDING_BYTES, TAIL_BYTES, TableStore
from partnerbus.store.embedded.tables import Tables
from partnerbus.store.embedded.tail import Tail
from partnerbus.store.embedded.wal import damaged_copy, wal_of
from partnerbus.store.embedded.writer import Writer


class EmbeddedStore(TableStore):
    """A store in a folder. Make it with `open`."""

    def __init__(
        self, path: Path, lock: FolderLock, tables: Tables, clock: Clock, failpoints: Failpoints, room: int
    ) -> None:
        self._path = path
        self._lock = lock
        self._tables = tables
        seen = Seen(Tail({name: log.head for name, log in tables.logs.items()}, TAIL_BYTES))
        self._checkpoints = Checkpoints(path, tables.connection)
        self._writer = Writer(tables, self._checkpoints, path, failpoints, seen)
        super().__init__(path, seen, clock, self._writer, room)

    @classmethod
    async def open(
        cls, folder: Path, clock: Clock, failpoints: Failpoints, *, pending_bytes: int = PENDING_BYTES
    ) -> "EmbeddedStore":
        """Open the store in `folder`, which is made if it does not exist.

        `pending_bytes` bounds the bytes of events that wait for the disk. Raises `StoreLocked` if another
        process has the folder, `ConfigurationError` if what lies there is not a store of this version,
        `StoreUnavailable` if it cannot be read.
        """
        lock, tables = await asyncio.to_thread(_open, folder, to_micros(clock.now()))
        return cls(folder / DATABASE, lock, tables, clock, failpoints, pending_bytes)

    @property
    def damage(self) -> str | None:
        """What the operator must know of a damage that was found when this store was opened, or before."""
        wal = wal_of(self._path)
        copy = damaged_copy(wal)
        if not copy.exists():
            return None
        return (
            f"{wal} was damaged in the middle: what was committed behind that place is lost, "
            f"acknowledged or not. It was kept as {copy}. Restore the folder from a copy, or remove that "
            "file to hear no more of it."
        )

    async def close(self) -> None:
        """Finish what was accepted, then let go of the folder."""
        if self._closed:
            return
        self._closed = True
        await self._writer.close()
        await self._stop_reading()
        await asyncio.to_thread(self._checkpoints.close)
        self._lock.release()


def _open(folder: Path, now: int) -> tuple[FolderLock, Tables]:
    path = folder / DATABASE
    make_folder(folder)
    with translated(path):
        lock = FolderLock(folder)
        try:
            check_only(folder, DATABASE)
            return lock, _load(path, now)
        except BaseException:
            lock.release()
            raise


def _load(path: Path, now: int) -> Tables:
    tables = Tables(prepare(path))
    try:
        tables.connection.execute("PRAGMA synchronous = FULL")
        tables.connection.execute("BEGIN IMMEDIATE")
        tables.begin_epoch()
        deliveries.release_all(tables, now)
        tables.connection.execute("COMMIT")
        tables.forget()
    except BaseException:
        tables.connection.close()
        raise
    return tables
