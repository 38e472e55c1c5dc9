"""What the tables of a store hold, in a few numbers: to tell whether two files hold the same."""

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from partnerbus.kernel.errors import StoreUnavailable
from partnerbus.store.embedded.database import connect, translated
from partnerbus.store.embedded.records import checksum, event_id

NODE_TABLES = frozenset({"journal", "nodes"})
"""What the tables of a node of a cluster have beside those of every store."""

ROWS_A_STEP = 1_000


class TableDigest(msgspec.Struct, frozen=True):
    """A table: how many rows it has, and the SHA-256 of all their values in the order of their keys."""

    table: str
    rows: int
    checksum: str


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """A table on both sides."""

    table: str
    source_rows: int
    target_rows: int
    source_checksum: str
    target_checksum: str

    @property
    def is_same(self) -> bool:
        """Whether both sides hold the same."""
        return (self.source_rows, self.source_checksum) == (self.target_rows, self.target_checksum)


def count_rows(path: Path) -> int:
    """How many rows there are to digest."""
    with translated(path), closing(connect(path, read_only=True)) as connection:
        return sum(_count(connection, table) for table in _tables(connection))


def digest_tables(path: Path, advance: Callable[[int], object]) -> Sequence[TableDigest]:
    """Read all tables of every store at `path`. `advance` is told how many rows were read since it was last.

    Raises `StoreUnavailable` if the file is damaged, or an event is not what was stored.
    """
    with translated(path), closing(connect(path, read_only=True)) as connection:
        if (found := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise StoreUnavailable(f"{path} is damaged ({found}): restore it from a copy.")
        _check_events(connection, path)
        return [_digest(connection, table, advance) for table in _tables(connection)]


def _tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    return [name for (name,) in found if name not in NODE_TABLES and not name.startswith("sqlite_")]


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - our schema


def _digest(connection: sqlite3.Connection, table: str, advance: Callable[[int], object]) -> TableDigest:
    columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
    keys = ", ".join(name for _, name, *_, key in sorted(columns, key=lambda row: row[-1]) if key)
    hashed, rows = hashlib.sha256(), 0
    found = connection.execute(f"SELECT * FROM {table} ORDER BY {keys}")  # noqa: S608 - our schema
    for row in found:
        hashed.update(msgspec.msgpack.encode(row))
        rows += 1
        if not rows % ROWS_A_STEP:
            advance(ROWS_A_STEP)
    advance(rows % ROWS_A_STEP)
    return TableDigest(table, rows, hashed.hexdigest())


def _check_events(connection: sqlite3.Connection, path: Path) -> None:
    for position, log, body, expected in connection.execute(
        "SELECT position, log, body, checksum FROM records ORDER BY position"
    ):
        if checksum(position, body) != expected:
            raise StoreUnavailable(_damaged(connection, position, log, path))


def _damaged(connection: sqlite3.Connection, position: int, log: int, path: Path) -> str:
    found = connection.execute("SELECT name FROM logs WHERE id = ?", (log,)).fetchone()
    name = found[0] if found is not None else f"log {log}"
    event = f"event {known}" if (known := event_id(connection, position)) is not None else "event"
    return f"The {event} at position {position} of {name} is damaged in {path}."


def compare(source: Sequence[TableDigest], target: Sequence[TableDigest]) -> Sequence[Compared]:
    """Both sides, table by table; one that is missing has no rows and no checksum."""
    theirs = {each.table: each for each in target}
    ours = {each.table: each for each in source}
    return [
        _compared(table, ours.get(table), theirs.get(table)) for table in sorted(ours.keys() | theirs.keys())
    ]


def _compared(table: str, source: TableDigest | None, target: TableDigest | None) -> Compared:
    return Compared(
        table=table,
        source_rows=source.rows if source is not None else 0,
        target_rows=target.rows if target is not None else 0,
        source_checksum=source.checksum if source is not None else "",
        target_checksum=target.checksum if target is not None else "",
    )
