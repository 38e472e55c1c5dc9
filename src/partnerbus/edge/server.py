"""The server's life: bind, serve inside the caller's event loop, stop without dropping anybody.

uvicorn's own `Server` installs signal handlers and polls; this one does neither, since the node decides
when to stop.
"""

import asyncio
import errno
import socket
from datetime import timedelta
from types import TracebackType
from typing import Self, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from partnerbus.edge.app import Application
from partnerbus.edge.connection import Connection, ConnectionLimits
from partnerbus.kernel.errors import ConfigurationError

BACKLOG = 2_048
MOST_CONNECTIONS = 10_000
"""Beyond it requests are answered 503, which SDKs try again."""
TICKS_PER_LIMIT = 4
"""How fine time is counted: a limit is kept to a quarter of itself."""


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. A `ConfigurationError` says why it cannot be."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise ConfigurationError(f"The host {host!r} is not known.") from None
    family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(_why_not(host, port, error)) from None
    listener.setblocking(False)
    return listener


def _why_not(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"Port {port} of {host} is already in use; stop what uses it or choose another port."
        case errno.EACCES:
            return f"Port {port} of {host} may not be opened by this user; choose one above 1023."
        case errno.EADDRNOTAVAIL:
            return f"This machine has no address {host} to listen on."
    return f"Port {port} of {host} cannot be opened: {error.strerror}."


class Server:
    """Serves an application on one socket: `async with Server(app, host, port) as server: server.url`.

    `drain` is how long a stopping server lets requests under way finish, in real time.
    """

    def __init__(
        self,
        app: Application,
        host: str,
        port: int,
        *,
        limits: ConnectionLimits | None = None,
        most_connections: int = MOST_CONNECTIONS,
        drain: timedelta = timedelta(seconds=10),
    ) -> None:
        self._host = host
        self._port = port
        self._limits = limits or ConnectionLimits()
        self._drain = drain
        self._config = Config(
            app,
            interface="asgi3",
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            limit_concurrency=most_connections,
            timeout_keep_alive=int(self._limits.idle_seconds) + 1,
        )
        self._state = ServerState()
        self._listener: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self._quiet = asyncio.Event()
        self.now = 0.0

    # -- life ------------------------------------------------------------------------------------------

    def bind(self) -> None:
        """Take the port, before anything else is opened; `async with` does so too if this was not called."""
        self._bound()

    def _bound(self) -> socket.socket:
        if self._listener is None:
            self._listener = listen(self._host, self._port)
            self._port = cast(int, self._listener.getsockname()[1])
        return self._listener

    @property
    def port(self) -> int:
        """The real port, once bound."""
        return self._port

    @property
    def url(self) -> str:
        """Where clients on this machine reach the server."""
        host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    async def __aenter__(self) -> Self:
        listener = self._bound()
        loop = asyncio.get_running_loop()
        self._tick()
        self._server = await loop.create_server(self._connection, sock=listener, backlog=BACKLOG)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop accepting, let what is under way finish, then close."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections():
            connection.shutdown()
        try:
            async with asyncio.timeout(self._drain.total_seconds()):
                await self._wait_until_quiet()
        except TimeoutError:
            pass
        finally:
            await self._cut_off()

    async def _wait_until_quiet(self) -> None:
        while self._state.connections:
            self._quiet.clear()
            await self._quiet.wait()
        if self._state.tasks:
            await asyncio.wait(set(self._state.tasks))

    async def _cut_off(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        for connection in self._connections():
            connection.transport.abort()
        requests = set(self._state.tasks)
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)

    # -- connections -----------------------------------------------------------------------------------

    def _connection(self) -> Connection:
        return Connection(self._config, self._state, self._limits, self)

    def _connections(self) -> list[Connection]:
        return [each for each in self._state.connections if isinstance(each, Connection)]

    def lost(self) -> None:
        """A connection is gone."""
        if not self._state.connections:
            self._quiet.set()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        for connection in self._connections():
            connection.tick()
        shortest = min(self._limits.request_seconds, self._limits.idle_seconds)
        self._ticking = loop.call_later(shortest / TICKS_PER_LIMIT, self._tick)
