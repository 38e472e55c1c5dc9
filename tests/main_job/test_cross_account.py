"""Two accounts of one node: events go from one's buses to the other's where a policy allows it."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.main_job.story import CUSTOMER, OTHER, REGION, Story, run

pytestmark = pytest.mark.slow

ENTRY = {"Source": "shop", "DetailType": "order", "Detail": '{"n":1}'}
PATTERN = '{"source": ["shop"]}'
ROLE = f"arn:aws:iam::{OTHER}:role/forward"


def bus(account: str, name: str = "default") -> str:
    return f"arn:aws:events:{REGION}:{account}:event-bus/{name}"


async def put(story: Story, account: str, name: str) -> dict[str, Any]:
    entry: Any = ENTRY | {"EventBusName": name}
    answer = await run(story.client(account).put_events, Entries=[entry])
    return dict(answer["Entries"][0])


async def test_events_cross_accounts_where_they_may(story: Story) -> None:
    ours, theirs = story.client(CUSTOMER), story.client(OTHER)
    await story.rule("default", "seen", {"source": ["shop"]}, await story.webhook("seen"))

    # A rule of the other account forwards; the policy is not there yet.
    await run(theirs.put_rule, Name="forward", EventPattern=PATTERN)
    target: Any = {"Id": "1", "Arn": bus(CUSTOMER)}
    refused = await run(theirs.put_targets, Rule="forward", Targets=[target])
    assert "RoleArn is required" in refused["FailedEntries"][0]["ErrorMessage"]
    target["RoleArn"] = ROLE
    assert (await run(theirs.put_targets, Rule="forward", Targets=[target]))["FailedEntryCount"] == 0
    await put(story, OTHER, "default")
    [letter] = await story.dead_letters(1)
    assert (letter["account"], letter["error"]) == (OTHER, "NO_PERMISSIONS")
    assert (await put(story, OTHER, bus(CUSTOMER)))["ErrorCode"] == "AccessDeniedException"

    # With the policy both ways are open, and the event stays the sender's.
    await run(ours.put_permission, Action="events:PutEvents", Principal=OTHER, StatementId="other")
    direct = await put(story, OTHER, bus(CUSTOMER))
    forwarded = await put(story, OTHER, "default")
    events = await story.arrived("seen", 2)
    assert {event["id"] for event in events} == {direct["EventId"], forwarded["EventId"]}
    assert {(event["account"], event["region"]) for event in events} == {(OTHER, REGION)}

    # Without it they are closed again.
    await run(ours.remove_permission, StatementId="other")
    assert (await put(story, OTHER, bus(CUSTOMER)))["ErrorCode"] == "AccessDeniedException"
    assert len(await story.arrived("seen", 2)) == 2


async def test_a_loop_ends_with_a_dead_letter_that_shows_the_path(story: Story) -> None:
    for account, other in ((CUSTOMER, OTHER), (OTHER, CUSTOMER)):
        client = story.client(account)
        await run(client.put_permission, Action="events:PutEvents", Principal=other, StatementId="other")
        await run(client.put_rule, Name="on", EventPattern=PATTERN)
        target: Any = {"Id": "1", "Arn": bus(other), "RoleArn": ROLE}
        assert (await run(client.put_targets, Rule="on", Targets=[target]))["FailedEntryCount"] == 0
    event = await put(story, CUSTOMER, "default")
    [letter] = await story.dead_letters(1)
    assert (letter["account"], letter["event_id"]) == (OTHER, event["EventId"])
    assert letter["error"] == "THIRD_ACCOUNT_HOP_DETECTED"
    assert " -> ".join([bus(CUSTOMER), bus(OTHER), bus(CUSTOMER)]) in letter["message"]


async def test_a_rule_that_another_account_made_on_our_bus_delivers_to_its_own_destination(
    story: Story,
) -> None:
    ours, theirs = story.client(CUSTOMER), story.client(OTHER)
    await run(ours.create_event_bus, Name="orders")
    named: Any = {"Name": "theirs", "EventBusName": bus(CUSTOMER, "orders"), "EventPattern": PATTERN}
    with pytest.raises(ClientError, match="no resource-based policy allows the events:PutRule action"):
        await run(theirs.put_rule, **named)
    rules = f"arn:aws:events:{REGION}:{CUSTOMER}:rule/orders/*"
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": OTHER},
        "Action": ["events:PutRule", "events:PutTargets"],
        "Resource": rules,
        "Condition": {"StringEqualsIfExists": {"events:creatorAccount": OTHER}},
    }
    await run(ours.put_permission, EventBusName="orders", Policy=json.dumps({"Statement": [statement]}))
    assert (await run(theirs.put_rule, **named))["RuleArn"] == rules.replace("*", "theirs")

    where: Any = {"Rule": "theirs", "EventBusName": bus(CUSTOMER, "orders")}
    for account, refused in ((CUSTOMER, 1), (OTHER, 0)):
        destination = await story.webhook("seen", account=account)
        target: Any = {"Id": "1", "Arn": destination}
        answer = await run(theirs.put_targets, Targets=[target], **where)
        assert answer["FailedEntryCount"] == refused
    await put(story, CUSTOMER, "orders")
    [event] = await story.arrived("seen", 1)
    assert (event["account"], event["source"]) == (CUSTOMER, "shop")
