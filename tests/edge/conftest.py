import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from tests.edge.world import World, open_world

ABOUT_SOCKETS = {"test_http.py", "test_limits.py", "test_server.py"}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """`serve` runs on uvloop, tests that embed a node on asyncio's own loop; sockets are tried on both."""
    if item.path.name in ABOUT_SOCKETS:
        return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as made:
        yield made


@pytest.fixture
async def open_to_all(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, auth="none") as made:
        yield made
