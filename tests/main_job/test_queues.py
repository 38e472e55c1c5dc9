"""SQS queues as targets and for dead letters, at an emulator of AWS, through the whole server."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from moto.sqs.models import sqs_backends
from types_boto3_sqs import SQSClient

from partnerbus.testing.receiver import Respond
from tests.main_job.aws_world import NO_CREDENTIALS, aws_client, moto
from tests.main_job.story import ACME, CUSTOMER, REGION, Story, begin, run

pytestmark = pytest.mark.slow

SOURCE = "aws.partner/acme.com/orders"


@pytest.fixture
def moto_url() -> Iterator[str]:
    with moto() as url:
        yield url
    sqs_backends.reset()


@pytest.fixture
def sqs(moto_url: str) -> Iterator[SQSClient]:
    client = aws_client("sqs", moto_url)
    yield client
    client.close()


@pytest.fixture
async def story(tmp_path: Path, moto_url: str) -> AsyncIterator[Story]:
    async with begin(tmp_path / "data", "--aws-endpoint-url", moto_url, environment=NO_CREDENTIALS) as story:
        await story.offer(ACME, SOURCE)
        yield story


def entry(detail: Mapping[str, object]) -> dict[str, Any]:
    return {"Source": SOURCE, "DetailType": "order", "Detail": msgspec.json.encode(detail).decode()}


async def create_queue(sqs: SQSClient, name: str, **attributes: str) -> str:
    """A queue; its ARN."""
    made = await run(sqs.create_queue, QueueName=name, Attributes=attributes)
    found = await run(sqs.get_queue_attributes, QueueUrl=made["QueueUrl"], AttributeNames=["QueueArn"])
    arn: str = found["Attributes"]["QueueArn"]
    assert arn == f"arn:aws:sqs:{REGION}:{CUSTOMER}:{name}"
    return arn


async def arrived(sqs: SQSClient, name: str, count: int) -> list[Any]:
    """What is in a queue, once it is as much."""
    url = (await run(sqs.get_queue_url, QueueName=name))["QueueUrl"]
    found: list[Any] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            answer = await run(
                sqs.receive_message,
                QueueUrl=url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=1,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
            found += answer.get("Messages", [])
    return found


async def test_events_go_to_queues_of_the_customers_account(story: Story, sqs: SQSClient) -> None:
    plain = await create_queue(sqs, "orders")
    fifo = await create_queue(sqs, "orders.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    pattern = {"source": [SOURCE]}
    await story.rule(SOURCE, "plain", pattern, plain)
    await story.rule(
        SOURCE,
        "fifo",
        pattern,
        fifo,
        SqsParameters={"MessageGroupId": "$.detail.customer"},
        InputPath="$.detail",
    )
    ids = await story.put(ACME, entry({"customer": "c-7", "n": 1}), entry({"customer": "c-8", "n": 2}))

    events = [msgspec.json.decode(each["Body"]) for each in await arrived(sqs, "orders", 2)]
    assert sorted(event["id"] for event in events) == sorted(ids)
    assert {event["account"] for event in events} == {CUSTOMER}
    grouped = {
        each["Body"]: each["Attributes"]["MessageGroupId"] for each in await arrived(sqs, "orders.fifo", 2)
    }
    assert grouped == {'{"customer":"c-7","n":1}': "c-7", '{"customer":"c-8","n":2}': "c-8"}


async def test_dead_letters_go_to_a_queue_with_the_documented_attributes(
    story: Story, sqs: SQSClient
) -> None:
    queue = await create_queue(sqs, "dead")
    dead_letters: dict[str, Any] = {"DeadLetterConfig": {"Arn": queue}}
    story.receiver.script("/refusing", Respond(status=400))
    story.receiver.script("/down", Respond(status=503))
    refusing, down = await story.webhook("refusing"), await story.webhook("down")
    await story.rule(SOURCE, "refused", {"detail": {"n": [1]}}, refusing, Input='"else"', **dead_letters)
    await story.rule(
        SOURCE, "tired", {"detail": {"n": [2]}}, down, RetryPolicy={"MaximumRetryAttempts": 1}, **dead_letters
    )
    ids = await story.put(ACME, entry({"n": 1}), entry({"n": 2}))

    letters = {msgspec.json.decode(each["Body"])["id"]: each for each in await arrived(sqs, "dead", 2)}
    told = [
        {name: value["StringValue"] for name, value in letters[event_id]["MessageAttributes"].items()}
        for event_id in ids
    ]
    assert all(
        value["DataType"] == "String"
        for each in letters.values()
        for value in each["MessageAttributes"].values()
    )
    rule_arn = f"arn:aws:events:{REGION}:{CUSTOMER}:rule/{SOURCE}"
    assert told == [
        {
            "RULE_ARN": f"{rule_arn}/refused",
            "TARGET_ARN": refusing,
            "ERROR_CODE": "ERROR_FROM_TARGET",
            "ERROR_MESSAGE": "The API destination answered with HTTP status 400.",
            "RETRY_ATTEMPTS": "0",
        },
        {
            "RULE_ARN": f"{rule_arn}/tired",
            "TARGET_ARN": down,
            "ERROR_CODE": "ERROR_FROM_TARGET",
            "ERROR_MESSAGE": "The API destination answered with HTTP status 503.",
            "RETRY_ATTEMPTS": "1",
            "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
        },
    ]
    assert {letter["sent_to"] for letter in await story.dead_letters(2)} == {queue}


async def test_a_queue_that_is_gone_makes_a_dead_letter_of_our_own(story: Story) -> None:
    nowhere = f"arn:aws:sqs:{REGION}:{CUSTOMER}:nowhere"
    await story.rule(SOURCE, "gone", {"source": [SOURCE]}, nowhere, DeadLetterConfig={"Arn": nowhere})
    await story.put(ACME, entry({"n": 1}))
    [letter] = await story.dead_letters(1)
    assert (letter["error"], letter["attempts_made"], letter["sent_to"]) == ("NO_RESOURCE", 1, None)
    assert "The dead-letter queue did not take it: NO_RESOURCE" in letter["message"]
