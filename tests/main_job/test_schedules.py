"""Schedules on a running server whose clock is moved, and that is stopped and started."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.main_job.story import CUSTOMER, REGION, Story, begin, run

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)


async def tick(story: Story, name: str, expression: str) -> None:
    """A rule of the customer that sends to the webhook of its name when it is due."""
    customer = story.client(CUSTOMER)
    await run(customer.put_rule, Name=name, ScheduleExpression=expression)
    targets: Any = [{"Id": "1", "Arn": await story.webhook(name)}]
    assert (await run(customer.put_targets, Rule=name, Targets=targets))["FailedEntryCount"] == 0


def due(events: list[dict[str, Any]]) -> list[datetime]:
    return sorted(datetime.fromisoformat(event["time"]) for event in events)


async def test_hours_pass_and_each_is_told_of(tmp_path: Path) -> None:
    async with begin(tmp_path / "data", "--test-clock") as story:
        await tick(story, "hourly", "rate(1 hour)")
        await tick(story, "midday", "cron(0 12 * * ? *)")
        await story.rule("default", "all", {"source": [{"prefix": ""}]}, await story.webhook("all"))
        await story.command("clock", "advance", "24h", "--json")
        events = await story.arrived("hourly", 24)
        noon, *_ = await story.arrived("midday", 1)

        first, *later = due(events)
        assert later == [first + number * HOUR for number in range(1, 24)]
        assert noon["time"].endswith("T12:00:00Z")
        arn = f"arn:aws:events:{REGION}:{CUSTOMER}:rule/hourly"
        (shape,) = {json.dumps(event | {"id": "", "time": ""}) for event in events}
        assert json.loads(shape) == {
            "version": "0",
            "id": "",
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": CUSTOMER,
            "time": "",
            "region": REGION,
            "resources": [arn],
            "detail": {},
        }
        assert len({event["id"] for event in events}) == 24
        # The rule that matches everything got what was put after all of these, and none of them.
        entry: Any = {"Source": "shop", "DetailType": "t", "Detail": "{}"}
        await run(story.client(CUSTOMER).put_events, Entries=[entry])
        assert [event["source"] for event in await story.arrived("all", 1)] == ["shop"]


async def test_a_restart_neither_forgets_nor_repeats(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with begin(data, "--test-clock") as story:
        await tick(story, "hourly", "rate(1 hour)")
        await story.command("clock", "advance", "3h", "--json")
        before = await story.arrived("hourly", 3)
        await story.server.kill()
        await story.server.start()
        await story.command("clock", "advance", "5h", "--json")
        events = await story.arrived("hourly", 5)
        while len(set(due(events))) < 5:  # what was on its way when the server was killed may come twice
            events = await story.arrived("hourly", len(events) + 1)
    assert len({event["id"] for event in events}) == 5
    assert sorted(set(due(events)))[:3] == sorted(set(due(before)))


async def test_a_schedule_with_a_fault_is_refused(tmp_path: Path) -> None:
    async with begin(tmp_path / "data") as story:
        put = story.client(CUSTOMER).put_rule
        with pytest.raises(ClientError, match="Parameter ScheduleExpression is not valid"):
            await run(put, Name="r", ScheduleExpression="rate(1 minutes)")
