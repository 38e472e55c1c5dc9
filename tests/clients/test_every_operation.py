"""Every operation of the model succeeds through a client at a real server, whose own count says so."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.clients.clients import Boto3, Client, JavaScript, Open, require_javascript
from tests.clients.proofs import EVERY_OPERATION, answered
from tests.main_job.story import ACME, CUSTOMER, REGION, Story

pytestmark = pytest.mark.slow

SOURCE = "aws.partner/acme.com/orders"
DEFAULT_BUS = f"arn:aws:events:{REGION}:{CUSTOMER}:event-bus/default"
PATTERN = '{"source": ["shop"]}'


@pytest.fixture(params=[Boto3, JavaScript], ids=lambda client: client.name)
def open_client(request: pytest.FixtureRequest) -> Open:
    if request.param is JavaScript:
        require_javascript()
    opens: Open = request.param
    return opens


async def test_every_operation_succeeds(story: Story, open_client: Open) -> None:
    partner, customer = open_client(story.server.url, ACME), open_client(story.server.url, CUSTOMER)
    try:
        await sources(partner, customer)
        for part in PARTS:
            await part(customer)
        await replays(customer, story.receiver.url)
    finally:
        await partner.close()
        await customer.close()
    assert await answered(story.server.url) == EVERY_OPERATION


async def names(client: Client, operation: str, items: str, **members: Any) -> list[str]:
    """The names in a list of one page."""
    return [item["Name"] for item in (await client.call(operation, **members))[items]]


async def sources(partner: Client, customer: Client) -> None:
    source: Any = {"Name": SOURCE}
    await partner.call("CreatePartnerEventSource", **source, Account=CUSTOMER)
    assert (await partner.call("DescribePartnerEventSource", **source))["Name"] == SOURCE
    prefix = "aws.partner/acme.com/"
    assert await names(partner, "ListPartnerEventSources", "PartnerEventSources", NamePrefix=prefix) == [
        SOURCE
    ]
    await customer.call("CreateEventBus", **source, EventSourceName=SOURCE)
    for operation, state in (("DeactivateEventSource", "PENDING"), ("ActivateEventSource", "ACTIVE")):
        await customer.call(operation, **source)
        assert (await customer.call("DescribeEventSource", **source))["State"] == state
        [account] = (await partner.call("ListPartnerEventSourceAccounts", EventSourceName=SOURCE))[
            "PartnerEventSourceAccounts"
        ]
        assert account["State"] == state
    entry = {"Source": SOURCE, "DetailType": "order", "Detail": "{}", "Time": "2026-01-02T03:04:05Z"}
    assert (await partner.call("PutPartnerEvents", Entries=[entry]))["FailedEntryCount"] == 0
    await partner.call("DeletePartnerEventSource", **source, Account=CUSTOMER)
    assert await names(customer, "ListEventSources", "EventSources") == [SOURCE]
    await customer.call("DeleteEventBus", **source)


async def buses(customer: Client) -> None:
    await customer.call("CreateEventBus", Name="orders", Description="of the shop")
    assert await names(customer, "ListEventBuses", "EventBuses") == ["default", "orders"]
    await customer.call("UpdateEventBus", Name="orders", Description="of both shops")
    await customer.call(
        "PutPermission", EventBusName="orders", StatementId="s", Action="events:PutEvents", Principal="*"
    )
    described = await customer.call("DescribeEventBus", Name="orders")
    assert described["Description"] == "of both shops"
    assert json.loads(described["Policy"])["Statement"][0]["Sid"] == "s"
    await customer.call("RemovePermission", EventBusName="orders", StatementId="s")
    assert "Policy" not in await customer.call("DescribeEventBus", Name="orders")
    await customer.call("DeleteEventBus", Name="orders")


async def rules(customer: Client) -> None:
    await customer.call("CreateEventBus", Name="orders")
    made = await customer.call("PutRule", Name="all", EventPattern=PATTERN)
    await customer.call("DisableRule", Name="all")
    assert (await customer.call("DescribeRule", Name="all"))["State"] == "DISABLED"
    await customer.call("EnableRule", Name="all")
    [rule] = (await customer.call("ListRules"))["Rules"]
    assert (rule["Arn"], rule["State"]) == (made["RuleArn"], "ENABLED")
    target = {"Id": "1", "Arn": DEFAULT_BUS.replace("default", "orders")}
    assert (await customer.call("PutTargets", Rule="all", Targets=[target]))["FailedEntryCount"] == 0
    assert (await customer.call("ListTargetsByRule", Rule="all"))["Targets"] == [target]
    assert await customer.call("ListRuleNamesByTarget", TargetArn=target["Arn"]) == {"RuleNames": ["all"]}
    tag = {"Key": "team", "Value": "größe"}
    await customer.call("TagResource", ResourceARN=made["RuleArn"], Tags=[tag])
    assert await customer.call("ListTagsForResource", ResourceARN=made["RuleArn"]) == {"Tags": [tag]}
    await customer.call("UntagResource", ResourceARN=made["RuleArn"], TagKeys=["team"])
    await customer.call("RemoveTargets", Rule="all", Ids=["1"])
    await customer.call("DeleteRule", Name="all")
    assert (await customer.call("ListRules"))["Rules"] == []


async def connections(customer: Client) -> None:
    basic = {"BasicAuthParameters": {"Username": "u", "Password": "p"}}
    made = await customer.call("CreateConnection", Name="c", AuthorizationType="BASIC", AuthParameters=basic)
    await customer.call("UpdateConnection", Name="c", Description="changed")
    described = await customer.call("DescribeConnection", Name="c")
    assert described["Description"] == "changed"
    assert described["AuthParameters"] == {"BasicAuthParameters": {"Username": "u"}}
    assert await names(customer, "ListConnections", "Connections") == ["c"]
    members: Any = {
        "Name": "d",
        "ConnectionArn": made["ConnectionArn"],
        "InvocationEndpoint": "https://example.com/",
        "HttpMethod": "POST",
    }
    await customer.call("CreateApiDestination", **members)
    await customer.call("UpdateApiDestination", Name="d", HttpMethod="PUT")
    assert (await customer.call("DescribeApiDestination", Name="d"))["HttpMethod"] == "PUT"
    assert await names(customer, "ListApiDestinations", "ApiDestinations") == ["d"]
    await customer.call("DeleteApiDestination", Name="d")
    await customer.call("DeauthorizeConnection", Name="c")
    await customer.call("DeleteConnection", Name="c")


async def archives(customer: Client) -> None:
    made = await customer.call("CreateArchive", ArchiveName="all", EventSourceArn=DEFAULT_BUS)
    await customer.call("UpdateArchive", ArchiveName="all", EventPattern=PATTERN, RetentionDays=7)
    described = await customer.call("DescribeArchive", ArchiveName="all")
    assert (described["ArchiveArn"], described["RetentionDays"]) == (made["ArchiveArn"], 7)
    assert (described["EventPattern"], described["State"]) == (PATTERN, "ENABLED")
    [archive] = (await customer.call("ListArchives", NamePrefix="a"))["Archives"]
    assert (archive["ArchiveName"], archive["EventCount"]) == ("all", 0)
    await customer.call("DeleteArchive", ArchiveName="all")
    assert (await customer.call("ListArchives"))["Archives"] == []


async def replays(customer: Client, webhook: str) -> None:
    """One that ends at once, and one whose target takes an event a second, so that it can be cancelled."""
    basic = {"BasicAuthParameters": {"Username": "u", "Password": "p"}}
    made = await customer.call(
        "CreateConnection", Name="slow", AuthorizationType="BASIC", AuthParameters=basic
    )
    destination = await customer.call(
        "CreateApiDestination",
        Name="slow",
        ConnectionArn=made["ConnectionArn"],
        InvocationEndpoint=webhook,
        HttpMethod="POST",
        InvocationRateLimitPerSecond=1,
    )
    archive = await customer.call("CreateArchive", ArchiveName="a", EventSourceArn=DEFAULT_BUS)
    entry = {"Source": "shop", "DetailType": "order", "Detail": "{}", "Time": "2026-01-02T03:04:05Z"}
    for _ in range(20):
        await customer.call("PutEvents", Entries=[entry] * 10)
    while (await customer.call("DescribeArchive", ArchiveName="a"))["EventCount"] != 200:
        pass
    await customer.call("PutRule", Name="slow", EventPattern=PATTERN)
    targets = [{"Id": "1", "Arn": destination["ApiDestinationArn"]}]
    await customer.call("PutTargets", Rule="slow", Targets=targets)
    members: Any = {
        "EventSourceArn": archive["ArchiveArn"],
        "EventEndTime": "2026-01-02T04:00:00Z",
        "Destination": {"Arn": DEFAULT_BUS},
    }
    window = "2026-01-02T03:30:00Z", "2026-01-02T03:00:00Z"
    for name, start in zip(("empty", "again"), window, strict=True):
        started = await customer.call("StartReplay", ReplayName=name, EventStartTime=start, **members)
        assert started["State"] == "STARTING"
    cancelled = await customer.call("CancelReplay", ReplayName="again")
    assert cancelled["State"] == "CANCELLING"
    for name, state in (("empty", "COMPLETED"), ("again", "CANCELLED")):
        while (found := await customer.call("DescribeReplay", ReplayName=name))["State"] != state:
            assert found["Destination"] == members["Destination"]
    listed = (await customer.call("ListReplays", NamePrefix="a"))["Replays"]
    assert [one["ReplayName"] for one in listed] == ["again"]


async def endpoints(customer: Client) -> None:
    check = "arn:aws:route53:::healthcheck/c8ef4f5e-6d5f-4d7e-8f2e-0123456789ab"
    other = "eu-central-1"
    members: Any = {
        "Name": "both",
        "RoutingConfig": {
            "FailoverConfig": {"Primary": {"HealthCheck": check}, "Secondary": {"Route": other}}
        },
        "EventBuses": [{"EventBusArn": DEFAULT_BUS}, {"EventBusArn": DEFAULT_BUS.replace(REGION, other)}],
        "ReplicationConfig": {"State": "DISABLED"},
    }
    made = await customer.call("CreateEndpoint", **members)
    assert made["RoutingConfig"] == members["RoutingConfig"]
    await customer.call("UpdateEndpoint", Name="both", Description="changed")
    described = await customer.call("DescribeEndpoint", Name="both")
    assert (described["Description"], described["State"]) == ("changed", "ACTIVE")
    assert await names(customer, "ListEndpoints", "Endpoints", MaxResults=10) == ["both"]
    await customer.call("DeleteEndpoint", Name="both")
    assert await names(customer, "ListEndpoints", "Endpoints") == []


async def events(customer: Client) -> None:
    entry = {"Source": "shop", "DetailType": "order", "Detail": "{}", "Time": "2026-01-02T03:04:05Z"}
    put = await customer.call("PutEvents", Entries=[entry, {"Source": "shop"}])
    assert [("EventId" in each, each.get("ErrorCode")) for each in put["Entries"]] == [
        (True, None),
        (False, "InvalidArgument"),
    ]
    event = {
        "id": "1",
        "account": CUSTOMER,
        "source": "shop",
        "time": "2026-01-02T03:04:05Z",
        "region": REGION,
        "resources": [],
        "detail-type": "order",
        "detail": {},
    }
    tested = await customer.call("TestEventPattern", EventPattern=PATTERN, Event=json.dumps(event))
    assert tested == {"Result": True}


PARTS: tuple[Callable[[Client], Awaitable[None]], ...] = (
    buses,
    rules,
    connections,
    archives,
    endpoints,
    events,
)
