"""The story of a partner and its customer through each client: offer, take, route, put, arrive, end."""

import json
from contextlib import AsyncExitStack

import pytest

from tests.clients.clients import AwsCli, Boto3, Client, JavaScript, Open, Refused, require_javascript
from tests.clients.proofs import PARTNER_STORY, answered
from tests.clients.throttling import BusyAtFirst
from tests.main_job.story import ACME, CUSTOMER, REGION, Story

pytestmark = pytest.mark.slow

SOURCE = "aws.partner/acme.com/orders"
BUS = {"EventBusName": SOURCE}
ENTRY = {"Source": SOURCE, "DetailType": "order.created", "Detail": '{"total": 250, "note": "größer <b>"}'}


@pytest.fixture(params=[Boto3, AwsCli, JavaScript], ids=lambda client: client.name)
def open_client(request: pytest.FixtureRequest) -> Open:
    if request.param is JavaScript:
        require_javascript()
    opens: Open = request.param
    return opens


async def refusal(client: Client, operation: str, **members: object) -> Refused:
    with pytest.raises(Refused) as caught:
        await client.call(operation, **members)
    return caught.value


async def test_the_partner_story(story: Story, open_client: Open) -> None:
    async with AsyncExitStack() as stack:
        busy = await stack.enter_async_context(BusyAtFirst(story.server.url, "PutPartnerEvents"))
        partner, customer = open_client(busy.url, ACME), open_client(busy.url, CUSTOMER)
        stack.push_async_callback(partner.close)
        stack.push_async_callback(customer.close)

        await offer(partner, customer)
        await take(partner, customer)
        await route(customer, f"{story.receiver.url}/orders")

        # Throttled once, which the client made up for, and delivered once.
        put = await partner.call("PutPartnerEvents", Entries=[ENTRY, ENTRY | {"Detail": "no JSON"}])
        assert busy.calls["PutPartnerEvents"] == 2
        assert put["FailedEntryCount"] == 1
        accepted, failed = put["Entries"]
        assert failed["ErrorCode"] == "MalformedDetail"
        [event] = await story.arrived("orders", 1)
        assert event["id"] == accepted["EventId"]
        assert (event["source"], event["account"], event["region"]) == (SOURCE, CUSTOMER, REGION)
        assert (event["detail-type"], event["detail"]) == ("order.created", json.loads(ENTRY["Detail"]))

        await be_refused(customer)
        await end(partner, customer)
        assert len(story.receiver.requests) == 1
        assert await answered(story.server.url) == PARTNER_STORY


async def offer(partner: Client, customer: Client) -> None:
    made = await partner.call("CreatePartnerEventSource", Name=SOURCE, Account=CUSTOMER)
    arn = f"arn:aws:events:{REGION}::event-source/{SOURCE}"
    assert made == {"EventSourceArn": arn}
    listed = await partner.call("ListPartnerEventSources", NamePrefix="aws.partner/acme.com/")
    assert listed["PartnerEventSources"] == [{"Arn": arn, "Name": SOURCE}]
    seen = await customer.call("DescribeEventSource", Name=SOURCE)
    assert (seen["Arn"], seen["CreatedBy"], seen["State"]) == (arn, "acme.com", "PENDING")


async def take(partner: Client, customer: Client) -> None:
    made = await customer.call("CreateEventBus", Name=SOURCE, EventSourceName=SOURCE)
    assert made["EventBusArn"] == f"arn:aws:events:{REGION}:{CUSTOMER}:event-bus/{SOURCE}"
    [source] = (await customer.call("ListEventSources"))["EventSources"]
    assert (source["Name"], source["State"]) == (SOURCE, "ACTIVE")
    told = await partner.call("ListPartnerEventSourceAccounts", EventSourceName=SOURCE)
    [account] = told["PartnerEventSourceAccounts"]
    assert (account["Account"], account["State"]) == (CUSTOMER, "ACTIVE")


async def route(customer: Client, url: str) -> None:
    key = {"ApiKeyName": "X-Key", "ApiKeyValue": "k-1"}
    connection = await customer.call(
        "CreateConnection",
        Name="shop",
        AuthorizationType="API_KEY",
        AuthParameters={"ApiKeyAuthParameters": key},
    )
    destination = await customer.call(
        "CreateApiDestination",
        Name="shop",
        ConnectionArn=connection["ConnectionArn"],
        InvocationEndpoint=url,
        HttpMethod="POST",
    )
    pattern = json.dumps({"detail": {"total": [{"numeric": [">", 100]}]}})
    await customer.call("PutRule", **BUS, Name="big", EventPattern=pattern, Description="größer")
    target = {"Id": "shop", "Arn": destination["ApiDestinationArn"]}
    put = await customer.call("PutTargets", **BUS, Rule="big", Targets=[target])
    assert put == {"FailedEntryCount": 0, "FailedEntries": []}
    rule = await customer.call("DescribeRule", **BUS, Name="big")
    assert (rule["EventPattern"], rule["Description"], rule["State"]) == (pattern, "größer", "ENABLED")
    listed = await customer.call("ListTargetsByRule", **BUS, Rule="big")
    assert listed == {"Targets": [target]}


async def be_refused(customer: Client) -> None:
    """One error of each kind: one that the model knows, one that it does not, one of permissions."""
    unknown = await refusal(customer, "DescribeRule", **BUS, Name="small")
    assert unknown.code == unknown.kind == "ResourceNotFoundException"
    assert unknown.sentence == f"Rule small does not exist on EventBus {SOURCE}."
    invalid = await refusal(customer, "PutRule", **BUS, Name="a b", EventPattern="{}")
    assert invalid.code == "ValidationException"
    assert "Value 'a b' at 'name' failed to satisfy constraint" in invalid.sentence
    denied = await refusal(customer, "PutPartnerEvents", Entries=[ENTRY])
    assert denied.code == "AccessDeniedException"


async def end(partner: Client, customer: Client) -> None:
    """The partner withdraws, the customer cleans up."""
    await partner.call("DeletePartnerEventSource", Name=SOURCE, Account=CUSTOMER)
    assert (await customer.call("DescribeEventSource", Name=SOURCE))["State"] == "DELETED"
    removed = await customer.call("RemoveTargets", **BUS, Rule="big", Ids=["shop"])
    assert removed["FailedEntryCount"] == 0
    await customer.call("DeleteRule", **BUS, Name="big")
    await customer.call("DeleteEventBus", Name=SOURCE)
    assert (await customer.call("ListEventSources"))["EventSources"] == []
