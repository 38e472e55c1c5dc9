"""A wire between a node and its server that can be cut."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Wire:
    """Passes on what comes to `port`, unless it is cut, or has gone deaf."""

    def __init__(self, to: int) -> None:
        self.port = 0
        self._to = to
        self._server: asyncio.Server | None = None
        self._writers: set[StreamWriter] = set()
        self._to_nodes: list[StreamWriter] = []
        self._passing: set[asyncio.Task[None]] = set()
        self._never = asyncio.Event()
        self._deaf: set[asyncio.Task[None]] = set()

    async def mend(self) -> None:
        """Take connections, at the same port as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """End all connections, and take no others."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        for task in self._deaf & self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    def go_deaf(self) -> None:
        """Let nothing come through on the connections that there are, and tell nobody; new ones are well."""
        self._deaf |= self._passing

    def say(self, data: bytes) -> None:
        """Let the node hear this, as if it came from the server."""
        for writer in self._to_nodes:
            writer.write(data)

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, back}
        self._to_nodes.append(writer)
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pass(source, sink))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)

    async def _pass(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await reader.read(65_536):
                    if asyncio.current_task() in self._deaf:
                        await self._never.wait()
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()
            self._writers.discard(writer)


@asynccontextmanager
async def wire(to: int) -> AsyncIterator[Wire]:
    """A wire to a port of loopback."""
    found = Wire(to)
    await found.mend()
    try:
        yield found
    finally:
        await found.cut()
