"""Copies of the tables in the cluster, which bound the stream: what they hold need not be run again.

One node at a time makes a copy (`duties` decides whose turn it is) from tables that stand still for the
length of one read, and puts it into an object store beside the stream, under the sequence of the last message
that is in it. Then the stream is purged up to the copy *before*, so that nodes which are a little behind need
none.

When the stream is full nothing can be published, not even whose turn it is. Whoever notices lets it forget
what the last copy has, which needs no room anywhere; if that was done already, makes a copy and purges up to
it (`Room`).
"""

import asyncio
import sqlite3
from collections.abc import Awaitable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from secrets import randbelow
from typing import Protocol, TypeVar

import nats.errors

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import StoreError
from partnerbus.kernel.telemetry import Log
from partnerbus.store.embedded.database import connect, to_micros
from partnerbus.store.embedded.records import checksum
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.jetstream.duties import BEGIN_COPY, END_COPY, Copied, Copying
from partnerbus.store.jetstream.likeness import Note
from partnerbus.store.jetstream.read_model import DamagedTables
from partnerbus.store.jetstream.session import ApiError, Session
from partnerbus.store.jetstream.shelf import Shelf
from partnerbus.store.jetstream.stream import Stream

A = TypeVar("A")
T = TypeVar("T")

COPY_AFTER_MESSAGES = 50_000
COPY_AFTER_BYTES = 256 * 1024 * 1024
"""After so much behind the last copy the next one is made: what a new node has to run at most twice over."""

ROOM_AFTER = timedelta(seconds=0.5)
"""Within so long one of the nodes that have noticed a full stream begins to make room for all."""

PUBLISHED_AFTER = timedelta(milliseconds=200)
"""Once there is room, what waits was published again by then."""

TRY_AGAIN_AFTER, TRY_AGAIN_AT_LEAST_EVERY = timedelta(seconds=1), timedelta(minutes=1)
"""After a failure, and after more and more of them: a copy is much work, and may have no room either."""

LOOK_EVERY = timedelta(seconds=10)
COPY_LASTS = timedelta(minutes=10)
"""After so long it is another node's turn."""

COPY_FAILURES = (StoreError, ApiError, nats.errors.Error, OSError, sqlite3.Error, TimeoutError)
"""What making a copy may meet."""


class Publishes(Protocol):
    """What makes copies needs of a publisher."""

    full: asyncio.Event

    def submit(self, verb: Verb[A, T], argument: A, weight: int = 0) -> Awaitable[T]: ...


class Room:
    """Makes room in a full stream, without a word in it. `path` is that of this node's tables."""

    def __init__(self, session: Session, stream: Stream, path: Path) -> None:
        self._session = session
        self._stream = stream
        self._path = path
        self.shelf = Shelf(session, stream)

    async def make(self) -> Copied | None:
        """The copy up to which the stream has forgotten all; None if another node was faster."""
        first = (await self._stream.state()).first_seq
        await self._session.clock.sleep(ROOM_AFTER * randbelow(100) / 100)
        if (await self._stream.state()).first_seq > first:
            return None
        copied = Copied(await asyncio.to_thread(_copied, self._path), Note())
        if copied.sequence < first or copied.sequence not in await self.shelf.sequences():
            copied = await self.put()
        await self._stream.forget(copied.sequence + 1)
        await self.shelf.drop(copied.sequence)
        return copied

    async def put(self) -> Copied:
        """Put a copy on the shelf."""
        file = self._path.with_name(self._path.name + ".copy")
        try:
            copied = await asyncio.to_thread(_copy, self._path, file)
            await self.shelf.put(copied.sequence, file)
        finally:
            file.unlink(missing_ok=True)
        return copied


class Copier:
    """Makes copies of the tables at `path` when it is time, or there is no room; `run` must run."""

    def __init__(
        self,
        session: Session,
        stream: Stream,
        path: Path,
        publisher: Publishes,
        clock: Clock,
        log: Log,
        after_messages: int = COPY_AFTER_MESSAGES,
    ) -> None:
        self._session = session
        self._stream = stream
        self._room = Room(session, stream, path)
        self._shelf = self._room.shelf
        self._failures = 0
        self._path = path
        self._publisher = publisher
        self._clock = clock
        self._log = log
        self._after_messages = after_messages

    async def run(self) -> None:
        """Look now and then whether it is time, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with self._session.clock.timeout(LOOK_EVERY):
                    await self._publisher.full.wait()
            await self.look()

    async def look(self) -> None:
        """Make a copy if it is time. Raises `DamagedTables` if there is nothing that could be copied."""
        try:
            if self._publisher.full.is_set():
                await self._make_room()
            elif (copied := await self._due()) is not None and await self._is_my_turn(copied):
                await self._make()
            self._failures = 0
        except DamagedTables:
            raise  # trying again would not mend them
        except COPY_FAILURES as error:
            self._log.warning("tables not copied", error=str(error))
            pause = min(TRY_AGAIN_AFTER * 2**self._failures, TRY_AGAIN_AT_LEAST_EVERY)
            self._failures = min(self._failures + 1, 10)
            await self._session.clock.sleep(pause)

    async def _due(self) -> int | None:
        """The sequence of the last copy, if the next one is due."""
        state, copied = await self._stream.state(), await asyncio.to_thread(_copied, self._path)
        behind = state.last_seq - copied
        there = max(1, state.last_seq - state.first_seq + 1)
        is_due = behind >= self._after_messages or state.bytes * min(1, behind / there) >= COPY_AFTER_BYTES
        return copied if is_due else None

    async def _is_my_turn(self, copied: int) -> bool:
        now = self._clock.now()
        return await self._publisher.submit(
            BEGIN_COPY, Copying(copied, to_micros(now), to_micros(now + COPY_LASTS))
        )

    async def _make(self) -> None:
        copied = await self._room.put()
        copies = await self._publisher.submit(END_COPY, copied)
        if copies.previous:
            await self._stream.forget(copies.previous + 1)
            await self._shelf.drop(copies.previous)
        self._log.info("tables copied", sequence=copied.sequence)

    async def _make_room(self) -> None:
        copied = await self._room.make()
        if copied is not None:
            await self._publisher.submit(END_COPY, copied)
            self._log.warning("stream was full", purged_up_to=copied.sequence)
        await self._session.clock.sleep(PUBLISHED_AFTER)


def _check_events(connection: sqlite3.Connection) -> None:
    """No copy passes on what a disk has changed."""
    for position, body, expected in connection.execute("SELECT position, body, checksum FROM records"):
        if checksum(position, body) != expected:
            raise DamagedTables(f"The event at position {position} is damaged in this node's tables.")


def _copied(path: Path) -> int:
    connection = connect(path, read_only=True)
    try:
        return int(connection.execute("SELECT copied FROM journal").fetchone()[0])
    finally:
        connection.close()


def _copy(path: Path, file: Path) -> Copied:
    """Copy the tables as they are at one moment."""
    file.unlink(missing_ok=True)
    connection = connect(path)
    try:
        connection.execute("VACUUM INTO ?", (str(file),))
    finally:
        connection.close()
    made = connect(file, read_only=True)
    try:
        _check_events(made)
        applied, *noted = made.execute("SELECT applied, noted, noted_checksum FROM journal").fetchone()
        return Copied(applied, Note(*noted))
    finally:
        made.close()
