"""Deliveries once they are owed: claimed, settled, redriven, dropped. `routing` makes them."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import msgspec

from partnerbus.kernel.failpoints import Failpoint
from partnerbus.model.delivery import (
    ATTEMPTS_KEPT,
    Attempt,
    Claim,
    DeliveryState,
    Redrive,
    Settlement,
)
from partnerbus.model.reply import ErrorCode
from partnerbus.store.embedded.amounts import at_once
from partnerbus.store.embedded.database import END, from_micros, to_micros
from partnerbus.store.embedded.records import DEAD, RECORD_COLUMNS, forget, make_record, put_back
from partnerbus.store.embedded.states import NUMBERS
from partnerbus.store.embedded.tables import Tables, execute_many
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.protocol import Claimed

OWED = NUMBERS[DeliveryState.OWED]
CLAIMED = NUMBERS[DeliveryState.CLAIMED]
_DROPPED = NUMBERS[DeliveryState.DROPPED]

OWED_AT = "coalesce(d.redriven_at, r.stored_at)"
"""Since when a delivery d of a record r is owed."""

_encode = msgspec.json.Encoder().encode
_decode_attempts = msgspec.json.Decoder(tuple[msgspec.Raw, ...]).decode


HELD = END
"""When a delivery is due that is held back by an elder one of its key."""

_RELEASE = (
    f"UPDATE deliveries SET due_at = ? WHERE subscription = ? AND due_at = {HELD} AND position = "  # noqa: S608
    "(SELECT min(position) FROM deliveries INDEXED BY deliveries_of_key "
    "WHERE subscription = ? AND key = ? AND key IS NOT NULL AND due_at IS NOT NULL)"
)


def release(connection: sqlite3.Connection, subscription: int, key: bytes, now: int) -> None:
    """Let the eldest delivery of a key that is not settled be due, if it was held back."""
    connection.execute(_RELEASE, (now, subscription, subscription, key))


def due_or_held(due_at: int | None) -> datetime | None:
    """The instant in a `due_at`; None if it is settled or held back."""
    return None if due_at is None or due_at == HELD else from_micros(due_at)


class Last(msgspec.Struct, frozen=True, omit_defaults=True):
    """A settlement as it is stored: its attempt is the last one of the delivery's attempts."""

    state: DeliveryState
    due_at: int | None = None
    error: ErrorCode | None = None
    message: str = ""
    exhausted: str | None = None
    sent_to: str | None = None
    attempted: bool = False


# -- claim and extend --------------------------------------------------------------------------------------


class Claiming(msgspec.Struct, frozen=True, gc=False):
    """The argument of claim."""

    lane: str
    limit: int
    now: int
    leased_until: int


_DUE = (
    "SELECT d.subscription, (SELECT name FROM names WHERE id = d.subscription), d.attempts_made, "  # noqa: S608
    f"{OWED_AT}, d.key, r.log, {RECORD_COLUMNS} FROM deliveries d INDEXED BY deliveries_due "
    "CROSS JOIN records r ON r.position = d.position "
    "WHERE d.lane = ? AND d.due_at IS NOT NULL AND d.due_at <= ? "
    "ORDER BY d.due_at, d.state, d.position, d.subscription LIMIT ?"
)
_NEXT_DUE = (
    "SELECT due_at FROM deliveries INDEXED BY deliveries_due WHERE lane = ? AND due_at IS NOT NULL "
    "ORDER BY due_at, state, position, subscription LIMIT 1 OFFSET ?"
)
_TAKE = (
    f"UPDATE deliveries SET state = {CLAIMED}, token = column1, due_at = column2, "  # noqa: S608
    "attempts_made = attempts_made + 1 FROM ({rows}) WHERE position = column3 AND subscription = column4"
)


def _claim(tables: Tables, commands: Sequence[Claiming]) -> list[Claimed]:
    return [_claim_one(tables, command) for command in commands]


def _claim_one(tables: Tables, command: Claiming) -> Claimed:
    lane = tables.number_if_known(command.lane)
    if lane is None:
        return Claimed(claims=(), next_due_at=None)
    with closing(tables.connection.execute(_DUE, (lane, command.now, command.limit))) as found:
        due = at_once(found, _body_bytes)
    next_due = tables.connection.execute(_NEXT_DUE, (lane, len(due))).fetchone()
    claims, taken = [], []
    for subscription, name, attempts_made, owed_at, key, log, *row in due:
        record = make_record(tables.logs_by_id[log].name, tuple(row))
        token, attempt = tables.next_token(), attempts_made + 1
        taken.append((token, command.leased_until, record.position, subscription))
        claims.append(
            Claim(
                subscription=name,
                lane=command.lane,
                record=record,
                attempt=attempt,
                token=token,
                owed_at=from_micros(owed_at),
                key=key,
            )
        )
    execute_many(tables.connection, _TAKE, taken)
    return Claimed(claims=claims, next_due_at=due_or_held(next_due[0]) if next_due else None)


def _body_bytes(row: Sequence[Any]) -> int:
    *_, body, _ = row  # RECORD_COLUMNS end with it and its checksum
    return len(body)


CLAIM: Verb[Claiming, Claimed] = Verb(_claim, committed=Failpoint.CLAIM_COMMITTED)


class Extending(msgspec.Struct, frozen=True, gc=False):
    """The argument of extend."""

    claims: Sequence[Claim]
    leased_until: int


_EXTEND = "UPDATE deliveries SET due_at = ? WHERE position = ? AND subscription = ? AND token = ?"


def _extend(tables: Tables, commands: Sequence[Extending]) -> list[list[bool]]:
    return [[_extend_one(tables, claim, command) for claim in command.claims] for command in commands]


def _extend_one(tables: Tables, claim: Claim, command: Extending) -> bool:
    held = (command.leased_until, *_key(tables, claim))
    return tables.connection.execute(_EXTEND, held).rowcount == 1


EXTEND: Verb[Extending, Sequence[bool]] = Verb(_extend)


# -- settle ------------------------------------------------------------------------------------------------


class Settling(msgspec.Struct, frozen=True, gc=False):
    """The argument of settle."""

    claim: Claim
    settlement: Settlement
    now: int


_SETTLE = (
    "UPDATE deliveries SET state = column1, due_at = column2, settled_at = column3, "
    "last = column4, attempts_made = attempts_made - column5, attempts = column6, token = column7 "
    "FROM ({rows}) WHERE position = column8 AND subscription = column9 AND token = column10"
)
_SETTLE_FIRST = _SETTLE + " AND attempts IS NULL"
_ATTEMPTS = "SELECT attempts FROM deliveries WHERE position = ? AND subscription = ? AND token = ?"


def _settle(tables: Tables, commands: Sequence[Settling]) -> list[bool]:
    """Settle all of them as if each were the first time; then look at the others one by one.

    A settled row keeps a negative token, drawn for the settlement, so that it can be told which of several
    settlements of one delivery (by a claim and by an earlier one that lost its lease) it was.
    """
    marks = {command.claim.token: -tables.next_token() for command in commands}
    first = {command.claim.token: command for command in commands}
    rows = [_settled_row(tables, command, marks[token], None) for token, command in first.items()]
    all_were_first = execute_many(tables.connection, _SETTLE_FIRST, rows) == len(rows) == len(commands)
    settled = [all_were_first or _settle_again(tables, command, marks, first) for command in commands]
    for command, is_settled in zip(commands, settled, strict=True):
        if is_settled and command.settlement.state is not DeliveryState.OWED:
            log = tables.log(command.claim.record.log)
            tables.count(log.id, command.settlement.state.value)
            _let_the_next_go(tables, command)
    return settled


def _let_the_next_go(tables: Tables, command: Settling) -> None:
    key, subscription = command.claim.key, tables.number_if_known(command.claim.subscription)
    if key is not None and subscription is not None:
        release(tables.connection, subscription, key, command.now)


def _settle_again(
    tables: Tables, command: Settling, marks: Mapping[int, int], first: dict[int, Settling]
) -> bool:
    """Whether `command` was settled with its mark; if it has a history, settle it now."""
    mark = marks[command.claim.token]
    if first.pop(command.claim.token, None) is None:
        return False
    key = _key(tables, command.claim)
    if token_of(tables.connection, *key[:2]) == mark:
        return True
    found = tables.connection.execute(_ATTEMPTS, key).fetchone()
    if found is None:
        return False
    return execute_many(tables.connection, _SETTLE, [_settled_row(tables, command, mark, found[0])]) == 1


def token_of(connection: sqlite3.Connection, position: int, subscription: int | None) -> int | None:
    """The token of a delivery, None if it has none or there is no such delivery."""
    row = connection.execute(
        "SELECT token FROM deliveries WHERE position = ? AND subscription = ?", (position, subscription)
    ).fetchone()
    return row[0] if row else None


def _key(tables: Tables, claim: Claim) -> tuple[int, int | None, int]:
    return claim.record.position, tables.number_if_known(claim.subscription), claim.token


def _settled_row(
    tables: Tables, command: Settling, mark: int, attempts: bytes | None
) -> tuple[int | bytes | None, ...]:
    history = _history(attempts, command.settlement)
    return (*_settled(command), history, mark, *_key(tables, command.claim))


def _settled(command: Settling) -> tuple[int, int | None, int | None, bytes, int]:
    """state, due_at, settled_at, last, and how many of the attempts that were counted were not made."""
    given = command.settlement
    is_retry = given.state is DeliveryState.OWED
    due_at = to_micros(given.due_at) if given.due_at is not None else None
    last = Last(
        given.state,
        due_at,
        given.error,
        given.message,
        given.exhausted,
        given.sent_to,
        given.attempt is not None,
    )
    when_due = (command.now if due_at is None else due_at) if is_retry else None
    unmade = 1 if given.attempt is None and not is_retry else 0
    return NUMBERS[given.state], when_due, None if is_retry else command.now, _encode(last), unmade


def _history(stored: bytes | None, settlement: Settlement) -> bytes | None:
    """The attempts with this one: the first, and the latest of the others."""
    if settlement.attempt is None:
        return stored
    attempt = _encode(settlement.attempt)
    attempts = [*_decode_attempts(stored), msgspec.Raw(attempt)] if stored else [msgspec.Raw(attempt)]
    return _encode(attempts if len(attempts) <= ATTEMPTS_KEPT else [attempts[0], *attempts[2:]])


SETTLE: Verb[Settling, bool] = Verb(
    _settle, before=Failpoint.SETTLE_BEFORE_COMMIT, committed=Failpoint.SETTLE_COMMITTED
)


# -- dead letters ------------------------------------------------------------------------------------------


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
        if position <= END and number is not None:
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
    "ORDER BY settled_at LIMIT ?"
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


def release_all(tables: Tables, now: int) -> None:
    """Let every claim of a process that is gone be due at once; its attempt stays counted."""
    tables.connection.execute(
        f"UPDATE deliveries INDEXED BY deliveries_due SET state = {OWED}, token = NULL, due_at = ? "  # noqa: S608
        f"WHERE due_at IS NOT NULL AND state = {CLAIMED}",
        (now,),
    )


def decode_attempts(stored: bytes | None) -> tuple[Attempt, ...]:
    return msgspec.json.decode(stored, type=tuple[Attempt, ...]) if stored else ()
