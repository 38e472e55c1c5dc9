"""Records that are forgotten: trimming, and what dead letters keep."""

import sqlite3
from collections.abc import Sequence
from itertools import takewhile

import msgspec

from partnerbus.kernel.failpoints import Failpoint
from partnerbus.model.delivery import DeliveryState
from partnerbus.store.embedded.seen import Seen
from partnerbus.store.embedded.states import NUMBERS
from partnerbus.store.embedded.tables import Log, Tables, execute_many
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.protocol import LIVE, START

_OWED, _CLAIMED, DEAD = (
    NUMBERS[state] for state in (DeliveryState.OWED, DeliveryState.CLAIMED, DeliveryState.DEAD)
)


class Trimming(msgspec.Struct, frozen=True, gc=False):
    """The argument of trim."""

    log: str
    before: int
    limit: int


class Trimmed(msgspec.Struct, frozen=True, gc=False):
    """How many records trim forgot, and the position of the last one."""

    count: int
    last: int


def _trim(tables: Tables, commands: Sequence[Trimming]) -> list[Trimmed]:
    return [_trim_one(tables, command) for command in commands]


def _trim_one(tables: Tables, command: Trimming) -> Trimmed:
    if command.log not in tables.logs:
        return Trimmed(0, START)
    log = tables.log(command.log)
    found = _forgettable(tables.connection, log, command)
    gone = [(position,) for position, _ in found]
    forget(tables.connection, gone)
    execute_many(tables.connection, _SET_ASIDE, gone)
    log.records -= len(gone)
    log.bytes -= sum(size for _, size in found)
    return Trimmed(len(gone), gone[-1][0] if gone else START)


_PENDING_AT = (
    f"EXISTS (SELECT 1 FROM deliveries d WHERE d.position = r.position AND d.state IN ({_OWED}, {_CLAIMED}))"  # noqa: S608
)
_FORGET_SETTLED = f"DELETE FROM deliveries WHERE position IN ({{rows}}) AND state != {DEAD}"  # noqa: S608
_FORGET_RECORDS = (
    "DELETE FROM records WHERE position IN ({rows}) "
    "AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.position = records.position)"
)


def _forgettable(connection: sqlite3.Connection, log: Log, command: Trimming) -> list[tuple[int, int]]:
    """Positions, and the bytes that each of them has."""
    found = connection.execute(
        f"SELECT r.position, length(r.body), {_PENDING_AT} FROM records r INDEXED BY records_of_log "  # noqa: S608
        "WHERE r.log = ? AND r.trimmed = 0 AND r.position < ? ORDER BY r.position LIMIT ?",
        (log.id, min(command.before, _passed(connection, log) + 1), command.limit),
    )
    return [(position, size) for position, size, _ in takewhile(lambda row: not row[2], found)]


_SET_ASIDE = "UPDATE records SET trimmed = 1 WHERE position IN ({rows})"
_PUT_BACK = "UPDATE records SET trimmed = 0 WHERE position = ? AND trimmed RETURNING log, length(body)"


def forget(connection: sqlite3.Connection, positions: Sequence[tuple[int]]) -> None:
    """Keep at these positions only dead letters, and the records that have some."""
    execute_many(connection, _FORGET_SETTLED, positions)
    execute_many(connection, _FORGET_RECORDS, positions)


def put_back(tables: Tables, position: int) -> None:
    """Let a record that was trimmed be in its log again."""
    for log, size in tables.connection.execute(_PUT_BACK, (position,)).fetchall():
        tables.count(log, "records")
        tables.count(log, "bytes", size)


def _passed(connection: sqlite3.Connection, log: Log) -> int:
    """The position that every cursor has passed; a routed log's live cursor is at START until it moves."""
    cursors = dict(connection.execute("SELECT name, position FROM cursors WHERE log = ?", (log.id,)))
    if log.is_routed:
        cursors.setdefault(LIVE, START)
    return min(cursors.values(), default=log.head)


def _unsee(seen: Seen, command: Trimming, trimmed: Trimmed) -> None:
    seen.tail.log(command.log).forget(trimmed.last)


TRIM: Verb[Trimming, Trimmed] = Verb(_trim, before=Failpoint.TRIM_BEFORE_COMMIT, effect=_unsee)
