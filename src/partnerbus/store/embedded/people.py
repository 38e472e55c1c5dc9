"""What people and sweeps read of deliveries, on a reader's connection."""

import heapq
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, product
from typing import Any

import msgspec

from partnerbus.model.delivery import Attempt, Delivery, DeliveryState, Record, Settlement
from partnerbus.store.embedded.database import END, from_micros
from partnerbus.store.embedded.deliveries import HELD, OWED_AT, Last, decode_attempts, due_or_held
from partnerbus.store.embedded.records import RECORD_COLUMNS, make_record, to_datetime
from partnerbus.store.embedded.states import NUMBERS, STATES
from partnerbus.store.embedded.tables import LEDGER
from partnerbus.store.protocol import Backlog, DeliveryQuery, LaneDue, Ledger

_decode_last = msgspec.json.Decoder(Last).decode

_COLUMNS = (
    f"d.position, d.subscription, s.name, lane.name, l.name, d.state, d.attempts_made, {OWED_AT}, d.due_at, "
    "d.settled_at, d.redriven, d.attempts, d.last, r.stored_at, r.via, r.body, r.checksum"
)
_NAMES = (
    "CROSS JOIN logs l ON l.id = r.log CROSS JOIN names s ON s.id = d.subscription "
    "CROSS JOIN names lane ON lane.id = d.lane"
)
_FROM_DELIVERIES = "deliveries d {index} CROSS JOIN records r ON r.position = d.position"
_FROM_RECORDS = "records r INDEXED BY records_of_log CROSS JOIN deliveries d ON d.position = r.position"

Row = Sequence[Any]


class _Condition(msgspec.Struct):
    """A part of WHERE, and what its question marks stand for."""

    text: str
    values: Sequence[object] = ()


def lanes(connection: sqlite3.Connection) -> list[LaneDue]:
    """Two looks into the index for each lane with something owed, none at the owed rows themselves."""
    due = "FROM deliveries INDEXED BY deliveries_due WHERE due_at IS NOT NULL"
    rows = connection.execute(
        f"WITH RECURSIVE due (lane) AS (SELECT min(lane) {due} UNION ALL "  # noqa: S608
        f"SELECT (SELECT min(lane) {due} AND lane > last.lane) FROM due last WHERE last.lane IS NOT NULL) "
        f"SELECT name, (SELECT min(due_at) {due} AND lane = names.id) FROM due JOIN names ON id = due.lane"
    )
    return [LaneDue(lane=name, due_at=from_micros(due_at)) for name, due_at in rows if due_at != HELD]


def ledger(connection: sqlite3.Connection, log: str) -> Ledger:
    """All of a log's balance is in one row, so it is consistent in itself."""
    row = connection.execute(f"SELECT {', '.join(LEDGER)} FROM logs WHERE name = ?", (log,)).fetchone()  # noqa: S608
    if row is None:
        return Ledger(log=log)
    numbers = dict(zip(LEDGER, row, strict=True))
    ended = sum(numbers[state] for state in ("delivered", "dead", "dropped", "cancelled"))
    return Ledger(
        log=log,
        **numbers,
        unrouted=numbers["accepted"] - numbers["unmatched"] - numbers["matched"],
        pending=numbers["owed"] - ended,
    )


def find(connection: sqlite3.Connection, dedup_ids: Sequence[bytes]) -> list[Record]:
    """The records with these ids: a look into the index for each."""
    look = (
        f"SELECT l.name, {RECORD_COLUMNS} FROM records r JOIN logs l ON l.id = r.log "  # noqa: S608
        "WHERE r.dedup_id = ?"
    )
    rows = [row for each in set(dedup_ids) for row in connection.execute(look, (each,))]
    return sorted((make_record(log, tuple(row)) for log, *row in rows), key=lambda record: record.position)


_PENDING_BY_SUBSCRIPTION = (
    "SELECT p.subscription, p.pending, p.retrying, r.stored_at FROM ("  # noqa: S608
    "SELECT subscription, count(*) AS pending, "
    f"sum(state = {NUMBERS[DeliveryState.OWED]} AND due_at > ? AND due_at != {HELD}) AS retrying, "
    "min(position) AS eldest FROM deliveries INDEXED BY deliveries_due WHERE due_at IS NOT NULL "
    "GROUP BY subscription) p JOIN records r ON r.position = p.eldest"
)
_DEAD_BY_SUBSCRIPTION = (
    "SELECT subscription, count(*) FROM deliveries INDEXED BY deliveries_dead "  # noqa: S608
    f"WHERE state = {NUMBERS[DeliveryState.DEAD]} GROUP BY subscription"
)


def backlog(connection: sqlite3.Connection, now: int) -> list[Backlog]:
    """Counted in the indexes; no owed row is looked at, only the records of the eldest."""
    connection.execute("BEGIN")  # both of one state of the file
    try:
        pending = {row[0]: row[1:] for row in connection.execute(_PENDING_BY_SUBSCRIPTION, (now,))}
        dead = dict(connection.execute(_DEAD_BY_SUBSCRIPTION).fetchall())
        names = {number: _name(connection, number) for number in pending.keys() | dead.keys()}
    finally:
        connection.execute("COMMIT")
    nothing = (0, 0, None)
    found = []
    for number, name in sorted(names.items(), key=lambda item: item[1]):
        owed, retrying, stored_at = pending.get(number, nothing)
        found.append(
            Backlog(
                subscription=name,
                pending=owed,
                retrying=retrying,
                dead=dead.get(number, 0),
                oldest_stored_at=to_datetime(stored_at),
            )
        )
    return found


def deliveries(connection: sqlite3.Connection, query: DeliveryQuery) -> list[Delivery]:
    """A page of deliveries: each range that the query names is read newest first, and they are merged."""
    if [] in (query.ids, query.logs, query.subscriptions):
        return []
    with_filters = _filters(connection, query)
    ranges = [
        _rows(connection, source, [*with_filters, *conditions], query.limit)
        for source, conditions in _ranges(connection, query)
    ]
    newest_first = heapq.merge(*ranges, key=lambda row: (row[0], row[1]), reverse=True)
    return [_delivery(row) for row in islice(newest_first, query.limit)]


def _ranges(
    connection: sqlite3.Connection, query: DeliveryQuery
) -> Iterator[tuple[str, Sequence[_Condition]]]:
    """The parts of tables to look through, each with an index that gives it in the order of the page."""
    if query.ids is not None:
        for subscription, position in {(name, min(position, END)) for name, position in query.ids}:
            number = _number(connection, subscription)
            yield (
                _FROM_DELIVERIES.format(index=""),
                [_Condition("d.position = ? AND d.subscription = ?", (position, number))],
            )
    elif query.position is not None:
        position = min(query.position, END)
        yield _FROM_DELIVERIES.format(index=""), [_Condition("d.position = ?", (position,))]
    elif tuple(query.states) == (DeliveryState.DEAD,):
        yield _FROM_DELIVERIES.format(index="INDEXED BY deliveries_dead"), []
    elif query.subscriptions is not None:
        for subscription in set(query.subscriptions):
            number = _number(connection, subscription)
            index = "INDEXED BY deliveries_of_subscription"
            yield _FROM_DELIVERIES.format(index=index), [_Condition("d.subscription = ?", (number,))]
    elif query.logs is not None:
        for log, trimmed in product(set(query.logs), (0, 1)):
            text = "r.log = (SELECT id FROM logs WHERE name = ?) AND r.trimmed = ?"
            yield _FROM_RECORDS, [_Condition(text, (log, trimmed))]
    else:
        yield _FROM_DELIVERIES.format(index=""), []


def _filters(connection: sqlite3.Connection, query: DeliveryQuery) -> list[_Condition]:
    conditions = []
    if query.states:
        numbers = [NUMBERS[state] for state in set(query.states)]
        conditions.append(
            _Condition(f"d.state = {numbers[0]}" if len(numbers) == 1 else _in("d.state", numbers))
        )
    if query.position is not None:
        conditions.append(_Condition("d.position = ?", (min(query.position, END),)))
    if query.subscriptions is not None:
        known = [_number(connection, name) for name in query.subscriptions]
        conditions.append(_Condition(_in("d.subscription", known)))
    if query.logs is not None:
        marks = ", ".join("?" * len(query.logs))
        text = f"r.log IN (SELECT id FROM logs WHERE name IN ({marks}))"  # noqa: S608
        conditions.append(_Condition(text, query.logs))
    if query.after is not None:
        position, subscription = query.after
        position = min(position, END)
        after = (position, position, position, _number(connection, subscription))
        # said of both, since either may be the one whose index is walked
        text = "r.position <= ? AND d.position <= ? AND (d.position, d.subscription) < (?, ?)"
        conditions.append(_Condition(text, after))
    return conditions


def _in(column: str, numbers: Iterable[int]) -> str:
    return f"{column} IN ({', '.join(map(str, numbers))})"


def _rows(
    connection: sqlite3.Connection, source: str, conditions: Sequence[_Condition], limit: int
) -> list[Row]:
    where = " AND ".join(condition.text for condition in conditions) or "TRUE"
    order = "r.position DESC" if source == _FROM_RECORDS else "d.position DESC"
    values = [value for condition in conditions for value in condition.values]
    rows: list[Row] = connection.execute(
        f"SELECT {_COLUMNS} FROM {source} {_NAMES} WHERE {where} "  # noqa: S608
        f"ORDER BY {order}, d.subscription DESC LIMIT ?",
        (*values, limit),
    ).fetchall()
    return rows


def _number(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def _name(connection: sqlite3.Connection, number: int) -> str:
    return str(connection.execute("SELECT name FROM names WHERE id = ?", (number,)).fetchone()[0])


def _delivery(row: Row) -> Delivery:
    position, _, subscription, lane, log, state, made, owed_at, due_at, settled_at, redriven = row[:11]
    attempts = decode_attempts(row[11])
    return Delivery(
        subscription=subscription,
        lane=lane,
        log=log,
        position=position,
        state=STATES[state],
        attempts_made=made,
        owed_at=from_micros(owed_at),
        due_at=due_or_held(due_at),
        settled_at=to_datetime(settled_at),
        attempts=attempts,
        last=_settlement(row[12], attempts),
        redriven=redriven,
        record=_record(log, (position, *row[13:17])),
    )


def _record(log: str, row: tuple[int, int, str | None, bytes, int]) -> Record | None:
    """The record, None if it is not what was stored: how its delivery ended can be read all the same."""
    try:
        return make_record(log, row)
    except msgspec.DecodeError:
        return None


def _settlement(stored: bytes | None, attempts: Sequence[Attempt]) -> Settlement | None:
    if stored is None:
        return None
    last = _decode_last(stored)
    return Settlement(
        state=last.state,
        due_at=to_datetime(last.due_at),
        attempt=attempts[-1] if last.attempted and attempts else None,
        error=last.error,
        message=last.message,
        exhausted=last.exhausted,
        sent_to=last.sent_to,
    )
