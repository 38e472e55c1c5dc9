"""A real NATS server in a process of its own."""

import asyncio
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_LISTENING = re.compile(rb"Listening for client connections on 127\.0\.0\.1:(\d+)")
_READY = b"Server is ready"


class NatsServer:
    """A running server: where it listens, and its end."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self.port = port
        self.url = f"nats://127.0.0.1:{port}"

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


@asynccontextmanager
async def nats_server(folder: Path, configuration: str = "", port: int = -1) -> AsyncIterator[NatsServer]:
    """A server with this configuration, on a free port of loopback unless one is given."""
    file = folder / "nats.conf"
    file.write_text(configuration)
    program = Path(sys.executable).with_name("nats-server")
    process = await asyncio.create_subprocess_exec(
        str(program), "-c", str(file), "-a", "127.0.0.1", "-p", str(port), stdout=DEVNULL, stderr=PIPE
    )
    server = None
    assert process.stderr is not None
    lines: list[bytes] = []
    async for line in process.stderr:
        lines.append(line)
        if found := _LISTENING.search(line):
            server = NatsServer(process, int(found.group(1)))
        if _READY in line:
            break
    assert server is not None, b"".join(lines).decode()
    try:
        yield server
    finally:
        await server.kill()
