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
import base64
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from secrets import randbelow
from typing import Protocol, TypeVar

import msgspec
import nats.errors
import nats.js.errors
from nats.js.api import ObjectStoreConfig
from nats.js.object_store import ObjectStore

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import StoreError
from partnerbus.kernel.telemetry import Log
from partnerbus.store.embedded.database import connect, to_micros
from partnerbus.store.embedded.records import checksum
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.jetstream.duties import BEGIN_COPY, END_COPY, Copied, Copying
from partnerbus.store.jetstream.likeness import Note
from partnerbus.store.jetstream.parts import describe, description_subject, fetch_object
from partnerbus.store.jetstream.read_model import DamagedTables
from partnerbus.store.jetstream.session import ApiError, Session
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

LEFT_AFTER = timedelta(hours=1)
"""Whoever has added no part to a copy for so long was killed."""

COPY_FAILURES = (StoreError, ApiError, nats.errors.Error, OSError, sqlite3.Error, TimeoutError)
"""What making a copy may meet."""


class Publishes(Protocol):
    """What makes copies needs of a publisher."""

    full: asyncio.Event

    def submit(self, verb: Verb[A, T], argument: A, weight: int = 0) -> Awaitable[T]: ...


class _SubjectState(msgspec.Struct):
    subjects: dict[str, int] | None = None


class _Subjects(msgspec.Struct):
    state: _SubjectState


class _Taken(msgspec.Struct):
    time: datetime


class _Last(msgspec.Struct):
    message: _Taken


class _Anything(msgspec.Struct):
    pass


class Shelf:
    """Where the copies of a stream lie in the cluster."""

    def __init__(self, session: Session, stream: Stream) -> None:
        self._session = session
        self.bucket = f"{stream.name}-copies"
        self._stream = f"OBJ_{self.bucket}"
        self._replicas = stream.replicas

    async def make(self) -> None:
        """Make it, if it is not there."""
        await self._store(make=True)

    async def remove(self) -> None:
        """Take it away, with all that is on it."""
        try:
            await self._session.call(f"STREAM.DELETE.{self._stream}", {}, _Anything)
        except ApiError as error:
            if not error.is_not_found:
                raise

    async def newest(self) -> int:
        """The sequence of the newest copy, 0 if there is none."""
        return max(await self.sequences(), default=0)

    async def put(self, sequence: int, file: Path) -> None:
        """Keep `file` as the copy of the tables after the message `sequence`."""
        with file.open("rb") as data:
            await (await self._store(make=True)).put(copy_name(sequence), data)

    async def fetch(
        self, sequence: int, file: Path, advance: Callable[[int], object] = lambda _: None
    ) -> None:
        """Write that copy into `file`, which may hold the beginning of it (`parts.fetch_object`)."""
        await fetch_object(self._session, self.bucket, copy_name(sequence), file, advance)

    async def size(self, sequence: int) -> int:
        """How many bytes that copy has."""
        return (await describe(self._session, self.bucket, copy_name(sequence))).size

    async def drop(self, before: int) -> None:
        """Let go of the copies before that of the message `before`, and of those that were never whole.

        It publishes nothing, so it needs no room.
        """
        for sequence in await self.sequences():
            if sequence < before:
                parts = await self._parts_of(sequence)
                await self._purge(description_subject(self.bucket, copy_name(sequence)))
                await self._purge(parts)
        whole = {await self._parts_of(sequence) for sequence in await self.sequences()}
        for parts in await self._subjects("C"):
            if parts not in whole and await self._is_left(parts):
                await self._purge(parts)

    async def _parts_of(self, sequence: int) -> str:
        found = await describe(self._session, self.bucket, copy_name(sequence))
        return f"$O.{self.bucket}.C.{found.nuid}"

    async def _is_left(self, parts: str) -> bool:
        """Whether nobody adds to them any more."""
        body = {"last_by_subj": parts}
        last = await self._session.call(f"STREAM.MSG.GET.{self._stream}", body, _Last)
        return self._session.clock.now() >= last.message.time + LEFT_AFTER

    async def _purge(self, subject: str) -> None:
        await self._session.call(f"STREAM.PURGE.{self._stream}", {"filter": subject}, _Anything)

    async def sequences(self) -> Sequence[int]:
        """Those of all copies, the newest first."""
        names = [subject.rpartition(".")[2] for subject in await self._subjects("M")]
        return sorted((int(base64.urlsafe_b64decode(name)) for name in names), reverse=True)

    async def _subjects(self, kind: str) -> Collection[str]:
        body = {"subjects_filter": f"$O.{self.bucket}.{kind}.>"}
        try:
            found = await self._session.call(f"STREAM.INFO.{self._stream}", body, _Subjects)
        except ApiError as error:
            if error.is_not_found:
                return []
            raise
        return found.state.subjects or {}

    async def _store(self, *, make: bool = False) -> ObjectStore:
        context = self._session.client.jetstream()
        if make:
            with suppress(nats.js.errors.BadRequestError):  # somebody else has just made it
                return await context.create_object_store(
                    self.bucket, ObjectStoreConfig(replicas=self._replicas)
                )
        return await context.object_store(self.bucket)


def copy_name(sequence: int) -> str:
    """What the copy of the tables after that message is called."""
    return f"{sequence:020}"


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
