"""Any order of steps leaves the store on JetStream as a simple model says; its server restarts, too."""

import asyncio
import shutil
import sqlite3
import tempfile
from pathlib import Path
from secrets import token_hex

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import rule, run_state_machine_as_test

from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.telemetry import make_log
from partnerbus.store.embedded.database import SHARED_TABLES
from partnerbus.store.jetstream import ClusterSettings, JetStreamStore
from partnerbus.store.jetstream.read_model import remove_tables
from partnerbus.store.jetstream.removal import remove_store
from partnerbus.testing.store_machine import StoreMachine
from tests.store.nats_servers import NatsServer


class JetStreamMachine(StoreMachine):
    """The machine on a stream of its own, and another node that comes to the same tables.

    A restart is one of the server, too. Every other one throws away the node's tables.
    """

    server: NatsServer

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="partnerbus-machine-"))
        self.settings = ClusterSettings(url=f"{self.server.url}/{token_hex(4)}")
        self.starts = 0
        self.other: JetStreamStore | None = None
        super().__init__()
        self.other = self.run_async(self.open_node("other"))

    async def open_node(self, name: str) -> JetStreamStore:
        return await JetStreamStore.open(
            self.settings, self.folder / name, self.clock, Failpoints(), make_log("error")
        )

    async def open_store(self) -> JetStreamStore:
        if self.starts:
            self.server.kill()
            self.server.start()
        if self.starts % 2:
            remove_tables(self.folder / "one" / SHARED_TABLES)
        self.starts += 1
        return await self.open_node("one")

    async def agree(self, one: JetStreamStore, other: JetStreamStore) -> None:
        await other._replica._applier.reach(one._replica._applier.applied)
        assert self.tables("one") == self.tables("other")

    def tables(self, name: str) -> list[str]:
        connection = sqlite3.connect(self.folder / name / SHARED_TABLES)
        try:
            return list(connection.iterdump())
        finally:
            connection.close()

    @rule()
    def both_nodes_agree(self) -> None:
        assert isinstance(self.store, JetStreamStore)
        assert self.other is not None
        self.run_async(self.agree(self.store, self.other))

    def teardown(self) -> None:
        self.both_nodes_agree()
        if self.other is not None:
            self.run_async(self.other.close())
        super().teardown()
        asyncio.run(remove_store(self.settings))  # or the server would start more slowly each time
        shutil.rmtree(self.folder)


def run(server: NatsServer, examples: int, steps: int) -> None:
    JetStreamMachine.server = server
    run_state_machine_as_test(
        JetStreamMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
            deadline=None,
        ),
    )


def test_a_short_run(server: NatsServer) -> None:
    run(server, examples=4, steps=25)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_longer_run(server: NatsServer) -> None:
    run(server, examples=100, steps=50)
