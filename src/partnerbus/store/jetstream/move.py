"""What moving a store to a cluster and moving one from it have in common.

Both ends are marked first (`embedded.mark`), then nobody opens either. What is sent or fetched is kept from
one attempt to the next. In the end both sides' tables are read and compared, and only if they are the same
does one atomic act make the new end a store.
"""

import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec
import nats.errors

from partnerbus.kernel.errors import ConfigurationError, StoreLocked, StoreUnavailable
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.telemetry import Log
from partnerbus.store.embedded.database import FolderLock, unavailable
from partnerbus.store.embedded.digests import Compared, TableDigest, count_rows, digest_tables
from partnerbus.store.embedded.mark import Mark, read_mark
from partnerbus.store.jetstream.address import ClusterSettings, parse_cluster
from partnerbus.store.jetstream.session import Session


class Shows(Protocol):
    """Shows how far something has come: how much there is, what, and whether its steps are for people."""

    def __call__(
        self, length: int, label: str, *, show_steps: bool = True
    ) -> AbstractContextManager[Callable[[int], object]]: ...


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be moved: between the store in `folder` and the cluster, whose URL without secrets is `url`.

    `key` is the key file of the store's secrets.
    """

    folder: Path
    cluster: ClusterSettings
    url: str
    key: Path
    failpoints: Failpoints
    log: Log
    show: Shows


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """How a move ended. `finished_at` is None if the tables differ: then the target is no store.

    A move that an earlier run has finished compares nothing.
    """

    tables: Sequence[Compared] = ()
    finished_at: datetime | None = None


def lock(folder: Path) -> FolderLock:
    """The folder's lock; a `StoreLocked` says what to do if another process has it."""
    try:
        return FolderLock(folder)
    except StoreLocked:
        raise StoreLocked(
            f"The data folder {folder} is in use by another partnerbus process: stop it first, so that "
            "nothing changes while the store is moved."
        ) from None


@asynccontextmanager
async def begun(move: Move, *, is_source: bool) -> AsyncIterator[tuple[Mark | None, Session]]:
    """Own the folder, with the mark it has of this very move, and be connected, for the block's length."""
    async with AsyncExitStack() as stack:
        stack.enter_context(_told(move.folder))
        stack.callback(lock(move.folder).release)
        mark = read_mark(move.folder)
        if mark is not None:
            _check_same(move, mark, is_source=is_source)
        yield mark, await stack.enter_async_context(connected(move))


@asynccontextmanager
async def connected(move: Move) -> AsyncIterator[Session]:
    """Be connected with the cluster for the block's length."""
    with _told(move.folder):
        session = await Session.open(parse_cluster(move.cluster))
        try:
            yield session
        finally:
            await session.close()


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Say of a disk or a cluster that refuses, in the block, what there is to do."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(
            f"{error.filename or folder} cannot be written or read ({error.strerror or error}): "
            "mend that and run the same again; what is there stays."
        ) from error
    except sqlite3.Error as error:
        raise unavailable(folder, error) from error
    except nats.errors.Error as error:
        raise StoreUnavailable(f"The cluster refuses: {error}. Mend that and run the same again.") from error


def _check_same(move: Move, mark: Mark, *, is_source: bool) -> None:
    """Refuse a folder that is marked by another move than this one."""
    if mark.is_source != is_source or move.url != (mark.target if is_source else mark.source):
        raise ConfigurationError(mark.refusal(str(move.folder)))


def this_host() -> str:
    return socket.gethostname()


def digest(path: Path, show: Shows, label: str) -> Sequence[TableDigest]:
    """What the tables at `path` hold."""
    with show(count_rows(path), label) as advance:
        return digest_tables(path, advance)
