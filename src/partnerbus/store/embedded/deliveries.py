"""Deliveries once they are owed: claimed, extended, settled. `routing` makes them."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

import msgspec

from partnerbus.kernel.failpoints import Failpoint
from partnerbus.model.delivery import (
    ATTEMPTS_KEPT,
    Attempt,
    Claim,
    DeliveryState,
    Settlement,
)
from partnerbus.model.reply import ErrorCode
from partnerbus.store.embedded.amounts import at_once
from partnerbus.store.embedded.database import END, from_micros, to_micros
from partnerbus.store.embedded.records import RECORD_COLUMNS, make_record
from partnerbus.store.embedded.states import NUMBERS
from partnerbus.store.embedded.tables import Tables, execute_many
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.protocol import Claimed

OWED = NUMBERS[DeliveryState.OWED]
CLAIMED = NUMBERS[DeliveryState.CLAIMED]

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


class Held(msgspec.Struct, frozen=True, gc=False):
    """What of a claim tells whether it is still held, and what ends with it."""

    log: str
    position: int
    subscription: str
    token: int
    key: bytes | None


def held(claim: Claim) -> Held:
    record = claim.record
    return Held(record.log, record.position, claim.subscription, claim.token, claim.key)


# -- claim and extend --------------------------------------------------------------------------------------


DAMAGED = Settlement(
    state=DeliveryState.DEAD,
    error=ErrorCode.INTERNAL_ERROR,
    message="The stored event is damaged: it is not what was put any more, so nobody is sent it.",
)


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
    claims, taken, damaged = [], [], []
    for subscription, name, attempts_made, owed_at, key, log, *row in due:
        token, attempt, position = tables.next_token(), attempts_made + 1, row[0]
        taken.append((token, command.leased_until, position, subscription))
        try:
            record = make_record(tables.logs_by_id[log].name, tuple(row))
        except msgspec.DecodeError:
            damaged.append(Held(tables.logs_by_id[log].name, position, name, token, key))
            continue
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
    if damaged:
        _settle(tables, [Settling(each, DAMAGED, command.now) for each in damaged])
        next_due = (command.now,)  # there may be more, and one that was held back may be due
    return Claimed(
        claims=claims,
        next_due_at=due_or_held(next_due[0]) if next_due else None,
        damaged=[(each.subscription, each.position) for each in damaged],
    )


def _body_bytes(row: Sequence[Any]) -> int:
    *_, body, _ = row  # RECORD_COLUMNS end with it and its checksum
    return len(body)


CLAIM: Verb[Claiming, Claimed] = Verb(_claim, committed=Failpoint.CLAIM_COMMITTED)


class Extending(msgspec.Struct, frozen=True, gc=False):
    """The argument of extend."""

    claims: Sequence[Held]
    leased_until: int


_EXTEND = "UPDATE deliveries SET due_at = ? WHERE position = ? AND subscription = ? AND token = ?"


def _extend(tables: Tables, commands: Sequence[Extending]) -> list[list[bool]]:
    return [[_extend_one(tables, claim, command) for claim in command.claims] for command in commands]


def _extend_one(tables: Tables, claim: Held, command: Extending) -> bool:
    row = (command.leased_until, *_key(tables, claim))
    return tables.connection.execute(_EXTEND, row).rowcount == 1


EXTEND: Verb[Extending, Sequence[bool]] = Verb(_extend)


# -- settle ------------------------------------------------------------------------------------------------


class Settling(msgspec.Struct, frozen=True, gc=False):
    """The argument of settle."""

    claim: Held
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
            log = tables.log(command.claim.log)
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


def _key(tables: Tables, claim: Held) -> tuple[int, int | None, int]:
    return claim.position, tables.number_if_known(claim.subscription), claim.token


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


def release_all(tables: Tables, now: int) -> None:
    """Let every claim of a process that is gone be due at once; its attempt stays counted."""
    tables.connection.execute(
        f"UPDATE deliveries INDEXED BY deliveries_due SET state = {OWED}, token = NULL, due_at = ? "  # noqa: S608
        f"WHERE due_at IS NOT NULL AND state = {CLAIMED}",
        (now,),
    )


def decode_attempts(stored: bytes | None) -> tuple[Attempt, ...]:
    return msgspec.json.decode(stored, type=tuple[Attempt, ...]) if stored else ()
