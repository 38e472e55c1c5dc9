"""A connection to somebody else's server: one request at a time, and only so much of an answer.

A server may send what it likes, and its answer ends when we say so: at the end that it announced, at the
bound of the head, of the body or of all bytes together, or when it hangs up. Only a
connection whose answer was complete, with nothing behind it, is used again: whatever else a server has sent
would be taken for the answer to the next request, which may be somebody else's.

Bytes are taken apart by httptools (llhttp), in its strict mode.
"""

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

from partnerbus.targets.outbound import OutboundResponse
from partnerbus.targets.outbound_wire import Party

ANSWER_BYTES = 4 * 1024 * 1024
"""How much is taken of an answer, whatever it is made of. No body that is read whole comes near it."""

HEAD_BYTES = 64 * 1024
"""How much may come before the end of an answer's head, interim answers (100 to 199) included."""

SWITCHING_PROTOCOLS = 101


class OutboundConnection(asyncio.Protocol):
    """One connection to `party`; `lost` is called when it can be used no more."""

    def __init__(self, party: Party, lost: Callable[["OutboundConnection"], None]) -> None:
        self.party = party
        self._lost = lost
        self._parser = httptools.HttpResponseParser(self)
        self._answered: asyncio.Future[OutboundResponse] | None = None
        self.is_open = False
        """Whether it can take another request."""

    async def exchange(self, request: bytes, *, is_head: bool, body_limit: int) -> OutboundResponse:
        """Write a request and read its answer; `OSError` if there is none.

        Whoever is cancelled meanwhile closes the connection.
        """
        self._is_head = is_head
        self._body_left = body_limit
        self._bytes_left = ANSWER_BYTES
        self._head_left = HEAD_BYTES
        self._is_complete = self._is_cut = False
        self._answered = asyncio.get_running_loop().create_future()
        self._begin()
        self._transport.write(request)
        try:
            return await self._answered
        finally:
            if not self._answered.done() or self._answered.cancelled():
                self.abort()
            self._answered = None

    def close(self) -> None:
        """Say goodbye."""
        self._end()
        self._transport.close()

    def abort(self) -> None:
        """Hang up, and forget what has not been read or written."""
        self._end()
        self._transport.abort()

    # -- what the transport says -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if self._answered is None or self._answered.done():
            self.abort()  # nobody has asked for it
            return
        self._bytes_left -= len(data)
        if not self._has_head:
            self._head_left -= len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._is_cut = True
            if not self._is_complete:
                self._fail(ConnectionError("what came is no answer"))
                return
        if self._is_complete or self._body_left < 0:
            self._finish()
        elif self._bytes_left < 0 or (self._head_left < 0 and not self._has_head):
            self._fail(ConnectionError("the answer does not end"))

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        if self._answered is None or self._answered.done():
            return
        if exc is None and self._ends_with_connection:
            self._finish()
        else:
            self._answered.set_exception(exc or ConnectionError("the connection was closed"))

    # -- what the parser says --------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._is_complete:
            self._is_cut = True  # another answer, to nothing
        else:
            self._begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:  # or it is a trailer
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._is_complete or (status < 200 and status != SWITCHING_PROTOCOLS):
            return
        self._status, self._has_head = status, True
        if self._is_head or status == SWITCHING_PROTOCOLS:  # the parser would wait for what does not come
            self._is_complete = self._is_cut = True

    def on_body(self, body: bytes) -> None:
        if self._body_left >= 0 and not self._is_complete:
            self._body.append(body[: self._body_left])
            self._body_left -= len(body)

    def on_message_complete(self) -> None:
        if self._has_head and not self._is_complete:
            self._is_complete = True
            self._is_cut = not self._parser.should_keep_alive()

    # -- how an answer begins and ends -----------------------------------------------------------------

    def _begin(self) -> None:
        self._status, self._has_head = 0, False
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    @property
    def _ends_with_connection(self) -> bool:
        """Whether the answer did not say where its body ends (RFC 9112, 6.3)."""
        codings = self._headers.get("transfer-encoding", "").lower()
        return self._has_head and "content-length" not in self._headers and not codings.endswith("chunked")

    def _end(self) -> None:
        if self.is_open:
            self.is_open = False
            self._lost(self)

    def _finish(self) -> None:
        if not self._is_complete or self._is_cut or self._transport.get_write_buffer_size():
            self.abort()
        assert self._answered is not None
        body = b"".join(self._body)
        self._answered.set_result(OutboundResponse(status=self._status, headers=self._headers, body=body))

    def _fail(self, error: Exception) -> None:
        assert self._answered is not None
        self.abort()
        self._answered.set_exception(error)
