"""Dead letters: redriven to their target or another, dropped when nobody did."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec

from partnerbus.model.delivery import DeliveryState, Redrive
from partnerbus.store.embedded.database import END, to_micros
from partnerbus.store.embedded.deliveries import OWED
from partnerbus.store.embedded.states import NUMBERS
from partnerbus.store.embedded.tables import Tables, execute_many
from partnerbus.store.embedded.trimming import DEAD, forget, put_back
from partnerbus.store.embedded.writer import Verb

_DROPPED = NUMBERS[DeliveryState.DROPPED]


class Redriving(msgspec.Struct, frozen=True, gc=False):
    """The argument of redrive."""

    ids: Sequence[tuple[str, int]]
    how: Redrive
    now: int


_DIED_IN_TIME = f"WHERE position = ? AND subscription = ? AND state = {DEAD} AND settled_at <= ?"
_REDRIVE = (
    f"UPDATE deliveries SET state = {OWED}, due_at = ?, redriven_at = ?, settled_at = NULL, "  # noqa: S608
    f"attempts_made = 0, redriven = redriven + 1, key = NULL {_DIED_IN_TIME}"
)
_DROP_ONE = f"UPDATE deliveries SET state = {_DROPPED} {_DIED_IN_TIME}"  # noqa: S608
_OWE_ANOTHER = (
    "INSERT INTO deliveries (position, subscription, lane, state, attempts_made, "  # noqa: S608
    f"due_at, redriven, redriven_at) VALUES (?, ?, ?, {OWED}, 0, ?, 1, ?) "
    "ON CONFLICT (position, subscription) DO NOTHING"
)


def _redrive(tables: Tables, commands: Sequence[Redriving]) -> list[int]:
    return [_redrive_one(tables, command) for command in commands]


def _redrive_one(tables: Tables, command: Redriving) -> int:
    how, count = command.how, 0
    due_at = command.now if how.due_at is None else to_micros(how.due_at)
    gap = how.gap // timedelta(microseconds=1)
    died_by = END if how.died_by is None else to_micros(how.died_by)
    for subscription, position in command.ids:
        number = tables.number_if_known(subscription)
        if number is not None:
            key = (position, number, died_by)
            count += _redriven(tables, key, how.to, due_at + count * gap)
    return count


def _redriven(tables: Tables, key: tuple[int, int, int], to: tuple[str, str] | None, due_at: int) -> bool:
    """Whether a delivery was dead, and is owed at `due_at` now, to its own subscription or to another."""
    position, subscription, _ = key
    other = None if to is None else tables.number(to[0])
    if to is None or other is None or other == subscription:
        return _owed_again(tables, key, due_at)
    if not tables.connection.execute(_DROP_ONE, key).rowcount:
        return False
    _count_one(tables, position, dead=-1, dropped=1)
    if not _owed_again(tables, (position, other, END), due_at):
        row = (position, other, tables.number(to[1]), due_at, due_at)
        owed = tables.connection.execute(_OWE_ANOTHER, row).rowcount
        _count_one(tables, position, owed=owed)
        put_back(tables, position)
    return True


def _owed_again(tables: Tables, key: tuple[int, int, int], due_at: int) -> bool:
    if not tables.connection.execute(_REDRIVE, (due_at, due_at, *key)).rowcount:
        return False
    put_back(tables, key[0])
    _count_one(tables, key[0], dead=-1)
    return True


def _count_one(tables: Tables, position: int, **changes: int) -> None:
    """Change the ledger of the log that the record at `position` is of."""
    (log,) = _logs_of(tables.connection, [position])
    for column, change in changes.items():
        tables.count(log, column, change)


REDRIVE: Verb[Redriving, int] = Verb(_redrive)


class Dropping(msgspec.Struct, frozen=True, gc=False):
    """The argument of drop_dead."""

    settled_before: int
    limit: int


_LONG_DEAD = (
    f"SELECT position, subscription FROM deliveries WHERE state = {DEAD} AND settled_at < ? "  # noqa: S608
    "ORDER BY settled_at, position, subscription LIMIT ?"
)
_DROP = (
    f"UPDATE deliveries SET state = {_DROPPED} FROM "  # noqa: S608
    "({rows}) WHERE position = column1 AND subscription = column2"
)


def _drop(tables: Tables, commands: Sequence[Dropping]) -> list[int]:
    return [_drop_one(tables, command) for command in commands]


def _drop_one(tables: Tables, command: Dropping) -> int:
    gone = tables.connection.execute(_LONG_DEAD, (command.settled_before, command.limit)).fetchall()
    execute_many(tables.connection, _DROP, gone)
    for log, count in _logs_of(tables.connection, [position for position, _ in gone]).items():
        tables.count(log, "dead", -count)
        tables.count(log, "dropped", count)
    forget(tables.connection, _trimmed(tables.connection, {position for position, _ in gone}))
    return len(gone)


DROP: Verb[Dropping, int] = Verb(_drop)


def _trimmed(connection: sqlite3.Connection, positions: Iterable[int]) -> list[tuple[int]]:
    find = "SELECT position FROM records WHERE position = ? AND trimmed"
    return [row for position in positions for row in connection.execute(find, (position,))]


def _logs_of(connection: sqlite3.Connection, positions: Iterable[int]) -> Counter[int]:
    find = "SELECT log FROM records WHERE position = ?"
    return Counter(connection.execute(find, (position,)).fetchone()[0] for position in positions)
