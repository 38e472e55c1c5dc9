"""Policies of buses: putting and removing statements, and who may put events then."""

import json
from typing import Any

import pytest

from partnerbus.model.resources import EventBus
from tests.api.world import CUSTOMER, OTHER, REGION, SOURCE, Caller, World, refusal

BUS = f"arn:aws:events:{REGION}:{CUSTOMER}:event-bus/orders"
OTHER_ROOT = f"arn:aws:iam::{OTHER}:root"


@pytest.fixture(autouse=True)
async def bus(customer: Caller) -> None:
    await customer("CreateEventBus", Name="orders")


def allow(sid: str, principal: str = OTHER, **more: object) -> dict[str, object]:
    return {
        "EventBusName": "orders",
        "Action": "events:PutEvents",
        "Principal": principal,
        "StatementId": sid,
        **more,
    }


def whole(*statements: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=1)


async def shown(customer: Caller, name: str = "orders") -> Any:
    text = (await customer("DescribeEventBus", Name=name)).get("Policy")
    listed = {bus["Name"]: bus.get("Policy") for bus in (await customer("ListEventBuses"))["EventBuses"]}
    assert listed[name] == text
    return None if text is None else json.loads(text)


async def test_statements_stand_in_the_order_of_the_calls(customer: Caller) -> None:
    assert await shown(customer) is None
    organization = {"Type": "StringEquals", "Key": "aws:PrincipalOrgID", "Value": "o-1"}
    await customer("PutPermission", **allow("second"))
    await customer("PutPermission", **allow("first", "*", Condition=organization))
    second = {
        "Sid": "second",
        "Effect": "Allow",
        "Principal": {"AWS": OTHER_ROOT},
        "Action": "events:PutEvents",
        "Resource": BUS,
    }
    condition = {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}
    first = second | {"Sid": "first", "Principal": "*", "Condition": condition}
    assert await shown(customer) == {"Version": "2012-10-17", "Statement": [second, first]}
    await customer("PutPermission", **allow("second", "*"))
    assert (await shown(customer))["Statement"] == [second | {"Principal": "*"}, first]
    await customer("RemovePermission", EventBusName="orders", StatementId="second")
    assert (await shown(customer))["Statement"] == [first]
    await customer("RemovePermission", EventBusName="orders", StatementId="first")
    assert await shown(customer) is None


async def test_a_whole_policy_replaces_all_and_is_given_back_as_it_came(customer: Caller) -> None:
    await customer("PutPermission", **allow("old"))
    deny = {"Sid": "no", "Effect": "Deny", "Principal": "*", "Action": "events:*", "Resource": BUS}
    await customer("PutPermission", EventBusName="orders", Policy=whole(deny))
    assert (await customer("DescribeEventBus", Name="orders"))["Policy"] == whole(deny)
    await customer("PutPermission", **allow("new"))
    assert [one["Sid"] for one in (await shown(customer))["Statement"]] == ["no", "new"]
    await customer("RemovePermission", EventBusName="orders", RemoveAllPermissions=True)
    await customer("RemovePermission", EventBusName="orders", RemoveAllPermissions=True)
    assert await shown(customer) is None


async def test_the_default_bus_has_a_policy_too(world: World, customer: Caller) -> None:
    await world.advance(minutes=1)
    await customer("PutPermission", Action="events:PutEvents", Principal=OTHER, StatementId="a")
    found = await customer("DescribeEventBus")
    assert json.loads(found["Policy"])["Statement"][0]["Resource"].endswith("event-bus/default")
    assert found["LastModifiedTime"] == world.clock.now().timestamp() > found["CreationTime"]


async def test_sentences(customer: Caller) -> None:
    unknown = ("ResourceNotFoundException", "Statement with the provided id does not exist.")
    remove: dict[str, Any] = {"EventBusName": "orders", "StatementId": "b"}
    assert await refusal(customer, "RemovePermission", **remove) == unknown
    await customer("PutPermission", **allow("a"))
    assert await refusal(customer, "RemovePermission", **remove) == unknown
    no_bus = ("ResourceNotFoundException", "Event bus none does not exist.")
    assert await refusal(customer, "PutPermission", **allow("a") | {"EventBusName": "none"}) == no_bus
    assert await refusal(customer, "RemovePermission", **remove | {"EventBusName": "none"}) == no_bus
    await customer("RemovePermission", **remove | {"StatementId": "a"})


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"Action": "events:PutEvents"},
        {"Action": "events:PutEvents", "Principal": OTHER},
        {"Policy": whole(), "StatementId": "a"},
        {"Policy": ""},
        {"Policy": '{"Statement": [{}]}'},
        allow("a", "12"),
        allow("a", Action="s3:Get"),
        allow("a b"),
        allow("a", Condition={"Type": "StringLike", "Key": "aws:PrincipalOrgID", "Value": "*"}),
        allow("a", EventBusName=SOURCE),
    ],
)
async def test_what_cannot_be_put(customer: Caller, members: dict[str, object]) -> None:
    code, _ = await refusal(customer, "PutPermission", **{"EventBusName": "orders"} | members)
    assert code == "ValidationException"
    assert await shown(customer) is None


async def test_nothing_to_remove_and_partner_buses(customer: Caller) -> None:
    assert (await refusal(customer, "RemovePermission"))[0] == "ValidationException"
    code, _ = await refusal(customer, "RemovePermission", EventBusName=SOURCE, StatementId="a")
    assert code == "ValidationException"


async def test_the_longest_policy(customer: Caller) -> None:
    def sized(characters: int) -> str:
        text = whole({"Sid": "", "Effect": "Deny", "Principal": "*", "Action": "a", "Resource": "r"})
        return text.replace('"Sid": "', '"Sid": "' + "x" * (characters - len(text)))

    await customer("PutPermission", EventBusName="orders", Policy=sized(10_240))
    before = await shown(customer)
    code, _ = await refusal(customer, "PutPermission", EventBusName="orders", Policy=sized(10_241))
    assert code == "PolicyLengthExceededException"
    code, _ = await refusal(customer, "PutPermission", **allow("one-more"))
    assert code == "PolicyLengthExceededException"
    assert await shown(customer) == before


@pytest.mark.parametrize("bus", [SOURCE, f"arn:aws:events:{REGION}:{CUSTOMER}:event-bus/{SOURCE}"])
async def test_the_name_of_a_partner_bus_is_no_name_for_events_or_policies(
    partner: Caller, customer: Caller, bus: str
) -> None:
    """Seen of the service; whether the bus exists makes no difference."""
    await partner("CreatePartnerEventSource", Name=SOURCE, Account=CUSTOMER)
    entry = {"Source": "shop", "DetailType": "t", "Detail": "{}", "EventBusName": bus}
    for _ in range(2):
        for operation, members, path in (
            ("PutEvents", {"Entries": [entry]}, "entries.1.member.eventBusName"),
            ("PutPermission", allow("a", EventBusName=bus), "eventBusName"),
            ("RemovePermission", {"EventBusName": bus, "StatementId": "a"}, "eventBusName"),
        ):
            code, sentence = await refusal(customer, operation, **members)
            assert code == "ValidationException"
            assert f"Value '{bus}' at '{path}' failed to satisfy constraint" in sentence
        if not (await customer("ListEventBuses", NamePrefix=SOURCE))["EventBuses"]:
            await customer("CreateEventBus", Name=SOURCE, EventSourceName=SOURCE)


# -- who may put -------------------------------------------------------------------------------------------


async def put(caller: Caller, bus: str = BUS, **more: object) -> str | None:
    """Why an entry is refused; None if it was taken."""
    entry = {"Source": "shop", "DetailType": "t", "Detail": "{}", "EventBusName": bus, **more}
    answer = await caller("PutEvents", Entries=[entry])
    assert answer["FailedEntryCount"] == ("ErrorCode" in answer["Entries"][0])
    code: str | None = answer["Entries"][0].get("ErrorCode")
    return code


async def accounts_of_stored(world: World) -> list[str]:
    bus = world.services.catalog.get(EventBus, f"bus:{CUSTOMER}:{REGION}:orders")
    return [record.event.account for record in await world.stored(bus)]


async def test_another_account_puts_only_while_it_is_allowed(
    world: World, customer: Caller, other: Caller
) -> None:
    assert await put(other) == "AccessDeniedException"
    await customer("PutPermission", **allow("a"))
    assert await put(other) is None
    assert await put(other, BUS.replace("orders", "default")) == "AccessDeniedException"
    assert await put(world.caller("3" * 12)) == "AccessDeniedException"
    await customer("RemovePermission", EventBusName="orders", StatementId="a")
    assert await put(other) == "AccessDeniedException"
    assert await accounts_of_stored(world) == [OTHER]  # the event stays the sender's


async def test_a_bus_that_is_not_there_is_denied_like_one_that_is(other: Caller) -> None:
    entry = {"Source": "shop", "DetailType": "t", "Detail": "{}"}
    there, not_there = BUS, BUS.replace("orders", "nothing")
    answer = await other(
        "PutEvents", Entries=[entry | {"EventBusName": there}, entry | {"EventBusName": not_there}]
    )
    one, two = answer["Entries"]
    assert one["ErrorMessage"].replace("orders", "nothing") == two["ErrorMessage"]
    assert one["ErrorCode"] == two["ErrorCode"] == "AccessDeniedException"


async def test_conditions_are_held_against_each_entry(customer: Caller, other: Caller) -> None:
    condition = {"StringEquals": {"events:source": "shop"}, "Null": {"aws:SourceArn": "true"}}
    statement = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "events:*", "Resource": BUS}
    await customer("PutPermission", EventBusName="orders", Policy=whole(statement | {"Condition": condition}))
    assert await put(other) is None
    assert await put(other, Source="else") == "AccessDeniedException"
    by_rules = {"Bool": {"events:eventBusInvocation": "true"}}
    await customer("PutPermission", EventBusName="orders", Policy=whole(statement | {"Condition": by_rules}))
    assert await put(other) == "AccessDeniedException"


async def test_a_deny_holds_for_the_owner_and_can_be_taken_back(customer: Caller) -> None:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "events:PutEvents", "Resource": "*"}
    await customer("PutPermission", EventBusName="orders", Policy=whole(deny))
    assert await put(customer) == "AccessDeniedException"
    assert await put(customer, "orders") == "AccessDeniedException"
    await customer("RemovePermission", EventBusName="orders", RemoveAllPermissions=True)
    assert await put(customer, "orders") is None


async def test_a_policy_goes_with_its_bus(customer: Caller, other: Caller) -> None:
    await customer("PutPermission", **allow("a"))
    await customer("DeleteEventBus", Name="orders")
    await customer("CreateEventBus", Name="orders")
    assert await shown(customer) is None
    assert await put(other) == "AccessDeniedException"


async def test_a_policy_opens_nothing_but_events_and_rules(customer: Caller, other: Caller) -> None:
    everything = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
    await customer("PutPermission", EventBusName="orders", Policy=whole(everything))
    for operation, members in (
        ("DescribeEventBus", {"Name": BUS}),
        ("TagResource", {"ResourceARN": BUS, "Tags": [{"Key": "a", "Value": "b"}]}),
    ):
        code, _ = await refusal(other, operation, **members)
        assert code == "AccessDeniedException"


async def test_aws_sources_stay_reserved_across_accounts(customer: Caller, other: Caller) -> None:
    await customer("PutPermission", **allow("a"))
    assert await put(other, Source="aws.events") == "NotAuthorizedForSource"
