"""Archives on a running server whose clock is moved, and that is killed."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.main_job.story import ACME, CUSTOMER, REGION, Story, begin, run

pytestmark = pytest.mark.slow

SOURCE = "aws.partner/acme.com/orders"
BUS = f"arn:aws:events:{REGION}:{CUSTOMER}:event-bus/{SOURCE}"


def order(number: int, **more: Any) -> dict[str, Any]:
    return {
        "Source": SOURCE,
        "DetailType": "Order Placed",
        "Detail": json.dumps({"number": number, **more}),
    }


async def archived(story: Story, count: int, name: str = "all") -> dict[str, Any]:
    """What DescribeArchive says once there are so many events."""
    while True:
        found: Any = await run(story.client(CUSTOMER).describe_archive, ArchiveName=name)
        assert found["EventCount"] <= count or name == "shrinking"
        if found["EventCount"] == count:
            return found  # type: ignore[no-any-return]


async def test_a_partners_events_are_archived_by_pattern_and_for_their_days(tmp_path: Path) -> None:
    async with begin(tmp_path / "data", "--test-clock") as story:
        await story.offer(ACME, SOURCE)
        customer = story.client(CUSTOMER)
        await run(customer.create_archive, ArchiveName="all", EventSourceArn=BUS)
        pattern = json.dumps({"detail": {"large": [True]}})
        made = await run(
            customer.create_archive,
            ArchiveName="shrinking",
            EventSourceArn=BUS,
            EventPattern=pattern,
            RetentionDays=1,
        )
        assert made["State"] == "ENABLED"
        rules = (await run(customer.list_rules, EventBusName=SOURCE))["Rules"]
        assert [rule["Name"] for rule in rules] == ["Events-Archive-all", "Events-Archive-shrinking"]

        await story.put(ACME, *(order(number, large=number % 2 == 0) for number in range(30)))
        whole = await archived(story, 30)
        await archived(story, 15, "shrinking")
        assert whole["SizeBytes"] > 30 * 100
        assert (await story.command("status", "--json"))["archived"] == 45

        await story.command("clock", "advance", "25h", "--json")
        await archived(story, 0, "shrinking")
        assert (await archived(story, 30))["SizeBytes"] == whole["SizeBytes"]
        await run(customer.delete_archive, ArchiveName="all")
        with pytest.raises(ClientError, match="Archive all does not exist"):
            await run(customer.describe_archive, ArchiveName="all")


async def test_a_killed_server_has_every_event_in_the_archive_once(tmp_path: Path) -> None:
    async with begin(tmp_path / "data") as story:
        await story.offer(ACME, SOURCE)
        await run(story.client(CUSTOMER).create_archive, ArchiveName="all", EventSourceArn=BUS)
        for _ in range(3):
            await story.put(ACME, *(order(number) for number in range(40)))
            await story.server.kill()
            await story.server.start()
        await archived(story, 120)
