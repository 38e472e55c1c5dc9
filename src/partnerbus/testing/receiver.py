"""A scripted HTTP receiver: what a target sends to, with every way in which one can misbehave.

    async with Receiver() as receiver:
        receiver.script("/orders", Respond(status=503), Respond(status=200))
        ... deliver to f"{receiver.url}/orders" ...
        first, second = await receiver.received(2)

It listens on a real socket, on a free port of 127.0.0.1. A path without a script answers 200. Nothing here
sleeps: whoever waits for a request waits on a condition.
"""

import asyncio
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import parse_qsl, unquote

import httptools
import msgspec

_CHUNK = 65_536


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it arrived. `headers` has lower-case names; of a repeated one the last counts.

    `target` is the request target untouched, `path` its decoded path, `query` its decoded parameters in
    order, `connection` the number (from 1) of the connection that carried it.
    """

    method: str
    target: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]
    raw_headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int


class Respond(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer. `Content-Length` is added unless given or the answer is chunked."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Hang(msgspec.Struct, frozen=True):
    """Read the request, never answer; the connection stays open until the caller or the receiver ends."""


class Reset(msgspec.Struct, frozen=True):
    """Read the request, then break the connection with a TCP reset."""


class HalfClose(msgspec.Struct, frozen=True):
    """Promise a body, send a part of it, then say that there is no more."""

    body: bytes = b"half"
    promised: int = 1_000


class Drip(msgspec.Struct, frozen=True, kw_only=True):
    """Send the head and `body`, then keep the rest of the promised body back for ever."""

    status: int = 200
    body: bytes = b"d"
    promised: int = 1_000


class Huge(msgspec.Struct, frozen=True, kw_only=True):
    """A body of `size` bytes, made while it is sent; the receiver counts what the caller took."""

    status: int = 200
    size: int = 1_000_000_000
    headers: Mapping[str, str] = {}


class Raw(msgspec.Struct, frozen=True):
    """Send `data` as it is, then `repeated` so many `times` or until the caller goes away; then close."""

    data: bytes
    repeated: bytes = b""
    times: int = 0


Script: TypeAlias = Respond | Hang | Reset | HalfClose | Drip | Huge | Raw
Responder: TypeAlias = Callable[[Received], Script]


class Receiver:
    """The receiver. Use it as an async context manager; `url` is known inside.

    With `tls`, a server-side context, it speaks HTTPS and `url` says so. `host` is the address it listens on.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.requests: list[Received] = []
        """What has arrived so far, in order."""
        self.connections = 0
        """How many connections were accepted so far."""
        self.sent_bytes = 0
        """How much of its `Huge` bodies and `Raw` answers was written to sockets."""
        self._tls = tls
        self._host = host
        self._scripts: dict[str, deque[Script]] = {}
        self._responders: dict[str, Responder] = {}
        self._arrived = asyncio.Condition()
        self._open: set[asyncio.Task[None]] = set()
        self._is_deserted = asyncio.Event()
        self._is_deserted.set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._open:
            connection.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """`http://host:port`, or `https://localhost:port` with TLS."""
        return f"https://localhost:{self.port}" if self._tls else f"http://{self._host}:{self.port}"

    def script(self, path: str, *answers: Script) -> None:
        """Answer requests for `path` with `answers` in turn, the last one for ever."""
        if not answers:
            raise ValueError("a script has at least one answer")
        self._scripts[path] = deque(answers)

    def respond(self, path: str, responder: Responder) -> None:
        """Answer requests for `path` with what `responder` makes of each."""
        self._responders[path] = responder

    def forget(self) -> None:
        """Forget what has arrived, and every script; what is held open stays so."""
        self.requests.clear()
        self._scripts.clear()
        self._responders.clear()

    async def received(self, count: int, path: str | None = None) -> list[Received]:
        """Wait until at least `count` requests have arrived (for `path`, if given); all of them, in order."""

        def found() -> list[Received]:
            return [request for request in self.requests if path is None or request.path == path]

        async with self._arrived:
            await self._arrived.wait_for(lambda: len(found()) >= count)
        return found()

    async def deserted(self) -> None:
        """Wait until no connection is open."""
        await self._is_deserted.wait()

    def _answer_to(self, request: Received) -> Script:
        responder = self._responders.get(request.path)
        if responder is not None:
            return responder(request)
        script = self._scripts.get(request.path)
        if script is None:
            return Respond()
        return script.popleft() if len(script) > 1 else script[0]

    # -- one connection --------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self._is_deserted.clear()
        self.connections += 1
        try:
            with suppress(OSError, httptools.HttpParserError, asyncio.CancelledError):
                await self._converse(reader, writer, self.connections)
        finally:
            self._open.discard(task)
            if not self._open:
                self._is_deserted.set()
            writer.transport.abort()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        requests = _Requests(connection)
        while (request := await requests.next(reader)) is not None:
            async with self._arrived:
                self.requests.append(request)
                answer = self._answer_to(request)
                self._arrived.notify_all()
            if not await self._perform(answer, request, reader, writer):
                return

    async def _perform(
        self,
        answer: Script,
        request: Received,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Act out `answer`; whether the connection may be used again."""
        match answer:
            case Respond():
                body = b"" if request.method == "HEAD" else answer.body
                writer.write(_head(answer.status, answer.headers, len(answer.body)) + body)
                await writer.drain()
                return request.headers.get("connection", "").lower() != "close"
            case Huge():
                writer.write(_head(answer.status, answer.headers, answer.size))
                await self._pour(answer.size, writer)
            case Raw():
                writer.write(answer.data)
                for _ in range(answer.times):
                    writer.write(answer.repeated)
                    await writer.drain()
                    self.sent_bytes += len(answer.repeated)
                await writer.drain()
            case Hang():
                await _until_closed(reader)
            case Reset():
                _reset(writer)
            case HalfClose():
                writer.write(_head(200, {}, answer.promised) + answer.body)
                await writer.drain()
                writer.transport.close()
                await writer.wait_closed()
            case Drip():
                writer.write(_head(answer.status, {}, answer.promised) + answer.body)
                await writer.drain()
                await _until_closed(reader)
        return False

    async def _pour(self, size: int, writer: asyncio.StreamWriter) -> None:
        chunk = b"x" * _CHUNK
        while size > 0:
            writer.write(chunk[: min(size, _CHUNK)])
            await writer.drain()
            self.sent_bytes += min(size, _CHUNK)
            size -= _CHUNK


class _Requests:
    """Takes requests apart with httptools, one at a time."""

    def __init__(self, connection: int) -> None:
        self._connection = connection
        self._parser = httptools.HttpRequestParser(self)
        self._complete: deque[Received] = deque()
        self.on_message_begin()

    async def next(self, reader: asyncio.StreamReader) -> Received | None:
        """The next request; None if the caller has closed."""
        while not self._complete:
            data = await reader.read(_CHUNK)
            if not data:
                return None
            self._parser.feed_data(data)
        return self._complete.popleft()

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        target = self._target.decode("latin-1")
        path, _, query = target.partition("?")
        self._complete.append(
            Received(
                method=self._parser.get_method().decode(),
                target=target,
                path=unquote(path),
                query=tuple(parse_qsl(query, keep_blank_values=True)),
                headers={name.lower(): value for name, value in self._headers},
                raw_headers=tuple(self._headers),
                body=b"".join(self._body),
                connection=self._connection,
            )
        )


def _head(status: int, headers: Mapping[str, str], length: int) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    given = {name.lower() for name in headers}
    if not given & {"content-length", "transfer-encoding"} and status >= 200 and status not in (204, 304):
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _until_closed(reader: asyncio.StreamReader) -> None:
    while await reader.read(_CHUNK):
        pass


def _reset(writer: asyncio.StreamWriter) -> None:
    connected = writer.get_extra_info("socket")
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
