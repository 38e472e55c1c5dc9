from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from partnerbus.testing.receiver import Receiver
from partnerbus.testing.server_process import ServerProcess
from tests.main_job.story import ACME, OTHER, Story, create_accounts


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    data = tmp_path / "data"
    await create_accounts(data, {ACME: "acme.com", OTHER: "other.example"})
    async with Receiver() as receiver, ServerProcess(data, "--allow-private-targets") as server:
        story = Story(server, receiver)
        try:
            yield story
        finally:
            story.close()
