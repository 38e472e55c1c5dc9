"""Records: appending, keeping, reading, seeking."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

import msgspec

from partnerbus.kernel.errors import EventDamaged
from partnerbus.kernel.failpoints import Failpoint
from partnerbus.kernel.ids import ID_BYTES, id_text
from partnerbus.model.delivery import NewRecord, Record
from partnerbus.model.event import decode_event, minute_of
from partnerbus.model.resources import REPLAY_LOGS
from partnerbus.store.embedded.amounts import at_once, detail_bytes
from partnerbus.store.embedded.database import from_micros
from partnerbus.store.embedded.seen import Seen
from partnerbus.store.embedded.tables import Log, Tables, execute_many
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.protocol import START, Kept, LogInfo, LogSize, Place

_INSERT = (
    "INSERT INTO records (position, log, stored_at, dedup_id, via, body, trimmed, minute, checksum) {rows} "
    "ON CONFLICT (dedup_id) DO NOTHING"
)
RECORD_COLUMNS = "r.position, r.stored_at, r.via, r.body, r.checksum"


class NewRow(NamedTuple):
    """A record on its way into the table, in the order of its columns."""

    position: int
    log: int
    stored_at: int
    dedup_id: bytes
    via: str | None
    body: bytes
    trimmed: int
    minute: int | None
    checksum: int


class Appending(msgspec.Struct, frozen=True, gc=False):
    """The argument of append: `bodies` are the records' encoded events."""

    records: Sequence[NewRecord]
    bodies: Sequence[bytes]
    now: int


def checksum(position: int, body: bytes) -> int:
    """What tells a body at its position from all that a disk may make of it (CRC-32)."""
    return crc32(body, position & 0xFFFFFFFF)


def make_record(log: str, row: tuple[int, int, str | None, bytes, int]) -> Record:
    """The record in a row of `RECORD_COLUMNS`; a `msgspec.DecodeError` if it is not what was stored there."""
    position, stored_at, via, body, expected = row
    if checksum(position, body) != expected:
        raise msgspec.DecodeError(f"the event at position {position} is not what was stored there")
    return Record(
        log=log, position=position, stored_at=from_micros(stored_at), event=decode_event(body), via=via
    )


def sound_records(
    connection: sqlite3.Connection, log: str, rows: Iterable[tuple[int, int, str | None, bytes, int]]
) -> Iterator[Record]:
    """The records in rows, up to the first that is damaged; `EventDamaged` if nothing is before it."""
    is_first = True
    for row in rows:
        try:
            record = make_record(log, row)
        except msgspec.DecodeError:
            if is_first:
                damaged = EventDamaged(log, row[0], _instant(row[1]), event_id(connection, row[0]))
                raise damaged from None
            return
        is_first = False
        yield record


def _instant(micros: object) -> datetime:
    """When a damaged record was stored, as far as anybody can tell: 1970 if nobody can."""
    try:
        return from_micros(micros if isinstance(micros, int) else 0)
    except OverflowError:
        return from_micros(0)


def event_id(connection: sqlite3.Connection, position: int) -> str | None:
    """The id of the event at `position` without its body; None for a copy, which is stored by another one."""
    found = connection.execute(
        "SELECT r.dedup_id FROM records r JOIN logs l ON l.id = r.log "
        "WHERE r.position = ? AND r.via IS NULL AND r.minute IS NULL AND l.name NOT LIKE ?",
        (position, f"{REPLAY_LOGS}%"),
    ).fetchone()
    return id_text(found[0]) if found is not None and len(found[0]) == ID_BYTES else None


# -- append ------------------------------------------------------------------------------------------------


def _append(tables: Tables, commands: Sequence[Appending]) -> list[list[Record]]:
    rows = [row for command in commands for row in _new_rows(tables, command)]
    stored = _insert(tables, rows)
    records = [record for command in commands for record in command.records]
    made = iter([_appended(tables, new, row, stored) for new, row in zip(records, rows, strict=True)])
    return [[next(made) for _ in command.records] for command in commands]


def _new_rows(tables: Tables, command: Appending) -> list[NewRow]:
    stamp = tables.stored_at = max(tables.stored_at, command.now)
    rows = []
    for new, body in zip(command.records, command.bodies, strict=True):
        tables.position += 1
        log_id = tables.log(new.log).id
        rows.append(_new_row(tables.position, log_id, stamp, new, body))
    return rows


def _new_row(position: int, log_id: int, stamp: int, new: NewRecord, body: bytes) -> NewRow:
    return NewRow(position, log_id, stamp, new.dedup_id, new.via, body, 0, None, checksum(position, body))


def _insert(tables: Tables, rows: Sequence[NewRow]) -> dict[bytes, int]:
    """Insert what is not stored yet; give the stored positions of those that were repeated."""
    if execute_many(tables.connection, _INSERT, rows) == len(rows):
        repeated = {}
    else:
        repeated = _positions(tables.connection, rows)
    for row in rows:
        if repeated.get(row.dedup_id, row.position) == row.position:
            _enter(tables.logs_by_id[row.log], row)
    return repeated


def _enter(log: Log, row: NewRow) -> None:
    log.head, log.stored_at = row.position, row.stored_at
    log.records += 1
    log.bytes += len(row.body)


def _positions(connection: sqlite3.Connection, rows: Sequence[NewRow]) -> dict[bytes, int]:
    find = "SELECT position FROM records WHERE dedup_id = ?"
    return {row.dedup_id: connection.execute(find, (row.dedup_id,)).fetchone()[0] for row in rows}


def _appended(tables: Tables, new: NewRecord, row: NewRow, repeated: dict[bytes, int]) -> Record:
    tables.logs_by_id[row.log].is_routed = 1
    position = repeated.get(row.dedup_id, row.position)
    if position != row.position:
        return stored_record(tables, position)
    tables.logs_by_id[row.log].accepted += 1
    return Record(
        log=new.log, position=position, stored_at=from_micros(row.stored_at), event=new.event, via=new.via
    )


def stored_record(tables: Tables, position: int) -> Record:
    """The record at `position`, which must be stored."""
    log, *row = tables.connection.execute(
        f"SELECT r.log, {RECORD_COLUMNS} FROM records r WHERE r.position = ?",  # noqa: S608
        (position,),
    ).fetchone()
    return make_record(tables.logs_by_id[log].name, tuple(row))


def _see(seen: Seen, _: Appending, records: Sequence[Record]) -> None:
    seen.tail.push(records)


APPEND: Verb[Appending, Sequence[Record]] = Verb(
    _append,
    on_disk=True,
    before=Failpoint.APPEND_BEFORE_COMMIT,
    committed=Failpoint.APPEND_COMMITTED,
    effect=_see,
)
APPEND_ORDERED: Verb[Appending, Sequence[Record]] = Verb(
    _append, before=Failpoint.APPEND_BEFORE_COMMIT, committed=Failpoint.APPEND_COMMITTED, effect=_see
)


def keep(tables: Tables, kept: Sequence[Kept], stored_at: Sequence[int]) -> list[Record]:
    """Store copies of records in other logs, with their own `stored_at`; give those that are new."""
    rows = []
    for copy, instant in zip(kept, stored_at, strict=True):
        tables.position += 1
        log = tables.log(copy.log)
        log.stored_at = max(log.stored_at, instant)  # `seek` needs it never to go back within a log
        tables.stored_at = max(tables.stored_at, log.stored_at)  # as it is for whoever reads everything anew
        rows.append(_kept_row(tables.position, log, copy))
    repeated = _insert(tables, rows)
    return [
        msgspec.structs.replace(
            copy.record, log=copy.log, position=row.position, stored_at=from_micros(row.stored_at)
        )
        for copy, row in zip(kept, rows, strict=True)
        if repeated.get(row.dedup_id, row.position) == row.position
    ]


def _kept_row(position: int, log: Log, kept: Kept) -> NewRow:
    event = kept.record.event
    body = event.encode()
    return NewRow(
        position,
        log.id,
        log.stored_at,
        _kept_id(kept),
        kept.record.via,
        body,
        trimmed=0,
        minute=minute_of(event),
        checksum=checksum(position, body),
    )


def _kept_id(kept: Kept) -> bytes:
    """The copy of a record in a log: by position, as it is stored, so that the index grows in one place.

    Ids of events begin with a time and are larger than that of any position.
    """
    log = blake2b(kept.log.encode(), digest_size=8, person=b"kept").digest()
    return kept.record.position.to_bytes(8) + log


# -- reading, on a reader's connection ---------------------------------------------------------------------


def read_records(
    connection: sqlite3.Connection, log: str, after: int, until: int, limit: int
) -> list[Record]:
    """Records of `log` with `after` < position <= `until`, in order; as many as may be read at once."""
    found = connection.execute(
        f"SELECT {RECORD_COLUMNS} FROM records r INDEXED BY records_of_log "  # noqa: S608
        "WHERE r.log = (SELECT id FROM logs WHERE name = ?) AND r.trimmed = 0 "
        "AND r.position > ? AND r.position <= ? "
        "ORDER BY r.position LIMIT ?",
        (log, after, until, limit),
    )
    with closing(found):
        return at_once(sound_records(connection, log, found), detail_bytes)


_BY_MINUTE = (
    f"SELECT {RECORD_COLUMNS} FROM records r INDEXED BY records_by_minute "  # noqa: S608
    "WHERE r.log = (SELECT id FROM logs WHERE name = ?) AND r.minute IS NOT NULL AND r.trimmed = 0 "
    "AND {place} AND r.position <= ? ORDER BY r.minute, r.position LIMIT ?"
)
_SAME_MINUTE = _BY_MINUTE.format(place="r.minute = ? AND r.position > ?")
_LATER_MINUTES = _BY_MINUTE.format(place="r.minute > ? AND r.minute < ?")


def read_by_minute(
    connection: sqlite3.Connection, log: str, after: Place, before: int, until: int, limit: int
) -> list[Record]:
    """Kept records by minute and position: the rest of a minute first, so that each is found by the index."""
    rows = []
    if after.minute < before:
        rows = connection.execute(_SAME_MINUTE, (log, after.minute, after.position, until, limit)).fetchall()
    if len(rows) < limit:
        rows += connection.execute(
            _LATER_MINUTES, (log, after.minute, before, until, limit - len(rows))
        ).fetchall()
    return [make_record(log, row) for row in rows]


def size(connection: sqlite3.Connection, log: str) -> LogSize:
    row = connection.execute("SELECT records, bytes FROM logs WHERE name = ?", (log,)).fetchone()
    return LogSize() if row is None else LogSize(records=row[0], bytes=row[1])


def head(connection: sqlite3.Connection, log: str) -> int:
    row = connection.execute("SELECT head FROM logs WHERE name = ?", (log,)).fetchone()
    return int(row[0]) if row else START


def seek(connection: sqlite3.Connection, log: str, stored_at: int) -> int:
    """Halve the positions of `log` until one stands: `stored_at` never goes back within a log."""
    low, high = START, head(connection, log)
    while low < high:
        middle = (low + high) // 2
        found = _first_after(connection, log, middle)
        if found is None or found[0] > high or found[1] >= stored_at:
            high = middle
        else:
            low = found[0]
    return low


def _first_after(connection: sqlite3.Connection, log: str, position: int) -> tuple[int, int] | None:
    found: tuple[int, int] | None = connection.execute(
        "SELECT position, stored_at FROM records INDEXED BY records_of_log "
        "WHERE log = (SELECT id FROM logs WHERE name = ?) AND trimmed = 0 AND position > ? "
        "ORDER BY position LIMIT 1",
        (log, position),
    ).fetchone()
    return found


def log_infos(connection: sqlite3.Connection) -> list[LogInfo]:
    rows = connection.execute(
        "SELECT l.name, l.head, (SELECT r.position FROM records r INDEXED BY records_of_log "
        "WHERE r.log = l.id AND r.trimmed = 0 ORDER BY r.position LIMIT 1) "
        "FROM logs l WHERE l.head > 0 ORDER BY l.name"
    )
    return [
        LogInfo(log=name, head=head, horizon=head + 1 if first is None else first)
        for name, head, first in rows
    ]


def to_datetime(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
