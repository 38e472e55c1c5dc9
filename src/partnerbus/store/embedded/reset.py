"""Forgetting everything at once: one transaction, whatever tables there are."""

from collections.abc import Sequence

import msgspec

from partnerbus.kernel.errors import RevisionConflict, StoreError
from partnerbus.kernel.failpoints import Failpoint
from partnerbus.store.embedded.registry import get
from partnerbus.store.embedded.seen import Seen
from partnerbus.store.embedded.tables import Tables
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.protocol import Change

STAY = frozenset({"state", "registry", "journal", "nodes"})
"""Tables that are not emptied: what must never go back, what is cleared value by value, and what says how far
a node of many has come."""


class Resetting(msgspec.Struct, frozen=True, gc=False):
    """The argument of reset: what the keys of the values begin with that stay, and what must be noted."""

    keep: Sequence[str]
    noted: tuple[str, int] | None = None


def _reset(tables: Tables, commands: Sequence[Resetting]) -> list[Sequence[Change] | StoreError]:
    return [_reset_one(tables, command) for command in commands]


def _reset_one(tables: Tables, command: Resetting) -> Sequence[Change] | StoreError:
    if command.noted is not None:
        key, revision = command.noted
        found = get(tables.connection, key)
        if found is None or found.revision != revision:
            return RevisionConflict()
    tables.connection.execute("PRAGMA defer_foreign_keys = ON")  # so in any order
    tables.write_counters()
    for table in _emptied(tables):
        tables.connection.execute(f"DELETE FROM {table}")  # noqa: S608 - a name of our schema
    tables.connection.execute("PRAGMA defer_foreign_keys = OFF")  # what follows fails by itself
    tables.forget()
    return _clear_registry(tables, tuple(command.keep))


def _emptied(tables: Tables) -> list[str]:
    found = tables.connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    return [name for (name,) in found if name not in STAY]


def _clear_registry(tables: Tables, keep: tuple[str, ...]) -> list[Change]:
    """Remove values one by one: each removal has a revision, as if somebody had made it."""
    keys = [key for (key,) in tables.connection.execute("SELECT key FROM registry ORDER BY key")]
    gone = []
    for key in keys:
        if not key.startswith(keep):
            tables.revision += 1
            tables.connection.execute("DELETE FROM registry WHERE key = ?", (key,))
            gone.append(Change(key=key, value=None, revision=tables.revision))
    return gone


def _unsee(seen: Seen, _: Resetting, removed: Sequence[Change]) -> None:
    seen.tail.clear()
    for change in removed:
        seen.watchers.tell(change)


RESET: Verb[Resetting, Sequence[Change]] = Verb(
    _reset,
    on_disk=True,
    before=Failpoint.RESET_BEFORE_COMMIT,
    committed=Failpoint.RESET_COMMITTED,
    effect=_unsee,
)
