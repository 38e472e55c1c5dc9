from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.main_job.story import Story, begin


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    async with begin(tmp_path / "data") as story:
        yield story
