"""What takes hours: targets that fail, hang, or ask for patience, on a server whose clock is moved."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from partnerbus.testing.operator import Operator
from partnerbus.testing.receiver import Hang, Respond
from tests.main_job.story import ACME, Story, begin

SOURCE = "aws.partner/acme.com/orders"
ENTRY = {"Source": SOURCE, "DetailType": "order", "Detail": '{"n":1}'}
PATTERN = {"source": [SOURCE]}
LONGEST_BACKOFF = timedelta(minutes=10)

pytestmark = pytest.mark.slow


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    async with begin(tmp_path / "data", "--test-clock") as story:
        await story.offer(ACME, SOURCE)
        yield story


@pytest.fixture
async def operator(story: Story) -> AsyncIterator[Operator]:
    async with Operator(story.server.data) as operator:
        yield operator


async def deliveries(story: Story) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await story.command("deliveries", "list", "--json"))["deliveries"]
    return found


async def attempted(story: Story, count: int) -> dict[str, Any]:
    """The one delivery, once so many attempts were made and it waits for another."""
    async with asyncio.timeout(60):
        while True:
            [delivery] = await deliveries(story)
            if delivery["attempts_made"] == count and delivery["state"] == "owed":
                return delivery


async def test_a_target_that_hangs_is_tried_again(story: Story, operator: Operator) -> None:
    story.receiver.script("/hook", Hang(), Respond())
    await story.rule(SOURCE, "r", PATTERN, await story.webhook("hook"))
    await story.put(ACME, ENTRY)
    waiting = await attempted(story, 1)
    assert (waiting["error"], waiting["due_at"] is None) == ("TIMEOUT", False)
    await operator.shift_clock(timedelta(seconds=1))
    first, second = await story.receiver.received(2)
    assert first.body == second.body


async def test_a_target_is_given_the_time_it_asks_for(story: Story, operator: Operator) -> None:
    story.receiver.script("/hook", Respond(status=429, headers={"Retry-After": "3600"}), Respond())
    await story.rule(SOURCE, "r", PATTERN, await story.webhook("hook"))
    await story.put(ACME, ENTRY)
    await attempted(story, 1)
    await operator.shift_clock(timedelta(minutes=59))
    assert len(story.receiver.requests) == 1
    assert (await attempted(story, 1))["error"] == "THROTTLING"
    await operator.shift_clock(timedelta(minutes=1))
    await story.receiver.received(2)


async def test_a_day_of_retries_ends_among_the_dead_letters(story: Story, operator: Operator) -> None:
    story.receiver.script("/hook", Respond(status=503, body=b"closed"))
    await story.rule(SOURCE, "r", PATTERN, await story.webhook("hook"))
    [event_id] = await story.put(ACME, ENTRY)
    await story.receiver.received(1)
    moved = timedelta(0)
    while moved < timedelta(hours=24):
        seen = len(story.receiver.requests)
        await operator.shift_clock(LONGEST_BACKOFF)
        moved += LONGEST_BACKOFF
        try:
            async with asyncio.timeout(2):
                await story.receiver.received(seen + 1)
        except TimeoutError:  # the attempt before was settled after the clock was moved, or none is left
            continue

    [letter] = await story.dead_letters(1)
    attempts = len(story.receiver.requests)
    assert 20 < attempts <= 186
    assert (letter["event_id"], letter["attempts_made"], letter["sent_to"]) == (event_id, attempts, None)
    assert letter["exhausted"] == "MaximumEventAgeInSeconds"
    shown = await story.command("dead-letters", "show", letter["id"], "--json")
    assert shown["attempts"][-1]["reply"]["body_head"] == "closed"

    story.receiver.script("/hook", Respond())
    assert (await story.command("dead-letters", "redrive", letter["id"], "--json")) == {"redriven": 1}
    requests = await story.receiver.received(attempts + 1)
    assert requests[-1].body == requests[0].body
