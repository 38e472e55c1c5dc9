"""NATS subjects, files and standard output through the whole server; off unless the operator says so."""

from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js.api import StreamConfig

from tests.main_job.story import ACME, CUSTOMER, REGION, Story, begin, run
from tests.targets.nats_server import nats_server

pytestmark = pytest.mark.slow

SOURCE = "aws.partner/acme.com/orders"
SUBJECT = f"partnerbus.{CUSTOMER}.orders"
ARNS = [
    f"arn:partnerbus:file:{REGION}:{CUSTOMER}:orders.jsonl",
    f"arn:partnerbus:nats:{REGION}:{CUSTOMER}:{SUBJECT}",
    f"arn:partnerbus:stdout:{REGION}:{CUSTOMER}:orders",
]


async def put_all(story: Story) -> Any:
    """A rule with each of them as a target; what is said to that."""
    await story.offer(ACME, SOURCE)
    customer = story.client(CUSTOMER)
    pattern = '{"source":[{"prefix":"aws.partner"}]}'
    await run(customer.put_rule, Name="r", EventBusName=SOURCE, EventPattern=pattern)
    targets: Any = [{"Id": str(at), "Arn": arn, "InputPath": "$.detail"} for at, arn in enumerate(ARNS)]
    return await run(customer.put_targets, Rule="r", EventBusName=SOURCE, Targets=targets)


async def test_events_reach_them(tmp_path: Path) -> None:
    files = tmp_path / "files"
    await run(files.mkdir)
    options = ["--file-targets", str(files), "--stdout-targets", "--nats-servers"]
    async with (
        nats_server(tmp_path) as server,
        begin(tmp_path / "data", *options, server.url) as story,
    ):
        assert (await put_all(story))["FailedEntries"] == []
        client = await nats.connect(server.url)
        arriving = await client.subscribe(SUBJECT)
        await client.flush()
        await story.put(ACME, {"Source": SOURCE, "DetailType": "order", "Detail": '{"n":1.0}'})
        assert (await arriving.next_msg(timeout=60)).data == b'{"n":1.0}'
        await client.close()
        delivered: list[Any] = []
        while len(delivered) < len(ARNS):
            found = await story.command("deliveries", "list", "--state", "delivered", "--json")
            delivered = found["deliveries"]
        assert sorted(each["target_arn"] for each in delivered) == ARNS
        assert await run((files / CUSTOMER / "orders.jsonl").read_bytes) == b'{"n":1.0}\n'


async def test_what_is_owed_to_a_nats_server_that_is_away_arrives_later(tmp_path: Path) -> None:
    configuration = f'jetstream {{ store_dir: "{tmp_path / "js"}" }}'
    detail = '{"n":%d}'
    async with nats_server(tmp_path, configuration) as first:
        client = await nats.connect(first.url)
        await client.jetstream().add_stream(StreamConfig(name="all", subjects=["partnerbus.>"]))
        await client.close()
        async with begin(tmp_path / "data", "--nats-servers", first.url) as story:
            await story.offer(ACME, SOURCE)
            await story.rule(
                SOURCE, "r", {"source": [{"prefix": "aws.partner"}]}, ARNS[1], InputPath="$.detail"
            )
            await first.kill()
            for number in range(20):
                entry = {"Source": SOURCE, "DetailType": "order", "Detail": detail % number}
                await story.put(ACME, entry)
            owed: list[Any] = []
            while not any(each["attempts_made"] for each in owed):
                owed = (await story.command("deliveries", "list", "--state", "owed", "--json"))["deliveries"]
            async with nats_server(tmp_path, configuration, port=first.port) as second:
                delivered: list[Any] = []
                while len(delivered) < 20:
                    answer = await story.command("deliveries", "list", "--state", "delivered", "--json")
                    delivered = answer["deliveries"]
                client = await nats.connect(second.url)
                stream = client.jetstream()
                stored = [await stream.get_msg("all", seq=at) for at in range(1, 21)]
                await client.close()
    assert {each.data for each in stored} == {(detail % number).encode() for number in range(20)}


async def test_they_are_off_by_default(story: Story) -> None:
    answer = await put_all(story)
    sentences = {entry["TargetId"]: entry["ErrorMessage"] for entry in answer["FailedEntries"]}
    assert [
        setting in sentences[str(at)]
        for at, setting in enumerate(("file-targets", "nats-servers", "stdout-targets"))
    ] == [True] * 3
