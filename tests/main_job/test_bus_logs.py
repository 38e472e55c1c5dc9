"""What a bus writes of its events, through boto3 and the command line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from partnerbus.testing.receiver import Received, Respond
from tests.cli.commands import partnerbus
from tests.main_job.story import ACME, CUSTOMER, REGION, Story, run

pytestmark = pytest.mark.slow

SOURCE = "aws.partner/acme.com/orders"
ENTRY = {"Source": "shop", "DetailType": "order", "Detail": '{"n":1.0}'}
SECRETS = ("sesame-key", "sesame-header", "sesame-body")
PARAMETERS = {
    "HeaderParameters": [{"Key": "X-Tenant", "Value": "sesame-header", "IsValueSecret": True}],
    "BodyParameters": [{"Key": "token", "Value": "sesame-body", "IsValueSecret": True}],
}
CONNECTION = {
    "AuthorizationType": "API_KEY",
    "AuthParameters": {
        "ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "sesame-key"},
        "InvocationHttpParameters": PARAMETERS,
    },
}


async def log_of(story: Story, bus: str, *options: str) -> list[dict[str, Any]]:
    """What the command line says that a bus wrote, the oldest first."""
    records: list[dict[str, Any]] = (await story.command("logs", "bus", bus, "--json", *options))["records"]
    return records[::-1]


def kinds(records: Sequence[dict[str, Any]]) -> list[str]:
    return [record["message_type"] for record in records]


def written(data: Path) -> bytes:
    return b"".join(file.read_bytes() for file in (data / "bus-logs").iterdir())


def echo(request: Received) -> Respond:
    """A target that sends back whatever it was sent."""
    said = json.dumps(dict(request.headers)).encode() + request.body
    return Respond(status=400, body=said)


async def test_everything_is_told_but_secrets(story: Story) -> None:
    customer = story.client(CUSTOMER)
    level: Any = {"Level": "TRACE", "IncludeDetail": "FULL"}
    assert (await run(customer.update_event_bus, LogConfig=level))["LogConfig"] == level
    story.receiver.respond("/hook", echo)
    hook = await story.webhook("hook", connection=CONNECTION)
    await story.rule("default", "orders", {"source": ["shop"]}, hook)
    entries: Any = [ENTRY, ENTRY | {"Detail": "{"}, ENTRY | {"Source": "aws.mine"}]
    answer = await run(customer.put_events, Entries=entries)
    [event_id, malformed, reserved] = answer["Entries"]
    assert (malformed["ErrorCode"], reserved["ErrorCode"]) == ("MalformedDetail", "NotAuthorizedForSource")
    await story.dead_letters(1)

    records = await log_of(story, "default")
    told = [record for record in records if record["event_id"] == event_id["EventId"]]
    assert kinds(told) == [
        "EVENT_RECEIPT",
        "EVENT_INGEST_SUCCESS",
        "RULE_MATCH_START",
        "RULE_MATCH",
        "INVOCATION_START",
        "INVOCATION_ATTEMPT_START",
        "INVOCATION_ATTEMPT_PERMANENT_FAILURE",
        "INVOCATION_FAILURE",
    ]
    refused = [record for record in records if record not in told]
    assert kinds(refused) == ["EVENT_RECEIPT", "EVENT_INGEST_FAILURE"]  # not what may not be put there
    assert refused[1]["error"] == {"error_message": "Detail is malformed.", "aws_service": "events"}
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert {record["request_id"] for record in (*told[:2], *refused)} == {request_id}

    event = json.loads(told[-1]["details"]["target_input"])
    assert (event["id"], event["detail"]) == (event_id["EventId"], {"n": 1.0})
    said = told[-1]["details"]["target_response_body"]
    assert '"x-key": "***"' in said
    assert '"x-tenant": "***"' in said
    on_disk = written(story.server.data)
    for secret in SECRETS:
        assert secret.encode() not in on_disk


async def test_a_partner_bus_by_level_event_and_time(story: Story) -> None:
    await story.offer(ACME, SOURCE)
    customer = story.client(CUSTOMER)
    await run(customer.update_event_bus, Name=SOURCE, LogConfig={"Level": "INFO"})
    story.receiver.script("/hook", Respond(status=400))
    await story.rule(SOURCE, "hook", {"source": [SOURCE]}, await story.webhook("hook"))
    entry = ENTRY | {"Source": SOURCE}
    first, second = [(await story.put(ACME, entry))[0] for _ in range(2)]
    await story.dead_letters(2)

    records = await log_of(story, SOURCE)
    arn = f"arn:aws:events:{REGION}:{CUSTOMER}:event-bus/{SOURCE}"
    assert {record["resource_arn"] for record in records} == {arn}
    of_one = ["EVENT_INGEST_SUCCESS", "RULE_MATCH", "INVOCATION_START"]
    failures = ["INVOCATION_ATTEMPT_PERMANENT_FAILURE", "INVOCATION_FAILURE"]
    assert kinds(await log_of(story, arn, "--event", second)) == of_one + failures
    assert kinds(await log_of(story, SOURCE, "--event", first, "--level", "error")) == failures
    assert await log_of(story, SOURCE, "--limit", "3") == records[-3:]
    assert kinds(await log_of(story, SOURCE, "--type", "RULE_MATCH")) == ["RULE_MATCH"] * 2
    of_rule = kinds(await log_of(story, SOURCE, "--rule", "hook"))
    assert sorted(of_rule) == sorted((of_one[1:] + failures) * 2)
    of_delivery = await log_of(story, SOURCE, "--delivery", records[-1]["invocation_id"])
    assert kinds(of_delivery) == [of_one[-1], *failures]
    assert {one["event_id"] for one in of_delivery} == {records[-1]["event_id"]}
    assert await log_of(story, SOURCE, "--since", "2020-01-01T00:00:00Z") == records
    assert await log_of(story, SOURCE, "--before", "2020-01-01T00:00:00Z") == []
    assert await log_of(story, SOURCE, "--account", "999999999999") == []
    assert await log_of(story, "orders") == []

    done = await partnerbus("logs", "bus", SOURCE, "--data", str(story.server.data))
    assert done.status == 0
    assert done.out.splitlines()[0].split() == ["TIME", "LEVEL", "TYPE", "EVENT", "DELIVERY", "RULE", "SAID"]
    assert "The API destination answered with HTTP status 400." in done.out
    for options in (("--since", "yesterday"), ("--type", "NONE"), ("--since", "2020-01-01T00:00:00")):
        done = await partnerbus("logs", "bus", SOURCE, *options, "--data", str(story.server.data))
        assert done.status == 1
        assert "the query cannot be used" in done.err

    await story.server.stop()  # the folder is read without a server too
    assert await log_of(story, SOURCE) == records


async def test_a_bus_at_off_writes_nothing(story: Story) -> None:
    customer = story.client(CUSTOMER)
    await run(customer.update_event_bus, LogConfig={"Level": "OFF", "IncludeDetail": "FULL"})
    await story.rule("default", "hook", {"source": ["shop"]}, await story.webhook("hook"))
    entries: Any = [ENTRY]
    await run(customer.put_events, Entries=entries)
    await story.arrived("hook", 1)
    assert await log_of(story, "default") == []
    assert not (story.server.data / "bus-logs").exists()
