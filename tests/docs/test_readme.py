"""The README's story in boto3 does what it says, on a server started as it says."""

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from partnerbus.testing.receiver import Receiver
from partnerbus.testing.server_process import ServerProcess
from tests.main_job.story import run

README = Path(__file__).parents[2] / "README.md"
SERVE = "serve --auth none --allow-private-targets"


@pytest.mark.slow
async def test_the_story_of_the_readme(tmp_path: Path) -> None:
    text = README.read_text()
    assert SERVE in text
    [story] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    _, *options = SERVE.split()
    async with Receiver() as receiver, ServerProcess(tmp_path / "data", *options) as server:
        script = tmp_path / "story.py"
        script.write_text(
            story.replace("http://127.0.0.1:4010", server.url).replace("http://127.0.0.1:8080", receiver.url)
        )
        told = await run(subprocess.run, [sys.executable, script], check=True, capture_output=True, text=True)
        [request] = await receiver.received(1)
    pending, active, put = told.stdout.splitlines()
    assert (pending, active) == ("PENDING", "ACTIVE")
    event = msgspec.json.decode(request.body)
    assert event["id"] in put
    assert event["detail"] == {"order": 1, "total": 250}
    assert request.headers["x-api-key"] == "secret"


def test_the_two_commands_are_shown() -> None:
    text = README.read_text()
    assert "make demo" in text
    assert "make test" in text
