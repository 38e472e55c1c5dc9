"""The examples do what they say, as the processes that their readers start."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from partnerbus.testing.server_process import ServerProcess

EXAMPLES = Path(__file__).parents[2] / "examples"


async def play(name, *arguments):
    environment = os.environ | {"NO_PROXY": "127.0.0.1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / name), *arguments, stdout=PIPE, stderr=PIPE, env=environment
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.mark.slow
async def test_the_demo_plays_the_main_job():
    told = await play("demo.py")
    assert "attempt 1, at once: answered 503" in told
    assert "answered 500" in told
    assert "attempt 3, after" in told
    assert '"detail-type": "order.placed"' in told
    assert '"order": "A-1"' in told
    assert "accepted 2, unmatched 1, matched 1, delivered 1" in told
    assert "exited with status 0" in told
    assert "\033" not in told


async def test_the_life_of_a_partner_source(tmp_path):
    async with ServerProcess(tmp_path / "data", "--auth", "none", "--allow-private-targets") as server:
        told = await play("partner_events.py", server.url)
    assert told.splitlines() == [
        "offered: PENDING",
        "accepted: ACTIVE",
        "arrived: {'status': 'closed'} as sent: True",
        "after the pause: {'status': 'closed'} as sent: True",
        "left: []",
    ]
