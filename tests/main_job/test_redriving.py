"""Dead letters redriven through the whole server: by filter, to another target, at a rate, over a restart."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from partnerbus.testing.operator import Operator
from partnerbus.testing.receiver import Respond
from tests.main_job.story import ACME, CUSTOMER, Story, begin, run

pytestmark = pytest.mark.slow

SOURCE = "aws.partner/acme.com/orders"
PATTERN = {"source": [SOURCE]}
PATIENCE_SECONDS = 60


def entry(kind: str, number: int) -> dict[str, Any]:
    return {"Source": SOURCE, "DetailType": kind, "Detail": json.dumps({"n": number})}


async def buried(story: Story, count: int) -> None:
    """A rule whose target refused so many orders and as many refunds; `spare` is matched by nothing."""
    story.receiver.script("/broken", Respond(status=400, body=b"no such customer"))
    await story.offer(ACME, SOURCE)
    await story.rule(SOURCE, "all", PATTERN, await story.webhook("broken"))
    await story.rule(SOURCE, "spare", {"source": ["never"]}, await story.webhook("spare"))
    for number in range(count):
        await story.put(ACME, entry("order", number), entry("refund", number))
    await story.dead_letters(2 * count)


async def redrive(story: Story, *arguments: str) -> Any:
    return await story.command("dead-letters", "redrive", *arguments, "--json")


async def test_by_filter_to_another_target_and_never_twice(tmp_path: Path) -> None:
    async with begin(tmp_path / "data") as story:
        await buried(story, 3)
        found = await run(story.client(CUSTOMER).describe_api_destination, Name="spare")
        orders = (
            "--all",
            "--detail-type",
            "order",
            "--account",
            CUSTOMER,
            "--to",
            found["ApiDestinationArn"],
        )
        done = await redrive(story, *orders, "--rate", "1000")
        assert done["redriven"] == 3
        arrived = await story.arrived("spare", 3)
        assert sorted(event["detail"]["n"] for event in arrived) == [0, 1, 2]
        assert {event["detail-type"] for event in arrived} == {"order"}
        assert (await redrive(story, *orders, "--before", done["before"]))["redriven"] == 0
        listed = await story.command("dead-letters", "list", "--error", "ERROR_FROM_TARGET", "--json")
        assert [letter["detail_type"] for letter in listed["deliveries"]] == ["refund"] * 3
        shown = await story.command("dead-letters", "show", listed["deliveries"][0]["id"], "--json")
        [attempt] = shown["attempts"]
        assert (attempt["reply"]["status"], attempt["reply"]["body_head"]) == (400, "no such customer")

        story.receiver.script("/broken", Respond())
        seen = len(await story.arrived("broken", 6))
        assert (await redrive(story, "--all"))["redriven"] == 3
        again = (await story.arrived("broken", seen + 3))[seen:]
        assert {event["detail-type"] for event in again} == {"refund"}


async def test_a_redrive_at_a_rate_goes_on_after_kill_9(tmp_path: Path) -> None:
    async with begin(tmp_path / "data", "--test-clock") as story:
        await buried(story, 2)
        story.receiver.script("/broken", Respond())
        seen = len(story.receiver.requests)
        done = await redrive(story, "--all", "--rate", "0.001")  # one each 1,000 seconds
        assert done["redriven"] == 4
        async with asyncio.timeout(PATIENCE_SECONDS):
            await story.receiver.received(seen + 1)
        await until_delivered(story, 1)
        await story.server.kill()
        await story.server.start()
        async with Operator(story.server.data) as operator:
            await operator.shift_clock(timedelta(seconds=3_000))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await story.receiver.received(seen + 4)
        ids = [json.loads(one.body)["id"] for one in story.receiver.requests[seen:]]
        assert len(ids) == len(set(ids)) == 4


async def until_delivered(story: Story, count: int) -> None:
    """Wait until so many deliveries are settled as delivered: a kill before would repeat one."""
    found: list[Any] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < count:
            listed = await story.command("deliveries", "list", "--state", "delivered", "--json")
            found = listed["deliveries"]
