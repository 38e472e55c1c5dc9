"""Opens stores on NATS JetStream for tests."""

from pathlib import Path

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.telemetry import make_log
from partnerbus.store.jetstream import JetStreamStore
from partnerbus.store.jetstream.address import ClusterSettings
from tests.store.nats_servers import NatsServer


class JetStreamMaker:
    """One node with a folder, on a stream of its own of a server. A restart is one of the server, too."""

    def __init__(self, server: NatsServer, folder: Path, stream: str) -> None:
        self.server = server
        self.folder = folder
        self.settings = ClusterSettings(url=f"{server.url}/{stream}")
        self.clock = ManualClock()
        self.failpoints = Failpoints()
        self._open: JetStreamStore | None = None

    async def open(self) -> JetStreamStore:
        self._open = await JetStreamStore.open(
            self.settings, self.folder, self.clock, self.failpoints, make_log("error")
        )
        return self._open

    async def reopen(self) -> JetStreamStore:
        await self.close()
        self.server.kill()
        self.server.start()
        return await self.open()

    async def close(self) -> None:
        if self._open is not None:
            await self._open.close()
