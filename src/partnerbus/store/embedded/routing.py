"""Routing: what is owed, what is kept and the cursor, together."""

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from partnerbus.kernel.failpoints import Failpoint
from partnerbus.model.delivery import Claim, NewDelivery, Record
from partnerbus.store.embedded.database import to_micros
from partnerbus.store.embedded.deliveries import CLAIMED, OWED, token_of
from partnerbus.store.embedded.records import keep, stored_record
from partnerbus.store.embedded.tables import Log, Tables, execute_many
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.protocol import LIVE, START, Kept


class Advancing(msgspec.Struct, frozen=True, gc=False):
    """The argument of advance. `at_hand` holds records that need not be read for born claims."""

    log: str
    name: str
    to: int
    owed: Sequence[NewDelivery]
    unmatched: int
    kept: Sequence[Kept]
    now: int
    leased_until: int
    at_hand: Mapping[int, Record]


class Advanced(msgspec.Struct, frozen=True, gc=False):
    """What advance did: the claims it gave, and the records it newly kept."""

    claims: Sequence[Claim]
    kept: Sequence[Record]


_NOTHING = Advanced((), ())

_OWE = (
    "INSERT INTO deliveries (position, subscription, lane, state, attempts_made, due_at, token, redriven) "
    "{rows} ON CONFLICT (position, subscription) DO NOTHING"
)
_MOVE_CURSOR = (
    "INSERT INTO cursors (log, name, position) VALUES (?, ?, ?) "
    "ON CONFLICT (log, name) DO UPDATE SET position = excluded.position"
)


def _advance(tables: Tables, commands: Sequence[Advancing]) -> list[Advanced]:
    return [_advance_one(tables, command) for command in commands]


def _advance_one(tables: Tables, command: Advancing) -> Advanced:
    log = tables.log(command.log)
    before = cursor(tables.connection, command.log, command.name)
    if command.to <= before:
        return _NOTHING
    claims = _owe(tables, command)
    kept = keep(tables, command.kept, [to_micros(copy.record.stored_at) for copy in command.kept])
    if command.name == LIVE:
        _count_routed(tables.connection, log, before, command)
    tables.connection.execute(_MOVE_CURSOR, (log.id, command.name, command.to))
    return Advanced(claims, kept)


def _owe(tables: Tables, command: Advancing) -> list[Claim]:
    rows = [_owed_row(tables, command, new) for new in command.owed]
    owed = execute_many(tables.connection, _OWE, rows)
    tables.log(command.log).owed += owed
    born = [(new, row[-2]) for new, row in zip(command.owed, rows, strict=True) if new.claimed]
    if owed < len(rows):  # another cursor owed some of them before: their claims are not ours
        born = [(new, token) for new, token in born if _token(tables, new) == token]
    return [_born_claim(tables, command, new, token) for new, token in born if token is not None]


def _owed_row(tables: Tables, command: Advancing, new: NewDelivery) -> tuple[int | None, ...]:
    token = tables.next_token() if new.claimed else None
    state, due_at = (CLAIMED, command.leased_until) if new.claimed else (OWED, command.now)
    subscription, lane = tables.number(new.subscription), tables.number(new.lane)
    return (new.position, subscription, lane, state, int(new.claimed), due_at, token, 0)


def _born_claim(tables: Tables, command: Advancing, new: NewDelivery, token: int) -> Claim:
    record = command.at_hand.get(new.position) or stored_record(tables, new.position)
    return Claim(
        subscription=new.subscription,
        lane=new.lane,
        record=record,
        attempt=1,
        token=token,
        owed_at=record.stored_at,
    )


def _token(tables: Tables, new: NewDelivery) -> int | None:
    return token_of(tables.connection, new.position, tables.number(new.subscription))


def _count_routed(connection: sqlite3.Connection, log: Log, before: int, command: Advancing) -> None:
    (routed,) = connection.execute(
        "SELECT count(*) FROM records INDEXED BY records_of_log "
        "WHERE log = ? AND trimmed = 0 AND position > ? AND position <= ?",
        (log.id, before, command.to),
    ).fetchone()
    log.unmatched += command.unmatched
    log.matched += routed - command.unmatched


def cursor(connection: sqlite3.Connection, log: str, name: str) -> int:
    row = connection.execute(
        "SELECT position FROM cursors WHERE log = (SELECT id FROM logs WHERE name = ?) AND name = ?",
        (log, name),
    ).fetchone()
    return int(row[0]) if row else START


ADVANCE: Verb[Advancing, Advanced] = Verb(
    _advance, before=Failpoint.ADVANCE_BEFORE_COMMIT, committed=Failpoint.ADVANCE_COMMITTED
)
