"""Moving the store of a cluster to a folder.

The newest copy of the tables is fetched part by part, and what the stream has behind it is run, as a node
that starts does. What comes of it, without what only the tables of a node have, is the file of an embedded
store.

    mark the folder ─▶ fetch the copy, catch up ─▶ mark the stream, catch up with what came meanwhile
        ─▶ write the new file and compare ─▶ give it its name ─▶ say in the stream's mark that it is done
        ─▶ take the mark off the folder

Until the stream is marked nodes may serve: who still does is named, and what was fetched by then is kept.
From then on it takes no commands, so a node that was cut off cannot change what has been moved.
"""

import asyncio
import os
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import msgspec

from partnerbus.kernel.clock import SystemClock
from partnerbus.kernel.errors import ConfigurationError, StoreUnavailable
from partnerbus.kernel.failpoints import Failpoint
from partnerbus.kernel.secrets import copy_key_file
from partnerbus.model.resources import ClusterNode, decode_resource, node_key
from partnerbus.store.embedded.database import (
    DATABASE,
    SHARED_TABLES,
    connect,
    make_folder,
    translated,
)
from partnerbus.store.embedded.digests import NODE_TABLES, compare
from partnerbus.store.embedded.mark import Mark, remove_mark, sync_names, write_mark
from partnerbus.store.jetstream.catching_up import leads_on
from partnerbus.store.jetstream.move import Move, Moved, begun, digest, this_host
from partnerbus.store.jetstream.move_source import is_here, lost_its_folder, refusal, source_of
from partnerbus.store.jetstream.read_model import (
    ReadModel,
    adopt_tables,
    open_tables,
    remove_tables,
    was_left_open,
)
from partnerbus.store.jetstream.replica import Replica
from partnerbus.store.jetstream.session import Session
from partnerbus.store.jetstream.shelf import Shelf
from partnerbus.store.jetstream.stream import Stream

FETCHED = "moving.copy"
"""What there is of the cluster's copy of the tables."""

TABLES = "moving.tables"
"""A whole copy, and what the stream has made of it since."""

DRAFT = "moving.db"
"""The store to be."""


async def move_out(move: Move) -> Moved:
    """Move the store in the cluster to the folder, or go on with that, or say when it was done.

    Raises `StoreLocked` if somebody uses the folder, `ConfigurationError` if the store is not to be moved
    there, or nodes still serve it, `StoreUnavailable` if that failed: the same again goes on with it.
    """
    make_folder(move.folder)
    async with begun(move, is_source=False) as (mark, session):
        return await _MoveOut(move, session, await source_of(move, session, mark)).run(mark)


async def discard_out(move: Move) -> None:
    """Give up moving the cluster's store to the folder: what is there goes, the cluster is as before.

    So it is if the folder was lost. What was finished stays; see `move_source.reopen`.
    """
    make_folder(move.folder)
    async with begun(move, is_source=False) as (mark, session):
        stream = await source_of(move, session, mark)
        theirs = stream.mark
        if mark is None and not lost_its_folder(move, theirs):
            why = "." if theirs is None else f": {refusal(move, stream, theirs)}"
            raise ConfigurationError(f"Nothing is being moved to {move.folder}{why}")
        is_ours = theirs is not None and (mark is None or theirs.id == mark.id)
        if is_ours and theirs is not None and theirs.finished_at is not None:
            raise ConfigurationError(f"{move.url} was moved already: run `{theirs.command}` once more.")
        for name in (DATABASE, DRAFT, TABLES, FETCHED):
            remove_tables(move.folder / name)
        if is_ours:
            await stream.set_mark(None)
        remove_mark(move.folder)


class _MoveOut:
    def __init__(self, move: Move, session: Session, stream: Stream) -> None:
        self._move = move
        self._session = session
        self._stream = stream
        self._shelf = Shelf(session, stream)
        self._tables = move.folder / TABLES

    async def run(self, mark: Mark | None) -> Moved:
        if mark is None and lost_its_folder(self._move, self._stream.mark):
            await self._stream.set_mark(None)
        theirs = self._stream.mark
        if theirs is not None and (mark is None or theirs.id != mark.id):
            if mark is None and self._is_done(theirs):
                return Moved(finished_at=theirs.finished_at)
            raise ConfigurationError(refusal(self._move, self._stream, theirs))
        if mark is None:
            mark = self._begin()
        elif theirs is None:
            self._check_not_taken_back()
        copy_key_file(self._move.key, self._move.folder)
        if theirs is not None and theirs.finished_at is not None:
            return self._open(Moved(finished_at=theirs.finished_at))
        await self._catch_up()
        if theirs is None:
            await self._close_source(mark)
        self._move.failpoints.hit(Failpoint.MIGRATE_CAUGHT_UP)
        source = await asyncio.to_thread(digest, self._tables, self._move.show, "Reading")
        await asyncio.to_thread(self._write_draft)
        target = await asyncio.to_thread(digest, self._draft, self._move.show, "Comparing")
        tables = compare(source, target)
        if not all(table.is_same for table in tables):
            return Moved(tables=tables)
        self._move.failpoints.hit(Failpoint.MIGRATE_VERIFIED)
        return await self._finish(mark, Moved(tables=tables))

    @property
    def _draft(self) -> Path:
        return self._move.folder / DRAFT

    def _is_done(self, theirs: Mark) -> bool:
        """Whether the store was moved to this very folder."""
        is_whole = theirs.finished_at is not None and (self._move.folder / DATABASE).exists()
        return is_whole and is_here(self._move, theirs)

    def _check_not_taken_back(self) -> None:
        """Never write over a whole store: the stream may have been put back to what it was before."""
        if (file := self._move.folder / DATABASE).exists():
            raise ConfigurationError(
                f"{file} is whole, but {self._move.url} knows of no move to it any more: run this with "
                f"--discard to throw {DATABASE} away, or remove moving.* beside it to use that"
            )

    def _begin(self) -> Mark:
        folder = self._move.folder
        if (folder / DATABASE).exists() or (folder / SHARED_TABLES).exists():
            raise ConfigurationError(f"{folder} holds a store already: name another folder.")
        mark = Mark(
            id=uuid4().hex,
            source=self._move.url,
            target=str(folder.absolute()),
            host=this_host(),
            is_source=False,
            stream=self._stream.id,
        )
        write_mark(folder, mark)
        self._move.failpoints.hit(Failpoint.MIGRATE_MARKED)
        return mark

    # -- fetching --------------------------------------------------------------------------------------

    async def _catch_up(self) -> None:
        """Let the tables be those after the last message of the stream, which no node writes to any more."""
        model = await self._begun_tables()
        try:
            replica = Replica(self._session, self._stream, model, SystemClock())
            try:
                await replica.follow()
            finally:
                await replica.close()
        finally:
            model.connection.close()
        self._check_nobody_lives()

    async def _begun_tables(self) -> ReadModel:
        """Tables from which the stream leads on: an earlier attempt's, or the cluster's newest copy."""
        model = await asyncio.to_thread(open_tables, self._tables, self._stream.id)
        if await leads_on(self._stream, model, await self._stream.state()):
            return model
        model.connection.close()
        remove_tables(self._tables)
        if newest := await self._shelf.newest():
            await self._fetch(newest)
        model = await asyncio.to_thread(open_tables, self._tables, self._stream.id)
        if not await leads_on(self._stream, model, await self._stream.state(), is_copy=True):
            model.connection.close()
            raise StoreUnavailable(
                f"The stream {self._stream.name} begins behind every copy of the tables: "
                "restore it and its copies from a backup."
            )
        return model

    async def _fetch(self, sequence: int) -> None:
        fetched = self._move.folder / FETCHED
        if was_left_open(fetched):  # then it is no part of the copy any more, and what it left spoils another
            remove_tables(fetched)
        size = await self._shelf.size(sequence)
        with self._move.show(size, "Fetching", show_steps=False) as advance:
            await self._shelf.fetch(sequence, fetched, advance)
        adopt_tables(fetched, self._stream.id, sequence)
        fetched.replace(self._tables)

    def _check_nobody_lives(self) -> None:
        """Refuse while a node has a lease."""
        now = datetime.now(UTC)
        living = [node for node in _nodes(self._tables) if node.leased_until > now]
        if living:
            named = ", ".join(
                f"{node.name} at {node.url} (until {node.leased_until:%H:%M:%S} UTC)" for node in living
            )
            raise ConfigurationError(
                f"Nodes still serve {self._move.url}: {named}. Stop them, or wait until their leases "
                "have ended, and run the same again; what was fetched stays."
            )

    async def _close_source(self, mark: Mark) -> None:
        """Let nothing change in the cluster any more, and take what has changed until then."""
        await self._stream.set_mark(msgspec.structs.replace(mark, is_source=True))
        self._move.failpoints.hit(Failpoint.MIGRATE_MADE)
        try:
            await self._catch_up()
        except ConfigurationError:  # a node has begun meanwhile
            await self._stream.set_mark(None)
            raise

    # -- writing ---------------------------------------------------------------------------------------

    def _write_draft(self) -> None:
        """Write the tables of every store into a file of their own, on the disk when this ends."""
        remove_tables(self._draft)
        with translated(self._tables), closing(connect(self._tables)) as connection:
            connection.execute("VACUUM INTO ?", (str(self._draft),))
        with translated(self._draft), closing(connect(self._draft)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            for table in sorted(NODE_TABLES):
                connection.execute(f"DROP TABLE {table}")
        _sync(self._draft)
        self._move.failpoints.hit(Failpoint.MIGRATE_COPIED)

    async def _finish(self, mark: Mark, moved: Moved) -> Moved:
        state, found = await self._stream.state(), await Stream.find(self._session)
        applied = await asyncio.to_thread(_applied, self._tables)
        if state.last_seq != applied or found is None or found.mark is None or found.mark.id != mark.id:
            raise StoreUnavailable(f"{self._move.url} was changed while it was moved: run the same again.")
        self._draft.replace(self._move.folder / DATABASE)
        sync_names(self._move.folder)
        self._move.failpoints.hit(Failpoint.MIGRATE_OPENED)
        done = msgspec.structs.replace(mark, is_source=True, finished_at=datetime.now(UTC))
        await self._stream.set_mark(done)
        self._move.failpoints.hit(Failpoint.MIGRATE_SOURCE_MARKED)
        return self._open(msgspec.structs.replace(moved, finished_at=done.finished_at))

    def _open(self, moved: Moved) -> Moved:
        """The one act that makes the folder a store, once what only the move needed is gone."""
        for name in (DRAFT, TABLES, FETCHED):
            remove_tables(self._move.folder / name)
        remove_mark(self._move.folder)
        return moved


def _nodes(tables: Path) -> Sequence[ClusterNode]:
    with translated(tables), closing(connect(tables, read_only=True)) as connection:
        prefix = node_key("")
        rows = connection.execute(
            "SELECT value FROM registry WHERE substr(key, 1, ?) = ? ORDER BY key", (len(prefix), prefix)
        ).fetchall()
    found = [decode_resource(value) for (value,) in rows]
    return [node for node in found if isinstance(node, ClusterNode)]


def _applied(tables: Path) -> int:
    with translated(tables), closing(connect(tables, read_only=True)) as connection:
        return int(connection.execute("SELECT applied FROM journal").fetchone()[0])


def _sync(file: Path) -> None:
    with file.open("rb") as data:
        os.fsync(data.fileno())
