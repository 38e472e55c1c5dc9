"""Kafka topics through the whole server and a real broker, also one that is away for a while."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.main_job.story import ACME, CUSTOMER, REGION, Story, begin, run
from tests.targets.kafka_broker import KafkaBroker, kafka_broker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SOURCE = "aws.partner/acme.com/orders"
TOPIC = f"partnerbus.{CUSTOMER}.orders"
ARN = f"arn:partnerbus:kafka:{REGION}:{CUSTOMER}:{TOPIC}"
PATTERN = {"source": [{"prefix": "aws.partner"}]}


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[KafkaBroker]:
    folder = tmp_path / "broker"
    await run(folder.mkdir)
    async with kafka_broker(folder, Authority(folder)) as broker:
        yield broker


def order(number: int) -> dict[str, str]:
    return {"Source": SOURCE, "DetailType": "order", "Detail": f'{{"n":{number}}}'}


async def test_events_reach_a_topic_and_wait_for_a_broker_that_is_away(
    broker: KafkaBroker, tmp_path: Path
) -> None:
    await broker.make_topic(TOPIC)
    async with begin(tmp_path / "data", "--kafka-servers", broker.servers) as story:
        await story.offer(ACME, SOURCE)
        await story.rule(SOURCE, "r", PATTERN, ARN, InputPath="$.detail")
        (first,) = await story.put(ACME, order(0))
        (found,) = await broker.read(TOPIC, 1)
        assert found.value() == b'{"n":0}'
        headers = dict(found.headers() or [])
        assert headers["partnerbus-event-id"] == first.encode()
        assert headers["partnerbus-source"] == SOURCE.encode()

        await broker.kill()
        await story.put(ACME, *(order(number) for number in range(1, 9)))
        owed: list[Any] = []
        while not any(each["attempts_made"] for each in owed):
            owed = (await story.command("deliveries", "list", "--state", "owed", "--json"))["deliveries"]
        await broker.start()
        delivered: list[Any] = []
        while len(delivered) < 9:
            answer = await story.command("deliveries", "list", "--state", "delivered", "--json")
            delivered = answer["deliveries"]
        values = {each.value() for each in await broker.read(TOPIC, 9)}
        assert values == {b'{"n":%d}' % number for number in range(9)}


async def test_what_cannot_work_is_refused(story: Story) -> None:
    await story.offer(ACME, SOURCE)
    customer = story.client(CUSTOMER)
    await run(customer.put_rule, Name="r", EventBusName=SOURCE, EventPattern='{"source":["x"]}')
    targets: Any = [{"Id": "1", "Arn": ARN}]
    answer = await run(customer.put_targets, Rule="r", EventBusName=SOURCE, Targets=targets)
    (failed,) = answer["FailedEntries"]
    assert "kafka-servers" in failed["ErrorMessage"]
