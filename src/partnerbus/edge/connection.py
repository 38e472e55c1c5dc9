"""One connection: uvicorn's HTTP protocol, with limits that hold while a request is still arriving.

uvicorn and llhttp parse; what they do not do is bound. Here a request's line and headers are counted as they
come, a request must be complete in time, and one that is malformed is answered without disturbing an
answer that is still under way. What llhttp refuses by itself (both a length and chunks, two lengths,
folded or nameless headers, bare line feeds) stays refused; tests hold it to that.

Time is the event loop's, not the `Clock`'s: these limits are about sockets, and a test that moves a day
forwards must not cut connections. It is counted in ticks, one for the whole server, so that a request costs
no timer of its own.

uvicorn writes an answer's head and its body one after the other, and uvloop makes a system call of each; here
the head waits for the body.
"""

import asyncio
from enum import Enum, auto
from typing import Protocol

import msgspec
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one connection may ask for. The seconds are real ones."""

    head_bytes: int = 64 * 1024
    headers: int = 100
    url_bytes: int = 16 * 1024
    discarded_bytes: int = 64 * 1024 * 1024
    """What is still read of a request after its refusal, so that its caller gets to see the refusal."""
    request_seconds: float = 30
    """How long a request may take to arrive."""
    idle_seconds: float = 75
    """How long a connection may be open without a request."""


class Watch(Protocol):
    """The server, as its connections see it."""

    @property
    def now(self) -> float:
        """The loop's time at the last tick."""

    def lost(self) -> None:
        """A connection is gone."""


class _Phase(Enum):
    BETWEEN = auto()
    HEAD = auto()
    BODY = auto()


class _WholeAnswers(asyncio.Transport):
    """A connection's transport as its answers see it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._head = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write; the head of an answer, which is not that of `100 Continue`, only with what follows."""
        if not self._head and bytes(data[:9]) == b"HTTP/1.1 " and data[9:10] != b"1":
            self._head = bytes(data)
        else:
            head, self._head = self._head, b""
            self._transport.write(head + data if head else data)

    def flush(self) -> None:
        """Nothing follows the head that waits, if any does."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class _Refused(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


MALFORMED = _Refused(400, "This is not a well-formed HTTP request.")


class Connection(HttpToolsProtocol):
    """A connection with limits."""

    def __init__(self, config: Config, state: ServerState, limits: ConnectionLimits, watch: Watch) -> None:
        super().__init__(config, state, {})
        self._limits = limits
        self._watch = watch
        self._phase = _Phase.BETWEEN
        self._since = watch.now
        self._head_bytes = 0
        self._discarded = 0
        self._refusal = MALFORMED
        self._deaf = False
        self._stopping = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn
        super().connection_made(transport)
        self._answers = _WholeAnswers(transport)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        cycle.transport = self._answers
        super()._start_asgi_task(cycle, app)

    # -- what arrives ----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        unfinished = self._phase is _Phase.HEAD
        super().data_received(data)
        if unfinished and self._phase is _Phase.HEAD:
            self._count_unfinished(len(data))
        elif self._phase is _Phase.BODY and self.cycle.response_complete:
            self._count_discarded(len(data))

    def _count_unfinished(self, size: int) -> None:
        """A head may come in many pieces of which the parser shows none before a line is whole."""
        self._head_bytes += size
        if self._head_bytes > 2 * self._limits.head_bytes:
            self._refuse(_Refused(431, "The headers of this request are too large."))

    def _count_discarded(self, size: int) -> None:
        self._discarded += size
        if self._discarded > self._limits.discarded_bytes:
            self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._phase = _Phase.HEAD
        self._since = self._watch.now
        self._head_bytes = self._discarded = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self._limits.url_bytes:
            self._stop(_Refused(431, "The URL of this request is too long."))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > self._limits.head_bytes:
            self._stop(_Refused(431, "The headers of this request are too large."))
        if len(self.headers) > self._limits.headers:
            self._stop(_Refused(431, "This request has too many headers."))

    def on_headers_complete(self) -> None:
        hosts = [name for name, _ in self.headers].count(b"host")
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() != "1.0"):
            self._stop(_Refused(400, "A request has exactly one Host."))
        if self.parser.should_upgrade():
            self._stop(_Refused(400, "This server speaks HTTP/1.1 only."))
        super().on_headers_complete()
        self._phase = _Phase.BODY
        if self._stopping:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._phase = _Phase.BETWEEN
        self._since = self._watch.now

    def _stop(self, refusal: _Refused) -> None:
        """Stop the parser; uvicorn then asks for the refusal through `send_400_response`."""
        self._refusal = refusal
        raise refusal

    # -- refusing --------------------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's sentence; we have our own
        self._refuse(self._refusal)

    def _refuse(self, refusal: _Refused) -> None:
        """Answer the request that is arriving, after every answer that is still owed, and close."""
        self._deaf = True
        if self._phase is _Phase.BODY:
            self._refuse_begun(refusal)
        elif self._is_answering():
            self.cycle.keep_alive = False
        else:
            self._write(refusal)

    def _refuse_begun(self, refusal: _Refused) -> None:
        """The application already has the head of this request and may be waiting for its body."""
        silent = self.cycle.response_started or bool(self.pipeline)
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        if silent:
            self.transport.close()
        else:
            self._write(refusal)

    def _write(self, refusal: _Refused) -> None:
        body = msgspec.json.encode({"error": refusal.sentence})
        self.transport.write(
            STATUS_LINE[refusal.status] + b"content-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n" % len(body) + body
        )
        self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # -- time and the end ------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        self._answers.flush()
        if self._phase is _Phase.BETWEEN:
            self._since = self._watch.now
        if self.pipeline:
            super().on_response_complete()
        else:  # uvicorn would also set a timer, which `tick` does without
            self.flow.resume_reading()

    def tick(self) -> None:
        """Judge how long the caller has kept us waiting."""
        if self.transport.is_closing():
            return
        waited = self._watch.now - self._since
        if self._phase is not _Phase.BETWEEN:
            if waited > self._limits.request_seconds:
                self._refuse(_Refused(408, "This request took too long to arrive."))
        elif waited > self._limits.idle_seconds and not self._is_answering():
            self.transport.close()

    def shutdown(self) -> None:
        """Close once what has begun is answered."""
        self._stopping = True
        if self._phase is not _Phase.HEAD:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._watch.lost()
