"""The registry: small values changed by compare-and-set."""

import sqlite3
from collections.abc import Sequence

import msgspec

from partnerbus.kernel.errors import RevisionConflict, StoreError
from partnerbus.kernel.failpoints import Failpoint
from partnerbus.store.embedded.seen import Seen
from partnerbus.store.embedded.tables import Tables
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.protocol import Change, Revised

LAST_CHARACTER = "\U0010ffff"


class Setting(msgspec.Struct, frozen=True, gc=False):
    """The argument of put and delete; no value means delete."""

    key: str
    value: bytes | None
    expected: int


def _set(tables: Tables, commands: Sequence[Setting]) -> list[int | StoreError]:
    return [_set_one(tables, command) for command in commands]


def _set_one(tables: Tables, command: Setting) -> int | StoreError:
    found = get(tables.connection, command.key)
    if (found.revision if found else 0) != command.expected or (command.value is None and found is None):
        return RevisionConflict()
    tables.revision += 1
    if command.value is None:
        tables.connection.execute("DELETE FROM registry WHERE key = ?", (command.key,))
    else:
        tables.connection.execute(
            "INSERT OR REPLACE INTO registry (key, value, revision) VALUES (?, ?, ?)",
            (command.key, command.value, tables.revision),
        )
    return tables.revision


def _tell(seen: Seen, command: Setting, revision: int) -> None:
    seen.watchers.tell(Change(key=command.key, value=command.value, revision=revision))


SET: Verb[Setting, int] = Verb(
    _set,
    on_disk=True,
    before=Failpoint.REGISTRY_BEFORE_COMMIT,
    committed=Failpoint.REGISTRY_COMMITTED,
    effect=_tell,
)


def get(connection: sqlite3.Connection, key: str) -> Revised | None:
    row = connection.execute("SELECT key, value, revision FROM registry WHERE key = ?", (key,)).fetchone()
    return Revised(key=row[0], value=row[1], revision=row[2]) if row else None


def list_values(connection: sqlite3.Connection, prefix: str) -> list[Revised]:
    rows = connection.execute(
        "SELECT key, value, revision FROM registry WHERE key >= ? AND key < ? ORDER BY key",
        (prefix, prefix + LAST_CHARACTER),
    )
    return [Revised(key=key, value=value, revision=revision) for key, value, revision in rows]
