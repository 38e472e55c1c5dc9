"""A webhook that costs little: it answers 200, counts, and notes when each body arrived."""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Sink:
    """Listens on a port of 127.0.0.1, a free one if it is 0.

    `arrivals` holds (instant, body) while `keep` is set.
    """

    def __init__(self, *, keep: bool = False, port: int = 0) -> None:
        self.count = 0
        self.arrivals: list[tuple[float, bytes]] = []
        self._keep = keep
        self._port = port
        self._goal: tuple[int, asyncio.Future[None]] | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Protocol(self._arrived), "127.0.0.1", self._port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()

    async def reached(self, count: int, patience_seconds: float = 120) -> None:
        """Wait until `count` requests have arrived since the start."""
        if self.count < count:
            self._goal = (count, asyncio.get_running_loop().create_future())
            await asyncio.wait_for(self._goal[1], patience_seconds)

    def _arrived(self, body: bytes) -> None:
        self.count += 1
        if self._keep:
            self.arrivals.append((time.perf_counter(), body))
        if self._goal and self.count >= self._goal[0] and not self._goal[1].done():
            self._goal[1].set_result(None)


class _Protocol(asyncio.Protocol):
    """Understands requests with a Content-Length, which is what it is sent."""

    def __init__(self, arrived: Callable[[bytes], None]) -> None:
        self._arrived = arrived
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head, blank, rest = self._buffer.partition(b"\r\n\r\n")
            if not blank:
                return
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            self._arrived(rest[:length])
            self._transport.write(_ANSWER)
