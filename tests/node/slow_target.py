"""An HTTP target that answers when the test says so."""

import asyncio
from types import TracebackType
from typing import Self


class SlowTarget:
    """Reads a request, then waits for `release` before it answers 200."""

    def __init__(self) -> None:
        self.requests = 0
        self.url = ""
        self._asked = asyncio.Event()
        self._released = asyncio.Event()

    async def asked(self) -> None:
        """Return once a request has arrived."""
        await self._asked.wait()

    def release(self) -> None:
        """Answer what has arrived, and what arrives from now on."""
        self._released.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        self._asked.set()
        await self._released.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
