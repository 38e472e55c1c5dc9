"""The folder and the file: its lock, its version, its connections, and what its errors mean."""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import msgspec

from partnerbus.kernel.errors import ConfigurationError, StoreError, StoreLocked, StoreUnavailable
from partnerbus.store.embedded.mark import check_unmarked, sync_names
from partnerbus.store.embedded.wal import keep_damaged, wal_of

DATABASE = "partnerbus.db"
LOCK = "partnerbus.lock"
SHARED_TABLES = "jetstream.db"
"""What a node of a cluster has in its folder instead of `DATABASE`."""

APPLICATION_ID = 0x70627573
"""`pbus`, in the header of every file that is ours."""

SCHEMA_VERSION = 5

OLDEST_SQLITE = (3, 37, 0)
"""The first one with STRICT tables."""

PRAGMAS = (
    # Commits append to one file and readers do not wait for them.
    "PRAGMA journal_mode = WAL",
    # A WAL that a long reader let grow is cut back to this at the next reset.
    "PRAGMA journal_size_limit = 67108864",
    # In KiB: the hot part of the indexes on random keys (records_once) should stay in memory.
    "PRAGMA cache_size = -65536",
    # No delivery without a record, whatever the caller believes.
    "PRAGMA foreign_keys = ON",
    # Somebody may look at the file with a tool that locks it for a moment.
    "PRAGMA busy_timeout = 5000",
    "PRAGMA temp_store = MEMORY",
)

END = 2**63 - 1
"""The position after every record: the largest number that fits."""

_MISSHAPEN = (msgspec.DecodeError, TypeError, ValueError, LookupError, OverflowError)
"""What comes of reading a row that no version of us wrote: a damaged page may have any."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class DatabaseDamaged(StoreUnavailable):
    """The file of the store is not what was written."""


def to_micros(instant: datetime) -> int:
    """`instant` as the tables keep it."""
    return (instant - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The instant that the tables keep as `micros`."""
    return _EPOCH + timedelta(microseconds=micros)


class FolderLock:
    """The folder's lock, held until `release` or the end of the process, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / LOCK).open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise StoreLocked(f"The data folder {folder} is in use by another partnerbus process.") from None

    def release(self) -> None:
        self._file.close()


def make_folder(folder: Path) -> None:
    """Create `folder`, for its owner only, and those above it, so that they survive a power cut."""
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in made:
            sync_names(each.parent)
    except OSError as error:
        raise ConfigurationError(f"The data folder {folder} cannot be made: {error.strerror}.") from error


def check_only(folder: Path, wanted: str) -> None:
    """Refuse a folder that holds the other kind of store, or one that is being moved or was moved away."""
    check_unmarked(folder)
    other = SHARED_TABLES if wanted == DATABASE else DATABASE
    if not (folder / other).exists():
        return
    if other == SHARED_TABLES:
        raise ConfigurationError(f"{folder} is of a node of a cluster: say of which one with --store")
    raise ConfigurationError(f"{folder} holds a store of its own: a node of a cluster needs another folder")


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode; transactions are begun and ended by name."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
    if read_only:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA busy_timeout = 5000")
    return connection


def prepare(path: Path) -> sqlite3.Connection:
    """The writer's connection to a file that is ours and of this version; a new file becomes that."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise ConfigurationError(f"SQLite {sqlite3.sqlite_version} is too old; 3.37 or newer is needed.")
    was_closed = not wal_of(path).exists()
    connection = connect(path)
    try:
        _check(connection, path)
        for pragma in PRAGMAS:
            connection.execute(pragma)
        if not was_closed:
            _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            keep_damaged(wal_of(path), frames)
        if _number(connection, "user_version") == 0:
            _create(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    try:
        owner, version = _number(connection, "application_id"), _number(connection, "user_version")
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise ConfigurationError(f"{path} is not a partnerbus database.") from error
        raise
    if owner != APPLICATION_ID and (owner or version or tables):
        raise ConfigurationError(f"{path} is not a partnerbus database.")
    if version not in (0, SCHEMA_VERSION):
        age = "a newer" if version > SCHEMA_VERSION else "an older"
        raise ConfigurationError(
            f"{path} was written by {age} partnerbus (schema {version}; this one knows {SCHEMA_VERSION})."
        )


def _create(connection: sqlite3.Connection) -> None:
    schema = resources.files(__package__).joinpath("schema.sql").read_text("utf-8")
    connection.executescript(
        f"PRAGMA synchronous = FULL; BEGIN IMMEDIATE; {schema};"
        f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    )


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors in the block, and what rows of a wrong shape lead to, into ours."""
    try:
        yield
    except (sqlite3.Error, OSError, *_MISSHAPEN) as error:
        raise unavailable(path, error) from error


def unavailable(path: Path, error: Exception) -> StoreError:
    """What `error` means to somebody who can do something about it."""
    match _primary_code(error):
        case sqlite3.SQLITE_FULL:
            return StoreUnavailable(f"The disk of {path} is full: make room, nothing else is needed.")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            return StoreUnavailable(f"{path} cannot be written: {error}.")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return DatabaseDamaged(f"{path} is damaged ({error}): restore it from a copy.")
        case sqlite3.SQLITE_INTERRUPT:
            return StoreUnavailable(f"Reading {path} took too long and was given up: ask for less at once.")
    if isinstance(error, msgspec.DecodeError):
        return DatabaseDamaged(f"{path} is damaged ({error}): restore it from a copy.")
    if isinstance(error, _MISSHAPEN):  # or what was asked for is misshapen: less is concluded from it
        return StoreUnavailable(f"{path} is damaged ({error}): restore it from a copy.")
    return StoreUnavailable(f"{path} cannot be used right now: {error}.")


def is_io_error(error: sqlite3.Error) -> bool:
    """Whether the disk, and not only SQLite, failed."""
    return _primary_code(error) == sqlite3.SQLITE_IOERR


def _primary_code(error: Exception) -> int:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
