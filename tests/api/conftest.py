"""The world that tests of operations live in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.world import Caller, World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = await World.open(tmp_path)
    yield made
    await made.close()


@pytest.fixture
def partner(world: World) -> Caller:
    return world.partner


@pytest.fixture
def customer(world: World) -> Caller:
    return world.customer


@pytest.fixture
def other(world: World) -> Caller:
    return world.other
