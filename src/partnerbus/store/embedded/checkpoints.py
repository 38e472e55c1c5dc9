"""How pages come from the write-ahead log into the database while the writer goes on.

SQLite would do it inside a commit, and everybody would wait for that one: the pages lie all over the file,
and syncing a thousand of them takes a hundred times as long as syncing the log. So a thread of its own copies
them. It never catches up with a busy writer, and only a log of which everything was copied can be begun anew;
but it comes close. Then the writer copies the last few itself, between two groups, and SQLite begins the log
anew with the next commit, if no reader is in the middle of it.

    the log has WORTH_COPYING more frames    the writer wakes the thread, which copies and syncs
    all but FEW frames are copied            the thread leaves them to the writer
    the log has TOO_MANY frames              the writer copies the rest and waits for the readers

What SQLite notes as copied need not be on disk: it syncs the database only where it copied everything there
was. A sync that fails, whoever asked for it, may have dropped any of these pages, and the next one says
nothing about them. So after an input/output error nothing counts as copied, nothing is acknowledged, and the
whole log is copied again.
"""

import mmap
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from partnerbus.store.embedded.database import connect, is_io_error

WORTH_COPYING = 1_000
"""Frames (4 KiB and a little): as many as SQLite itself would wait for."""

FEW = 64
"""Frames that the writer copies in about the time that a group takes."""

TOO_MANY = 16_384
"""Frames, 64 MiB: publishers wait rather than that the log grows."""

PASSES = 4
"""How often the thread copies what came meanwhile, before it lets the writer have the rest."""

_sync = getattr(os, "fdatasync", os.fsync)


class LogIndex:
    """The index of the log that SQLite's connections share (`-shm`; documented as the WAL-index format).

    Its file stays open as long as any connection: closing it would let go of the locks that SQLite has on it.
    """

    _FRAMES = slice(16, 20)
    _COPIED = slice(96, 100)

    def __init__(self, path: Path) -> None:
        self._file = path.with_name(path.name + "-shm").open("r+b")
        self._index = mmap.mmap(self._file.fileno(), self._COPIED.stop)

    @property
    def frames(self) -> int:
        """How many frames the log has."""
        return int.from_bytes(self._index[self._FRAMES], sys.byteorder)

    @property
    def copied(self) -> int:
        """How many of them need not be copied any more."""
        return int.from_bytes(self._index[self._COPIED], sys.byteorder)

    def forget_copied(self) -> None:
        """Let every frame be copied again."""
        self._index[self._COPIED] = bytes(4)

    def close(self) -> None:
        self._index.close()
        self._file.close()


class Checkpoints:
    """The checkpoints of one writer, on whose `connection` only its thread works.

    `look` and `restore_trust` belong to that thread; `close` comes after it, and closes `connection` last.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._writer = connection
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        self._own = connect(path)
        self._index = LogIndex(path)
        self._database = path.open("rb")
        self._copying = threading.Lock()
        self._wanted = threading.Event()
        self._is_closed = False
        self._is_ready = False
        self._looked_at = 0
        self.is_suspect = False
        """Whether there was an input/output error, and nobody knows what is on disk."""
        self._thread = threading.Thread(target=self._run, name="partnerbus-store-checkpoints", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """After a commit: see whether there is something to do."""
        frames = self._index.frames
        self._looked_at = min(self._looked_at, frames)
        if frames >= TOO_MANY:
            self._finish("RESTART")
        elif self._is_ready:
            self._finish("PASSIVE")
        elif frames - self._looked_at >= WORTH_COPYING:
            self._looked_at = frames
            self._wanted.set()

    def _finish(self, mode: Literal["PASSIVE", "RESTART"]) -> None:
        with self._copying, self._suspicious():
            self._is_ready = False
            self._writer.execute(f"PRAGMA wal_checkpoint({mode})")

    def raise_if_suspect(self) -> None:
        """After a commit: a sync of the thread that failed meanwhile may have dropped what was committed."""
        if self.is_suspect:
            raise sqlite3.OperationalError("input/output error")

    def restore_trust(self) -> None:
        """Copy the whole log and sync the database; raises as long as that fails."""
        with self._copying:
            self._index.forget_copied()
            busy, _, _ = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise sqlite3.OperationalError("waiting for readers after an input/output error")
            self.is_suspect = False

    @contextmanager
    def _suspicious(self) -> Iterator[None]:
        """Nobody waits for the block's end, so nobody is told of its errors; they are remembered."""
        try:
            yield
        except OSError:
            self._distrust()
        except sqlite3.Error as error:
            if is_io_error(error):
                self._distrust()

    def _distrust(self) -> None:
        self.is_suspect = True
        self._index.forget_copied()

    def close(self) -> None:
        """Close every connection; the last one moves what is left of the log into the database."""
        self._is_closed = True
        self._wanted.set()
        self._thread.join()
        self._own.close()
        self._writer.close()
        self._index.close()
        self._database.close()

    # -- in the thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._wanted.wait() and not self._is_closed:
            self._wanted.clear()
            with self._copying, self._suspicious():
                self._copy()

    def _copy(self) -> None:
        for _ in range(PASSES):
            if self.is_suspect:
                return
            self._own.execute("PRAGMA wal_checkpoint(PASSIVE)")
            _sync(self._database.fileno())
            if self._index.frames - self._index.copied <= FEW:
                break
        self._is_ready = True
