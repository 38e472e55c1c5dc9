"""Real NATS servers with JetStream, each in a process of its own, to be killed and started again at will."""

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_LISTENING = re.compile(r"Listening for client connections on [0-9.]+:(\d+)")
_READY = "Server is ready"

CONFIGURATION = """
server_name: {name}
listen: "{host}:{port}"
http: "{host}:{monitor}"
{jetstream}
{more}
"""


class NatsServer:
    """A server that keeps its port and its folder from one start to the next.

    `sync` is JetStream's `sync_interval`; empty is a server without JetStream. `within` is what its command
    begins with.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        sync: str = "always",
        more: str = "",
        port: int = 0,
        host: str = "127.0.0.1",
        within: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.host = host
        self._within = within
        self.port = port or free_port()
        self.monitor_port = free_port()
        self._file = folder / f"{name}.conf"
        self._process: subprocess.Popen[str] | None = None
        self._stored = f'jetstream {{ store_dir: "{folder / name}", sync_interval: {sync} }}' if sync else ""
        self._write(more)

    def _write(self, more: str) -> None:
        self._file.write_text(
            CONFIGURATION.format(
                name=self.name,
                host=self.host,
                port=self.port,
                monitor=self.monitor_port,
                jetstream=self._stored,
                more=more,
            )
        )

    @property
    def url(self) -> str:
        return f"nats://{self.host}:{self.port}"

    @property
    def monitor(self) -> str:
        return f"http://{self.host}:{self.monitor_port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "it does not run"
        return self._process.pid

    def start(self) -> None:
        """Start it and return once clients can connect."""
        program = Path(sys.executable).with_name("nats-server")
        process = self._process = subprocess.Popen(
            [*self._within, str(program), "-c", str(self._file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if _READY in line:
                break
        else:
            raise AssertionError("".join(lines))
        threading.Thread(target=process.stderr.read, daemon=True).start()

    def reload(self, more: str) -> None:
        """Let it have another configuration from now on."""
        assert self._process is not None
        self._write(more)
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """`kill -9` it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stderr is not None:
                self._process.stderr.close()
            self._process = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def nats_server(folder: Path, *, sync: str = "always", more: str = "") -> Iterator[NatsServer]:
    """One server."""
    server = NatsServer(folder, "alone", sync=sync, more=more)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def nats_cluster(folder: Path, sync: str = "always") -> Iterator[Sequence[NatsServer]]:
    """Three servers that know each other."""
    routes = [free_port() for _ in range(3)]
    listed = ", ".join(f"nats://127.0.0.1:{port}" for port in routes)
    servers = [
        NatsServer(
            folder,
            f"n{number}",
            sync=sync,
            more=f'cluster {{ name: three, listen: "127.0.0.1:{route}", routes: [{listed}] }}',
        )
        for number, route in enumerate(routes, 1)
    ]
    for server in servers:
        server.start()
    try:
        yield servers
    finally:
        for server in servers:
            server.kill()
