"""The embedded store: `partnerbus.store.protocol` on SQLite, in one folder, for one process.

Three kinds of hands touch the file: one writer thread (`writer`), one reader for the engine and one for
people, each with its own connection, so that a long look at the deliveries delays no event. Which verbs
must be on disk and what a group of them is, stands in `writer`; what the tables mean, in `schema.sql`.

In the event loop there is only what makes the common path short: the newest records (`tail`), the bytes
that wait for the writer, and the watchers of the registry. All of it changes only after a commit, in the
order of the commits, before the caller is answered.

The clock is read in the event loop when a verb is called, so a test that moves a clock knows what it gets.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import StoreOverloaded, StoreUnavailable
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.model.delivery import Claim, Delivery, NewDelivery, NewRecord, Record, Redrive, Settlement
from partnerbus.store.embedded import dead_letters, people, registry, routing
from partnerbus.store.embedded import deliveries as verbs
from partnerbus.store.embedded import records as record_verbs
from partnerbus.store.embedded.database import (
    DATABASE,
    END,
    FolderLock,
    connect,
    make_folder,
    prepare,
    to_micros,
    translated,
)
from partnerbus.store.embedded.reset import RESET, Resetting
from partnerbus.store.embedded.states import SETTLES_TO
from partnerbus.store.embedded.tables import Tables
from partnerbus.store.embedded.tail import RECORD_OVERHEAD, Tail
from partnerbus.store.embedded.writer import Writer
from partnerbus.store.protocol import (
    AT_ONCE,
    Backlog,
    Change,
    Claimed,
    DeliveryQuery,
    Kept,
    LaneDue,
    Ledger,
    LogInfo,
    LogSize,
    Place,
    Revised,
)

T = TypeVar("T")

PENDING_BYTES = 64 * 1024 * 1024
TAIL_BYTES = 32 * 1024 * 1024

CHUNK = 50
CHUNK_AT_MOST = 500
"""How many rows a sweep changes at once: what an append may have to wait for.

Between the two it is twice what was appended meanwhile: appends wait for about as long again as they take
themselves, and sweeps keep up with any load.
"""


READ_SECONDS = 30.0
"""How long one read may last, in real time: as long as it does, the write-ahead log only grows."""

STEPS_PER_LOOK = 10_000
"""How many steps SQLite takes between two looks at the time: about a millisecond of work."""


class Reader:
    """A connection with a thread of its own. A read that lasts longer than `most_seconds` is given up."""

    def __init__(self, path: Path, name: str, most_seconds: float = READ_SECONDS) -> None:
        self._path = path
        self._connection = connect(path, read_only=True)
        self._connection.set_progress_handler(self._is_late, STEPS_PER_LOOK)
        self._most_seconds = most_seconds
        self._late_at = 0.0
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"partnerbus-store-{name}")

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Give what `work` reads; `StoreUnavailable` if it cannot be read."""
        if self._closed:
            raise StoreUnavailable("The store is closed.")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, work)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._late_at = time.monotonic() + self._most_seconds
        with translated(self._path):
            return work(self._connection)

    def _is_late(self) -> bool:
        return time.monotonic() > self._late_at

    async def close(self) -> None:
        """Finish what was asked, then let go."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()


class EmbeddedStore:
    """A `partnerbus.store.protocol.Store` in a folder. Make it with `open`."""

    def __init__(
        self, path: Path, lock: FolderLock, tables: Tables, clock: Clock, failpoints: Failpoints, room: int
    ) -> None:
        self._lock = lock
        self._tables = tables
        self._clock = clock
        self._room = room
        self._closed = False
        self._appended = 0
        self._tail = Tail({name: log.head for name, log in tables.logs.items()}, TAIL_BYTES)
        self._watchers = registry.Watchers()
        self._reader = Reader(path, "reader")
        self._people = Reader(path, "people")
        self._writer = Writer(tables, path, failpoints)

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

    async def close(self) -> None:
        """Finish what was accepted, then let go of the folder."""
        if self._closed:
            return
        self._closed = True
        await self._writer.close()
        self._watchers.close()
        self._tail.wake_all()
        await self._reader.close()
        await self._people.close()
        await asyncio.to_thread(self._tables.connection.close)  # the last one out moves the WAL into the file
        self._lock.release()

    def _now(self) -> int:
        return to_micros(self._clock.now())

    def _until(self, lease: timedelta) -> int:
        return to_micros(self._clock.now() + lease)

    # -- logs ------------------------------------------------------------------------------------------

    async def append(self, records: Sequence[NewRecord], *, ordered: bool = False) -> Sequence[Record]:
        """See `LogStore.append`."""
        weight = sum(len(record.event.detail) for record in records) + RECORD_OVERHEAD * len(records)
        if self._writer.pending_bytes and self._writer.pending_bytes + weight > self._room:
            raise StoreOverloaded
        command = record_verbs.Appending(records, [record.event.encode() for record in records], self._now())
        self._appended += len(records)
        verb = record_verbs.APPEND_ORDERED if ordered else record_verbs.APPEND
        return await self._writer.submit(verb, command, weight, self._tail.push)

    async def read(
        self, log: str, after: int, *, until: int | None = None, limit: int = 256, wait: bool = False
    ) -> Sequence[Record]:
        """See `LogStore.read`."""
        last = END if until is None else until
        while True:
            self._check_open()
            tail = self._tail.log(log)
            arrived = tail.arrived
            if after >= tail.head:
                found: Sequence[Record] = ()
            elif after >= tail.floor:
                found = tail.after(after, last, limit)
            else:
                found = await self._reader.run(
                    lambda connection: record_verbs.read_records(connection, log, after, last, limit)
                )
            if found or not wait or tail.head >= last:
                return found
            await arrived.wait()

    async def read_by_minute(
        self, log: str, after: Place, *, before: int, until: int | None = None, limit: int = 256
    ) -> Sequence[Record]:
        """See `LogStore.read_by_minute`."""
        last = END if until is None else until
        return await self._people.run(
            lambda connection: record_verbs.read_by_minute(connection, log, after, before, last, limit)
        )

    async def find(self, dedup_ids: Sequence[bytes]) -> Sequence[Record]:
        """See `LogStore.find`."""
        return await self._people.run(lambda connection: people.find(connection, dedup_ids))

    async def size(self, log: str) -> LogSize:
        """See `LogStore.size`."""
        return await self._people.run(lambda connection: record_verbs.size(connection, log))

    async def seek(self, log: str, stored_at: datetime | None = None) -> int:
        """See `LogStore.seek`."""
        if stored_at is None:
            return await self._reader.run(lambda connection: record_verbs.head(connection, log))
        instant = to_micros(stored_at)
        return await self._reader.run(lambda connection: record_verbs.seek(connection, log, instant))

    async def trim(self, log: str, before: int, limit: int = 10_000) -> int:
        """See `LogStore.trim`. It goes in small steps, so that appends get in between."""
        gone = 0
        while gone < limit:
            step = min(self._chunk(), limit - gone)
            trimmed = await self._writer.submit(
                record_verbs.TRIM,
                record_verbs.Trimming(log, before, step),
                effect=lambda trimmed: self._tail.log(log).forget(trimmed.last),
            )
            gone += trimmed.count
            if trimmed.count < step:
                break
        return gone

    def _chunk(self) -> int:
        """How large the next step of a sweep may be."""
        appended, self._appended = self._appended, 0
        return min(max(CHUNK, 2 * appended), CHUNK_AT_MOST)

    async def logs(self) -> Sequence[LogInfo]:
        """See `LogStore.logs`."""
        return await self._people.run(record_verbs.log_infos)

    # -- cursors ---------------------------------------------------------------------------------------

    async def cursor(self, log: str, name: str) -> int:
        """See `CursorStore.cursor`."""
        return await self._reader.run(lambda connection: routing.cursor(connection, log, name))

    async def advance(
        self,
        log: str,
        name: str,
        to: int,
        *,
        owed: Sequence[NewDelivery],
        unmatched: int,
        kept: Sequence[Kept] = (),
        lease: timedelta = timedelta(seconds=60),
    ) -> Sequence[Claim]:
        """See `CursorStore.advance`."""
        command = routing.Advancing(
            log, name, to, owed, unmatched, kept, self._now(), self._until(lease), self._at_hand(log, owed)
        )
        done = await self._writer.submit(
            routing.ADVANCE, command, effect=lambda advanced: self._tail.push(advanced.kept)
        )
        return done.claims

    def _at_hand(self, log: str, owed: Sequence[NewDelivery]) -> dict[int, Record]:
        tail = self._tail.log(log)
        found = ((new.position, tail.at(new.position)) for new in owed if new.claimed)
        return {position: record for position, record in found if record is not None}

    # -- deliveries ------------------------------------------------------------------------------------

    async def lanes(self) -> Sequence[LaneDue]:
        """See `DeliveryStore.lanes`."""
        return await self._reader.run(people.lanes)

    async def claim(self, lane: str, limit: int, lease: timedelta) -> Claimed:
        """See `DeliveryStore.claim`."""
        command = verbs.Claiming(lane, limit, self._now(), self._until(lease))
        return await self._writer.submit(verbs.CLAIM, command)

    async def extend(self, claims: Sequence[Claim], lease: timedelta) -> Sequence[bool]:
        """See `DeliveryStore.extend`."""
        return await self._writer.submit(verbs.EXTEND, verbs.Extending(claims, self._until(lease)))

    async def settle(self, claim: Claim, settlement: Settlement) -> bool:
        """See `DeliveryStore.settle`."""
        if settlement.state not in SETTLES_TO:
            raise ValueError(f"a claim does not end {settlement.state}")
        return await self._writer.submit(verbs.SETTLE, verbs.Settling(claim, settlement, self._now()))

    async def deliveries(self, query: DeliveryQuery) -> Sequence[Delivery]:
        """See `DeliveryStore.deliveries`."""
        return await self._people.run(lambda connection: people.deliveries(connection, query))

    async def backlog(self) -> Sequence[Backlog]:
        """See `DeliveryStore.backlog`."""
        now = self._now()
        return await self._people.run(lambda connection: people.backlog(connection, now))

    async def redrive(self, ids: Sequence[tuple[str, int]], how: Redrive = AT_ONCE) -> int:
        """See `DeliveryStore.redrive`."""
        return await self._writer.submit(dead_letters.REDRIVE, dead_letters.Redriving(ids, how, self._now()))

    async def drop_dead(self, settled_before: datetime, limit: int = 10_000) -> int:
        """See `DeliveryStore.drop_dead`. It goes in small steps, so that appends get in between."""
        gone = 0
        while gone < limit:
            step = min(self._chunk(), limit - gone)
            command = dead_letters.Dropping(to_micros(settled_before), step)
            dropped = await self._writer.submit(dead_letters.DROP, command)
            gone += dropped
            if dropped < step:
                break
        return gone

    async def ledger(self, log: str) -> Ledger:
        """See `DeliveryStore.ledger`."""
        return await self._people.run(lambda connection: people.ledger(connection, log))

    # -- registry --------------------------------------------------------------------------------------

    async def get(self, key: str) -> Revised | None:
        """See `RegistryStore.get`."""
        return await self._reader.run(lambda connection: registry.get(connection, key))

    async def put(self, key: str, value: bytes, expected: int) -> int:
        """See `RegistryStore.put`."""
        return await self._set(key, value, expected)

    async def delete(self, key: str, expected: int) -> int:
        """See `RegistryStore.delete`."""
        return await self._set(key, None, expected)

    async def _set(self, key: str, value: bytes | None, expected: int) -> int:
        return await self._writer.submit(
            registry.SET,
            registry.Setting(key, value, expected),
            effect=lambda revision: self._watchers.tell(Change(key=key, value=value, revision=revision)),
        )

    async def list(self, prefix: str) -> Sequence[Revised]:
        """See `RegistryStore.list`."""
        return await self._reader.run(lambda connection: registry.list_values(connection, prefix))

    def watch(self) -> registry.Watcher:
        """See `RegistryStore.watch`."""
        return self._watchers.add()

    # -- everything ------------------------------------------------------------------------------------

    async def reset(self, keep: Sequence[str]) -> None:
        """See `Store.reset`."""
        await self._writer.submit(RESET, Resetting(keep), effect=self._forgotten)

    def _forgotten(self, removed: Sequence[Change]) -> None:
        self._tail.clear()
        for change in removed:
            self._watchers.tell(change)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("The store is closed.")


def _open(folder: Path, now: int) -> tuple[FolderLock, Tables]:
    path = folder / DATABASE
    make_folder(folder)
    with translated(path):
        lock = FolderLock(folder)
        try:
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
        verbs.release_all(tables, now)
        tables.connection.execute("COMMIT")
        tables.forget()
    except BaseException:
        tables.connection.close()
        raise
    return tables
