"""Sending answers, and what every answer carries."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec

from partnerbus.kernel.clock import Clock

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

SECOND = timedelta(seconds=1)
JSON: Header = (b"content-type", b"application/json")


class DateHeader:
    """The `Date` of answers, by the clock that judges signatures: SDKs correct their own by it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = self._next = datetime.min.replace(tzinfo=UTC)
        self._header: Header = (b"date", b"")

    def now(self) -> Header:
        """The header for an answer that leaves now; made once a second."""
        now = self._clock.now()
        if not self._second <= now < self._next:
            self._second = now.replace(microsecond=0)
            self._next = self._second + SECOND
            self._header = (b"date", format_datetime(self._second, usegmt=True).encode())
        return self._header


async def send_answer(send: Send, status: int, body: bytes, headers: Iterable[Header]) -> None:
    """Send a whole answer; its length is added."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


def error_body(sentence: str) -> bytes:
    """An error where the wire protocol of the service does not apply."""
    return msgspec.json.encode({"error": sentence})
