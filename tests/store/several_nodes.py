"""Several nodes of one store, for tests that are about what is between them."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.telemetry import make_log
from partnerbus.store.jetstream import ClusterSettings, JetStreamStore
from partnerbus.store.jetstream.copies import Copier
from tests.store.nats_servers import NatsServer


class Nodes:
    """Opens nodes of one store, by name; they share a clock."""

    def __init__(self, server: NatsServer, folder: Path, user: str = "") -> None:
        self.server = server
        self.user = user
        self.stream = token_hex(4)
        self.folder = folder
        self.clock = ManualClock()
        self.open_nodes: list[JetStreamStore] = []

    @property
    def url(self) -> str:
        return f"{self.server.url}/{self.stream}"

    async def open(self, name: str, port: int | None = None) -> JetStreamStore:
        url = f"nats://{self.user}127.0.0.1:{port or self.server.port}/{self.stream}"
        settings = ClusterSettings(url=url)
        node = await JetStreamStore.open(
            settings, self.folder / name, self.clock, Failpoints(), make_log("error")
        )
        self.open_nodes.append(node)
        return node

    def tables(self, name: str) -> list[str]:
        """Everything in a node's tables."""
        connection = sqlite3.connect(self.folder / name / "jetstream.db")
        try:
            return list(connection.iterdump())
        finally:
            connection.close()

    async def agree(self, one: str, other: str) -> bool:
        """Whether two nodes have the same tables, once they have run the same messages.

        Either may have just run one more, of what nodes do by themselves.
        """
        while True:
            first, second = self.tables(one), self.tables(other)
            if _ran(first) == _ran(second):
                return first == second
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        for node in self.open_nodes:
            await node.close()


def _ran(tables: Sequence[str]) -> str:
    return next(line for line in tables if line.startswith('INSERT INTO "journal"'))


async def reached(node: JetStreamStore, other: JetStreamStore) -> None:
    """Wait until `node` has run all that `other` has."""
    await node._replica._applier.reach(other._replica._applier.applied)


def copier(nodes: Nodes, node: JetStreamStore) -> Copier:
    """Makes copies of a node's tables after every message."""
    replica = node._replica
    return Copier(
        replica._session,
        replica._stream,
        replica.model.path,
        node._publisher,
        nodes.clock,
        make_log("error"),
        after_messages=1,
    )
