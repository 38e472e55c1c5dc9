"""Moving the store of a folder to a cluster.

Its file becomes the copy of the tables with which the new stream begins: it is sent part by part as it is, so
positions, revisions and ids stay, and a node that starts adds to it what the tables of a node have besides.

    mark the folder ─▶ make the stream, marked ─▶ send the parts, make an object of them
        ─▶ read it back and compare ─▶ take the mark off the stream ─▶ say in the folder's that it is done

Whatever is interrupted is done again from the beginning, but for what is there already.
"""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import msgspec

from partnerbus.kernel.errors import ConfigurationError, StoreUnavailable
from partnerbus.kernel.failpoints import Failpoint
from partnerbus.store.embedded.database import DATABASE, prepare, translated
from partnerbus.store.embedded.digests import compare
from partnerbus.store.embedded.mark import Mark, remove_mark, write_mark
from partnerbus.store.jetstream.move import (
    Move,
    Moved,
    begun,
    digest,
    this_host,
)
from partnerbus.store.jetstream.parts import Parts
from partnerbus.store.jetstream.read_model import remove_tables
from partnerbus.store.jetstream.session import Session
from partnerbus.store.jetstream.shelf import Shelf, bucket_of, copy_name, sequences_in
from partnerbus.store.jetstream.stream import MOVED_IN, Stream, is_taken

PART_BYTES = 512 * 1024

COPY = copy_name(MOVED_IN)

CHECKED = "moving.check"
"""What was read back from the cluster, in the source's folder until it has been compared."""


async def move_in(move: Move) -> Moved:
    """Move the store in the folder to the cluster, or go on with that, or say when it was done.

    Raises `StoreLocked` if somebody uses the folder, `ConfigurationError` if the store is not to be moved
    there, `StoreUnavailable` if that failed: the same again goes on with it.
    """
    if not (move.folder / DATABASE).exists():
        raise ConfigurationError(f"There is no store in {move.folder}.")
    async with begun(move, is_source=True) as (mark, session):
        if mark is not None and mark.finished_at is not None:
            return Moved(finished_at=mark.finished_at)
        return await _MoveIn(move, session).run(mark)


async def discard_in(move: Move) -> None:
    """Give up moving the folder's store to the cluster: what is there goes, the folder is a store again."""
    async with begun(move, is_source=True) as (mark, session):
        if mark is None:
            raise ConfigurationError(f"Nothing is being moved from {move.folder}.")
        stream = await Stream.find(session)
        is_there = stream is not None and stream.id == mark.id
        if mark.finished_at is not None or (is_there and not _is_being_filled(stream, mark)):
            raise ConfigurationError(f"{move.folder} was moved already: {move.url} is the store now.")
        if stream is not None and is_there:
            if not await _others_copies(session):
                await Shelf(session, stream).remove()
            await stream.remove()
        remove_tables(move.folder / CHECKED)
        remove_mark(move.folder)


def _is_being_filled(stream: Stream | None, mark: Mark) -> bool:
    """Whether the stream has the mark of that move still: a later one may have moved it away."""
    return stream is not None and stream.mark is not None and stream.mark.id == mark.id


async def _others_copies(session: Session) -> str:
    """The object store of the copies to be, if it has what no move has put there; else an empty string."""
    bucket = bucket_of(session.cluster.name)
    return bucket if max(await sequences_in(session, bucket), default=0) > MOVED_IN else ""


class _MoveIn:
    def __init__(self, move: Move, session: Session) -> None:
        self._move = move
        self._session = session
        self._path = move.folder / DATABASE

    async def run(self, mark: Mark | None) -> Moved:
        stream = await Stream.find(self._session)
        if stream is not None and (mark is None or stream.id != mark.id):
            raise is_taken(self._session.cluster)
        if mark is not None and stream is not None and not _is_being_filled(stream, mark):
            return self._finish(mark, Moved())
        if bucket := await _others_copies(self._session):
            raise ConfigurationError(
                f"{bucket} has copies of another store: run this again after `nats stream rm OBJ_{bucket}`"
            )
        await asyncio.to_thread(self._settle)
        source = await asyncio.to_thread(digest, self._path, self._move.show, "Reading")
        if mark is None:
            mark = self._begin()
        if stream is None:
            stream = await self._make(mark)
        shelf = Shelf(self._session, stream)
        await shelf.make()
        parts = Parts(self._session, shelf.bucket, mark.id)
        await self._send(parts, mark)
        try:
            await self._read_back(parts, mark)
            target = await asyncio.to_thread(digest, self._check_file, self._move.show, "Comparing")
        finally:
            remove_tables(self._check_file)
        tables = compare(source, target)
        if not all(table.is_same for table in tables):
            return Moved(tables=tables)
        self._move.failpoints.hit(Failpoint.MIGRATE_VERIFIED)
        await stream.set_mark(None)
        self._move.failpoints.hit(Failpoint.MIGRATE_OPENED)
        return self._finish(mark, Moved(tables=tables))

    @property
    def _check_file(self) -> Path:
        return self._move.folder / CHECKED

    def _settle(self) -> None:
        """Let everything be in the one file."""
        with translated(self._path):
            connection = prepare(self._path)
            try:
                busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.close()
        if busy:
            raise StoreUnavailable(f"Another program has {self._path} open: close it first.")

    def _begin(self) -> Mark:
        mark = Mark(
            id=uuid4().hex,
            source=str(self._move.folder.absolute()),
            target=self._move.url,
            host=this_host(),
            is_source=True,
            part_bytes=min(PART_BYTES, self._session.max_payload // 2),
        )
        write_mark(self._move.folder, mark)
        self._move.failpoints.hit(Failpoint.MIGRATE_MARKED)
        return mark

    async def _make(self, mark: Mark) -> Stream:
        theirs = msgspec.structs.replace(mark, is_source=False)
        try:
            stream = await Stream.make_marked(self._session, theirs, self._move.log)
        except ConfigurationError:
            remove_mark(self._move.folder)  # nothing was made: the folder is as it was
            raise
        self._move.failpoints.hit(Failpoint.MIGRATE_MADE)
        return stream

    # -- sending ---------------------------------------------------------------------------------------

    async def _send(self, parts: Parts, mark: Mark) -> None:
        """Send what is not there, and make an object of it."""
        there, last = await self._there(parts, mark)
        hashed, number, size = hashlib.sha256(), 0, 0
        with self._path.open("rb") as file, self._show_bytes("Sending") as advance:
            while data := file.read(mark.part_bytes):
                number += 1
                if number > there:
                    last = await parts.put(data, last)
                    self._move.failpoints.hit(Failpoint.MIGRATE_PART_DONE)
                hashed.update(data)
                size += len(data)
                advance(len(data))
        await parts.describe(COPY, size, number, hashed.digest())
        self._move.failpoints.hit(Failpoint.MIGRATE_COPIED)

    async def _there(self, parts: Parts, mark: Mark) -> tuple[int, int]:
        """How many parts need not be sent again, and the sequence of the last one."""
        count, last = await parts.count(), await parts.last()
        if last is None:
            return 0, 0
        if last.data == self._part(count - 1, mark.part_bytes):
            return count, last.sequence
        await parts.cut(COPY, 0)
        return 0, 0

    def _part(self, number: int, part_bytes: int) -> bytes:
        with self._path.open("rb") as file:
            file.seek(number * part_bytes)
            return file.read(part_bytes)

    async def _read_back(self, parts: Parts, mark: Mark) -> None:
        """Fetch every part and compare it with what was sent; one that differs is sent anew next time."""
        remove_tables(self._check_file)
        after = number = 0
        with (
            self._path.open("rb") as file,
            self._check_file.open("wb") as check,
            self._show_bytes("Reading back") as advance,
        ):
            while data := file.read(mark.part_bytes):
                number += 1
                part = await parts.next(after)
                if part is None or part.data != data:
                    await self._refuse(parts, number, after + 1 if part is None else part.sequence)
                check.write(part.data)
                after = part.sequence
                advance(len(data))
        if (more := await parts.next(after)) is not None:
            await self._refuse(parts, number + 1, more.sequence)

    async def _refuse(self, parts: Parts, number: int, sequence: int) -> NoReturn:
        await parts.cut(COPY, sequence)
        raise StoreUnavailable(
            f"Part {number} in the cluster is not what was sent: run the same again, and it is sent anew."
        )

    def _show_bytes(self, label: str) -> AbstractContextManager[Callable[[int], object]]:
        return self._move.show(self._path.stat().st_size, label, show_steps=False)

    def _finish(self, mark: Mark, moved: Moved) -> Moved:
        done = msgspec.structs.replace(mark, finished_at=datetime.now(UTC))
        write_mark(self._move.folder, done)
        return msgspec.structs.replace(moved, finished_at=done.finished_at)
