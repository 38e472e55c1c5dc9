"""A stream that was put back to an older state and went on from there: no history is taken for another."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from partnerbus.store.jetstream.read_model import open_tables
from partnerbus.testing.store_contract.world import fill
from tests.store.cut import wire
from tests.store.nats_servers import NatsServer, nats_server
from tests.store.several_nodes import Nodes, copier, reached


class Backup:
    """What a server has on its disk."""

    def __init__(self, server: NatsServer, folder: Path) -> None:
        self._server = server
        self._kept = folder / "backup"
        self._folder = folder / server.name

    def make(self) -> None:
        self._server.kill()
        shutil.copytree(self._folder, self._kept)
        self._server.start()

    def restore(self) -> None:
        self._server.kill()
        shutil.rmtree(self._folder)
        shutil.copytree(self._kept, self._folder)
        self._server.start()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with nats_server(tmp_path) as server:
        yield server


async def test_tables_of_another_history_are_made_anew(nodes: Nodes, tmp_path: Path) -> None:
    backup = Backup(nodes.server, tmp_path)
    a, b = await nodes.open("a"), await nodes.open("b")
    await fill(a, 1)
    backup.make()
    await fill(a, 3, first=10)
    await reached(b, a)
    await a.close()
    await b.close()
    backup.restore()
    a = await nodes.open("a")
    for number in range(20, 30):
        await fill(a, 1, first=number)
    b = await nodes.open("b")
    await reached(b, a)
    await reached(a, b)
    assert await nodes.agree("a", "b")


async def test_a_node_that_runs_does_not_go_on_in_another_history(nodes: Nodes, tmp_path: Path) -> None:
    backup = Backup(nodes.server, tmp_path)
    async with wire(nodes.server.port) as to_a:
        a = await nodes.open("a", to_a.port)
        await fill(a, 1)
        backup.make()
        await fill(a, 1, first=10)
        await to_a.cut()
        backup.restore()
        b = await nodes.open("b")
        for number in range(20, 30):
            await fill(b, 1, first=number)
        await to_a.mend()
        assert "has been put back" in await a.lost()
        await a.close()
        a = await nodes.open("a")
        await reached(a, b)
        await reached(b, a)
        assert await nodes.agree("a", "b")


async def test_copies_of_another_stream_of_that_name_are_passed_over(nodes: Nodes, tmp_path: Path) -> None:
    a = await nodes.open("a")
    copies = copier(nodes, a)
    for number in range(3):
        await fill(a, 1, first=10 * number + 1)
        await copies.look()
    other = tmp_path / "other.db"
    open_tables(other, "another stream").connection.close()
    last = a._replica._applier.applied
    for sequence in (last, last + 1_000):
        await copies._shelf.put(sequence, other)
    b = await nodes.open("b")
    await reached(b, a)
    await reached(a, b)
    assert await nodes.agree("a", "b")
