"""What the writer knows about the file without asking it: counters, names, and each log's head and ledger.

All of it is a cache of rows. `flush` writes what changed at the end of a transaction; `forget`, after a
rollback, throws the cache away and reads it anew.
"""

import sqlite3
from collections.abc import Collection, Sequence
from itertools import chain, islice

import msgspec

CHUNKS = (256, 64, 16)
"""Rows a statement, largest first, what is left over in one more. Each statement gives the GIL away once, so
many rows go in few."""

NAMES_KEPT = 100_000
"""How many numbers of names are remembered; those of the others are looked up."""

LEDGER = ("accepted", "unmatched", "matched", "owed", "delivered", "dead", "dropped", "cancelled")


class Log(msgspec.Struct):
    """The row of a log."""

    id: int
    name: str
    head: int = 0
    stored_at: int = 0
    is_routed: int = 0
    records: int = 0
    bytes: int = 0
    accepted: int = 0
    unmatched: int = 0
    matched: int = 0
    owed: int = 0
    delivered: int = 0
    dead: int = 0
    dropped: int = 0
    cancelled: int = 0


_LOG_COLUMNS = ("id", "name", "head", "stored_at", "is_routed", "records", "bytes", *LEDGER)
SELECT_LOGS = f"SELECT {', '.join(_LOG_COLUMNS)} FROM logs ORDER BY id"  # noqa: S608
_WRITE_LOG = (
    f"INSERT OR REPLACE INTO logs ({', '.join(_LOG_COLUMNS)}) "  # noqa: S608
    f"VALUES ({', '.join('?' * len(_LOG_COLUMNS))})"
)


class Tables:
    """The writer's connection and what it knows; only the writer thread may use it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.position = self.stored_at = self.revision = self.token = 0
        self.logs: dict[str, Log] = {}
        self.logs_by_id: dict[int, Log] = {}
        self._names: dict[str, int] = {}
        self._changed: dict[int, Log] = {}
        self._revision = 0

    def begin_epoch(self) -> None:
        """Make sure that no token of an earlier opening is ever given again."""
        self.connection.execute("UPDATE state SET opened = opened + 1")
        opened = self.connection.execute("SELECT opened FROM state").fetchone()[0]
        self.token = opened << 32

    def forget(self) -> None:
        """Read everything anew; what was given but not committed stays a gap."""
        self._names = {}
        self._changed = {}
        self.logs_by_id = {row[0]: Log(*row) for row in self.connection.execute(SELECT_LOGS)}
        self.logs = {log.name: log for log in self.logs_by_id.values()}
        position, stored_at, revision = self.connection.execute(
            "SELECT position, stored_at, revision FROM state"
        ).fetchone()
        self._revision = revision
        self.revision = max(self.revision, revision)
        self.position = max(self.position, position, *(log.head for log in self.logs.values()))
        self.stored_at = max(self.stored_at, stored_at, *(log.stored_at for log in self.logs.values()))

    def flush(self) -> None:
        """Write what the transaction changed. What the rows of the logs tell of the counters need not be."""
        if self.revision != self._revision:
            self.write_counters()
        for log in self._changed.values():
            self.connection.execute(_WRITE_LOG, msgspec.structs.astuple(log))
        self._changed = {}

    def write_counters(self) -> None:
        """Write down what must never go back; to be called, too, before a log's row goes."""
        counters = (self.position, self.stored_at, self.revision)
        self.connection.execute("UPDATE state SET position = ?, stored_at = ?, revision = ?", counters)
        self._revision = self.revision

    @property
    def changed_logs(self) -> Collection[Log]:
        """Those whose rows are to be written, in the order in which they were changed first."""
        return self._changed.values()

    def log(self, name: str) -> Log:
        """The row of `name`, about to be changed; a new one if there is none."""
        log = self.logs.get(name)
        if log is None:
            log = Log(next(reversed(self.logs_by_id), 0) + 1, name)
            self.logs[name] = self.logs_by_id[log.id] = log
        self._changed[log.id] = log
        return log

    def count(self, log_id: int, column: str, change: int = 1) -> None:
        """Change one number of a log's ledger."""
        log = self.logs_by_id[log_id]
        setattr(log, column, getattr(log, column) + change)
        self._changed[log_id] = log

    def number(self, name: str) -> int:
        """The number of a lane or subscription; a new one if it has none."""
        found = self._names.get(name)
        if found is None:
            row = self.connection.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
            if row is None:
                cursor = self.connection.execute("INSERT INTO names (name) VALUES (?)", (name,))
                row = (cursor.lastrowid,)
            if len(self._names) >= NAMES_KEPT:
                self._names.clear()
            found = self._names[name] = int(row[0])
        return found

    def number_if_known(self, name: str) -> int | None:
        """The number of a lane or subscription, None if it has none."""
        found = self._names.get(name)
        if found is None:
            row = self.connection.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
            return int(row[0]) if row else None
        return found

    def next_token(self) -> int:
        self.token += 1
        return self.token


def execute_many(connection: sqlite3.Connection, statement: str, rows: Sequence[Sequence[object]]) -> int:
    """Run `statement`, in which {rows} becomes VALUES, over all rows; give how many rows were changed."""
    changed, left = 0, iter(rows)
    for size in _sizes(len(rows)):
        part = list(islice(left, size))
        marks = f"({', '.join('?' * len(part[0]))})"
        values = f"VALUES {', '.join([marks] * size)}"
        changed += connection.execute(statement.format(rows=values), [*chain.from_iterable(part)]).rowcount
    return changed


def _sizes(count: int) -> list[int]:
    sizes: list[int] = []
    for size in CHUNKS:
        sizes += [size] * (count // size)
        count %= size
    return [*sizes, count] if count else sizes
