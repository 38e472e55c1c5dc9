"""How the tests of the store open one, alone or on a server, and how they hold up its writer."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.store.maker import EmbeddedMaker
from tests.store.nats_servers import NatsServer, nats_server
from tests.store.several_nodes import Nodes


@pytest.fixture
async def maker(tmp_path: Path) -> AsyncIterator[EmbeddedMaker]:
    """Opens embedded stores in one folder."""
    maker = EmbeddedMaker(tmp_path / "data")
    yield maker
    await maker.close()


@pytest.fixture
def held_up(maker: EmbeddedMaker) -> Callable[[], AbstractContextManager[None]]:
    """While it lasts no commit can end, so that what is submitted waits, and then forms one group."""

    @contextmanager
    def hold() -> Iterator[None]:
        other = sqlite3.connect(maker.folder / "partnerbus.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")
            other.close()

    return hold


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One server with JetStream for a file of tests."""
    with nats_server(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
async def nodes(server: NatsServer, tmp_path: Path) -> AsyncIterator[Nodes]:
    """Opens nodes of one store on `server`."""
    nodes = Nodes(server, tmp_path)
    yield nodes
    await nodes.close()
