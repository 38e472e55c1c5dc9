"""A global endpoint through boto3, which signs what it puts there for all regions (with the AWS CRT)."""

from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from types_boto3_events import EventBridgeClient

from partnerbus.testing.operator import Operator
from tests.main_job.story import CUSTOMER, KEYS, OTHER, REGION, Story, run

pytestmark = pytest.mark.slow

SECOND = "eu-central-1"
NAME = "orders"
ENTRY: Any = {"Source": "shop", "DetailType": "order", "Detail": '{"n":1}', "EventBusName": NAME}


def bus(region: str) -> str:
    return f"arn:aws:events:{region}:{CUSTOMER}:event-bus/{NAME}"


async def make(story: Story) -> str:
    """A bus in two regions, each with a rule to a webhook of its region's name; the id of the endpoint."""
    for region in (REGION, SECOND):
        client = story.client(CUSTOMER, region)
        await run(client.create_event_bus, Name=NAME)
        await run(client.put_rule, Name="all", EventBusName=NAME, EventPattern='{"source": ["shop"]}')
        target: Any = {"Id": "1", "Arn": await story.webhook(region, region=region)}
        answer = await run(client.put_targets, Rule="all", EventBusName=NAME, Targets=[target])
        assert answer["FailedEntryCount"] == 0, answer
    client = story.client(CUSTOMER)
    check = "arn:aws:route53:::healthcheck/c8ef4f5e-6d5f-4d7e-8f2e-0123456789ab"
    routing: Any = {
        "FailoverConfig": {"Primary": {"HealthCheck": check}, "Secondary": {"Route": SECOND}},
    }
    made = await run(
        client.create_endpoint,
        Name="orders",
        RoutingConfig=routing,
        EventBuses=[{"EventBusArn": bus(REGION)}, {"EventBusArn": bus(SECOND)}],
        RoleArn=f"arn:aws:iam::{CUSTOMER}:role/replicate",
    )
    assert made["State"] == "CREATING"
    found = await run(client.describe_endpoint, Name="orders")
    assert found["State"] == "ACTIVE"
    return found["EndpointId"]


async def put(client: EventBridgeClient, endpoint_id: str) -> str:
    answer = await run(client.put_events, EndpointId=endpoint_id, Entries=[ENTRY])
    assert answer["FailedEntryCount"] == 0, answer
    return answer["Entries"][0]["EventId"]


async def test_events_fail_over_and_back(story: Story) -> None:
    endpoint_id = await make(story)
    client = story.client(CUSTOMER)
    arn = f"arn:aws:events:{REGION}:{CUSTOMER}:endpoint/orders"

    first = await put(client, endpoint_id)
    [taken], [copy] = await story.arrived(REGION, 1), await story.arrived(SECOND, 1)
    assert (taken["id"], taken["region"], taken["resources"]) == (first, REGION, [])
    assert (copy["region"], copy["resources"]) == (REGION, [arn])

    done = await story.command("endpoint", "health", "orders", "unhealthy", "--json")
    assert done["taking"] == bus(SECOND)
    second = await put(client, endpoint_id)
    taken, copy = (await story.arrived(SECOND, 2))[1], (await story.arrived(REGION, 2))[1]
    assert (taken["id"], taken["region"], taken["resources"]) == (second, SECOND, [])
    assert (copy["region"], copy["resources"]) == (SECOND, [arn])

    # The health outlives the process.
    await story.server.kill()
    await story.server.start()
    [endpoint] = (await story.command("endpoint", "list", "--json"))["endpoints"]
    assert endpoint["health"] == "unhealthy"
    await story.command("endpoint", "health", "orders", "healthy", "--json")
    third = await put(story.client(CUSTOMER), endpoint_id)
    arrived = await story.arrived(REGION, 3)
    while arrived[-1]["id"] != third:  # what was under way when it was killed may come twice
        arrived = await story.arrived(REGION, len(arrived) + 1)
    assert arrived[-1]["region"] == REGION

    # Each event once in each bus: nothing goes round.
    async with Operator(story.server.data) as operator:
        for region in (REGION, SECOND):
            ledger = await operator.ledger(CUSTOMER, NAME, region)
            assert (ledger.accepted, ledger.owed) == (3, 3)


async def test_who_has_no_key_puts_nothing(story: Story) -> None:
    endpoint_id = await make(story)
    key, _ = KEYS[CUSTOMER]
    forger = boto3.client(
        "events",
        endpoint_url=story.server.url,
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key="guessed",
        config=Config(retries={"max_attempts": 1}),
    )
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        await put(forger, endpoint_id)
    forger.close()
    with pytest.raises(ClientError, match="does not exist"):
        await put(story.client(OTHER), endpoint_id)
    assert story.receiver.requests == []
