from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.world import Parts, World


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


@pytest.fixture
async def world(parts: Parts) -> AsyncIterator[World]:
    async with parts.open() as world:
        yield world
