"""Ids of events, drawn or derived, as UUIDs (version 4).

They begin with a time, so that an index over them grows at its end: where they are drawn whole, each event
changes a page of its own somewhere in the index, which is read before and written later. Who reads one sees a
drawn UUID; 74 bits of it are.
"""

import os
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from uuid import UUID

ID_BYTES = 16
FETCHED_BYTES = 4_096
_TIME_BYTES = 6
_DRAWN_BYTES = ID_BYTES - _TIME_BYTES


class Ids:
    """Draws ids. Random bytes are fetched many at once: the system call costs more than an id does.

    It belongs to one process: a copy in another one would draw the same.
    """

    def __init__(self) -> None:
        self._fetched = b""
        self._used = 0

    def drawn(self, now: datetime, count: int) -> list[tuple[str, bytes]]:
        """So many new ids, each with its sixteen bytes."""
        time, draw = _milliseconds(now), self._draw
        return [_shaped(time + draw(_DRAWN_BYTES)) for _ in range(count)]

    def random(self) -> str:
        """An id of no time."""
        return _shaped(self._draw(ID_BYTES))[0]

    def _draw(self, size: int) -> bytes:
        start = self._used
        if start + size > len(self._fetched):
            self._fetched, start = os.urandom(FETCHED_BYTES), 0
        self._used = start + size
        return self._fetched[start : self._used]


def derived_id(at: datetime, *parts: str) -> bytes:
    """The id of what happened `at` that time and is told by `parts`: the same however often one asks."""
    digest = blake2b("\0".join(parts).encode(), digest_size=_DRAWN_BYTES).digest()
    return _shaped(_milliseconds(at) + digest)[1]


def time_of_id(event_id: str) -> datetime | None:
    """The time that an id begins with, which any client may have made up; None if it begins with none."""
    try:
        since = timedelta(milliseconds=int.from_bytes(UUID(event_id).bytes[:_TIME_BYTES]))
        return datetime(1970, 1, 1, tzinfo=UTC) + since
    except (ValueError, OverflowError):
        return None


def id_text(value: bytes) -> str:
    """An id as text."""
    return str(UUID(bytes=value))


def _milliseconds(at: datetime) -> bytes:
    return int(at.timestamp() * 1_000).to_bytes(_TIME_BYTES)


def _shaped(drawn: bytes) -> tuple[str, bytes]:
    value = bytearray(drawn)
    value[6] = value[6] & 0x0F | 0x40
    value[8] = value[8] & 0x3F | 0x80
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}", bytes(value)
