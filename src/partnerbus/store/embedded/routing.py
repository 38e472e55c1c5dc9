"""Routing: what is owed, what is kept and the cursor, together."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from partnerbus.kernel.errors import CursorMoved, StoreError
from partnerbus.kernel.failpoints import Failpoint
from partnerbus.model.delivery import Claim, NewDelivery, Record
from partnerbus.store.embedded.database import to_micros
from partnerbus.store.embedded.deliveries import CLAIMED, HELD, OWED, release, token_of
from partnerbus.store.embedded.records import keep, stored_record
from partnerbus.store.embedded.seen import Seen
from partnerbus.store.embedded.tables import Log, Tables, execute_many
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.protocol import LIVE, START, Kept


class Advancing(msgspec.Struct, frozen=True, gc=False):
    """The argument of advance. `at_hand` holds records that need not be read for born claims; None: nobody
    here wants the claims, so none are made.

    `after` is where whoever asks saw the cursor, None if it matters not.
    """

    log: str
    name: str
    to: int
    owed: Sequence[NewDelivery]
    unmatched: int
    kept: Sequence[Kept]
    now: int
    leased_until: int
    at_hand: Mapping[int, Record] | None
    after: int | None = None
    damaged: int = 0


class Advanced(msgspec.Struct, frozen=True, gc=False):
    """What advance did: the claims it gave, and the records it newly kept."""

    claims: Sequence[Claim]
    kept: Sequence[Record]


_NOTHING = Advanced((), ())

_OWE = (
    "INSERT INTO deliveries "
    "(position, subscription, lane, state, attempts_made, due_at, token, redriven, key) {rows} "
    "ON CONFLICT (position, subscription) DO NOTHING"
)
_ELDER = (
    "SELECT 1 FROM deliveries INDEXED BY deliveries_of_key WHERE subscription = ? AND key = ? "
    "AND key IS NOT NULL AND due_at IS NOT NULL AND position < ? LIMIT 1"
)
_MOVE_CURSOR = (
    "INSERT INTO cursors (log, name, position) VALUES (?, ?, ?) "
    "ON CONFLICT (log, name) DO UPDATE SET position = excluded.position"
)


def _advance(tables: Tables, commands: Sequence[Advancing]) -> list[Advanced | StoreError]:
    return [_advance_one(tables, command) for command in commands]


def _advance_one(tables: Tables, command: Advancing) -> Advanced | StoreError:
    before = cursor(tables.connection, command.log, command.name)
    if command.after is not None and (command.after != before or command.to > _head(tables, command.log)):
        return CursorMoved()
    log = tables.log(command.log)
    if command.to <= before:
        return _NOTHING
    claims = _owe(tables, command)
    kept = keep(tables, command.kept, [to_micros(copy.record.stored_at) for copy in command.kept])
    if command.name == LIVE:
        _count_routed(tables.connection, log, before, command)
    tables.connection.execute(_MOVE_CURSOR, (log.id, command.name, command.to))
    return Advanced(claims, kept)


def _head(tables: Tables, log: str) -> int:
    """The head of a log, which a reset may have forgotten together with what was to be routed."""
    known = tables.logs.get(log)
    return START if known is None else known.head


def _owe(tables: Tables, command: Advancing) -> list[Claim]:
    held = _held(tables, command.owed)
    rows = [_owed_row(tables, command, new, new in held) for new in command.owed]
    owed = execute_many(tables.connection, _OWE, rows)
    tables.log(command.log).owed += owed
    pairs = zip(command.owed, rows, strict=True)
    born = [(new, token) for new, (*_, token, _, _) in pairs if isinstance(token, int)]
    if owed < len(rows):  # another cursor owed some of them before: their claims are not ours
        born = [(new, token) for new, token in born if _token(tables, new) == token]
        _release(tables, held, command.now)  # nor do they hold back others if they are settled
    if command.at_hand is None:
        return []
    return [_born_claim(tables, command.at_hand, new, token) for new, token in born]


def _held(tables: Tables, owed: Sequence[NewDelivery]) -> frozenset[NewDelivery]:
    """Those that have an elder one of their key, here or in the store."""
    held: set[NewDelivery] = set()
    eldest: set[tuple[str, bytes]] = set()
    for new in owed:
        if new.key is None:
            continue
        if (new.subscription, new.key) in eldest or _has_elder(tables, new):
            held.add(new)
        eldest.add((new.subscription, new.key))
    return frozenset(held)


def _has_elder(tables: Tables, new: NewDelivery) -> bool:
    subscription = tables.number_if_known(new.subscription)
    key = (subscription, new.key, new.position)
    return tables.connection.execute(_ELDER, key).fetchone() is not None


def _release(tables: Tables, held: Iterable[NewDelivery], now: int) -> None:
    for new in held:
        if new.key is not None:
            release(tables.connection, tables.number(new.subscription), new.key, now)


def _owed_row(
    tables: Tables, command: Advancing, new: NewDelivery, is_held: bool
) -> tuple[int | bytes | None, ...]:
    is_claimed = new.claimed and not is_held
    token = tables.next_token() if is_claimed else None
    state, due_at = (
        (CLAIMED, command.leased_until) if is_claimed else (OWED, HELD if is_held else command.now)
    )
    subscription, lane = tables.number(new.subscription), tables.number(new.lane)
    return (new.position, subscription, lane, state, int(is_claimed), due_at, token, 0, new.key)


def _born_claim(tables: Tables, at_hand: Mapping[int, Record], new: NewDelivery, token: int) -> Claim:
    record = at_hand.get(new.position) or stored_record(tables, new.position)
    return Claim(
        subscription=new.subscription,
        lane=new.lane,
        record=record,
        attempt=1,
        token=token,
        owed_at=record.stored_at,
        key=new.key,
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
    log.matched += routed - command.unmatched - command.damaged


def cursor(connection: sqlite3.Connection, log: str, name: str) -> int:
    row = connection.execute(
        "SELECT position FROM cursors WHERE log = (SELECT id FROM logs WHERE name = ?) AND name = ?",
        (log, name),
    ).fetchone()
    return int(row[0]) if row else START


def _see(seen: Seen, _: Advancing, advanced: Advanced) -> None:
    seen.tail.push(advanced.kept)


ADVANCE: Verb[Advancing, Advanced] = Verb(
    _advance, before=Failpoint.ADVANCE_BEFORE_COMMIT, committed=Failpoint.ADVANCE_COMMITTED, effect=_see
)
