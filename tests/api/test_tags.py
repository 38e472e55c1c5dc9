"""Tags of buses and rules."""

import asyncio
import json

import pytest

from tests.api.world import CUSTOMER, OTHER, PATTERN, REGION, SOURCE, Caller, World, refusal

ARN = f"arn:aws:events:{REGION}:{CUSTOMER}"
DEFAULT = f"{ARN}:event-bus/default"
OPERATIONS = ("TagResource", "UntagResource", "ListTagsForResource")
MEMBERS: dict[str, dict[str, object]] = {
    "TagResource": {"Tags": [{"Key": "a", "Value": ""}]},
    "UntagResource": {"TagKeys": ["a"]},
    "ListTagsForResource": {},
}


def tags(**values: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in values.items()]


async def tagged(caller: Caller, arn: str) -> dict[str, str]:
    found = (await caller("ListTagsForResource", ResourceARN=arn))["Tags"]
    assert [tag["Key"] for tag in found] == sorted(tag["Key"] for tag in found)
    return {tag["Key"]: tag["Value"] for tag in found}


@pytest.fixture
async def arns(world: World, customer: Caller) -> list[str]:
    """One of each: default, custom and partner bus, a rule on each."""
    await world.partner("CreatePartnerEventSource", Name=SOURCE, Account=CUSTOMER)
    await customer("CreateEventBus", Name="orders")
    await customer("CreateEventBus", Name=SOURCE, EventSourceName=SOURCE)
    for bus in ("default", "orders", SOURCE):
        await customer("PutRule", Name="all", EventBusName=bus, EventPattern=PATTERN)
    buses = [f"{ARN}:event-bus/{bus}" for bus in ("default", "orders", SOURCE)]
    return [*buses, f"{ARN}:rule/all", f"{ARN}:rule/orders/all", f"{ARN}:rule/{SOURCE}/all"]


async def test_each_bus_and_each_rule_has_its_own(customer: Caller, arns: list[str]) -> None:
    for number, arn in enumerate(arns):
        assert await tagged(customer, arn) == {}
        await customer("TagResource", ResourceARN=arn, Tags=tags(team="red", number=str(number)))
    for number, arn in enumerate(arns):
        assert await tagged(customer, arn) == {"team": "red", "number": str(number)}
        await customer("TagResource", ResourceARN=arn, Tags=tags(team="blue", empty=""))
        assert await tagged(customer, arn) == {"team": "blue", "number": str(number), "empty": ""}
        await customer("UntagResource", ResourceARN=arn, TagKeys=["team", "none", "team"])
        await customer("UntagResource", ResourceARN=arn, TagKeys=["team"])
        assert await tagged(customer, arn) == {"number": str(number), "empty": ""}


async def test_tags_leave_everything_else_alone(world: World, customer: Caller, arns: list[str]) -> None:
    before = [await customer("DescribeEventBus", Name="orders"), await customer("DescribeRule", Name="all")]
    await world.advance(seconds=5)
    for arn in arns:
        await customer("TagResource", ResourceARN=arn, Tags=tags(team="red"))
    after = [await customer("DescribeEventBus", Name="orders"), await customer("DescribeRule", Name="all")]
    assert after == before


async def test_tags_given_at_creation(customer: Caller) -> None:
    await customer("CreateEventBus", Name="orders", Tags=tags(team="red"))
    await customer("PutRule", Name="all", EventPattern=PATTERN, Tags=tags(team="blue"))
    await customer("PutRule", Name="all", EventPattern=PATTERN, Tags=tags(team="green"))  # ignored
    assert await tagged(customer, f"{ARN}:event-bus/orders") == {"team": "red"}
    assert await tagged(customer, f"{ARN}:rule/all") == {"team": "blue"}


async def test_they_are_gone_with_their_resource(customer: Caller) -> None:
    for given in (tags(team="red"), []):
        await customer("CreateEventBus", Name="orders", Tags=given)
        await customer("PutRule", Name="all", EventBusName="orders", EventPattern=PATTERN, Tags=given)
        for arn in (f"{ARN}:event-bus/orders", f"{ARN}:rule/orders/all"):
            assert await tagged(customer, arn) == {tag["Key"]: tag["Value"] for tag in given}
        await customer("DeleteRule", Name="all", EventBusName="orders")
        await customer("DeleteEventBus", Name="orders")


async def test_a_resource_has_fifty_at_most(customer: Caller) -> None:
    full = tags(**{str(n): "" for n in range(50)})
    await customer("TagResource", ResourceARN=DEFAULT, Tags=full)
    await customer("TagResource", ResourceARN=DEFAULT, Tags=tags(**{"0": "changed"}))
    assert await refusal(customer, "TagResource", ResourceARN=DEFAULT, Tags=tags(more="")) == (
        "ValidationException",
        "A resource can have at most 50 tags.",
    )
    found = await tagged(customer, DEFAULT)
    assert (len(found), found["0"], "more" in found) == (50, "changed", False)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (tags(**{"aws:mine": ""}), "reserved"),
        (tags(**{"AWS:mine": ""}), "reserved"),
        ([*tags(a="1"), *tags(a="2")], "unique"),
        (tags(**{str(n): "" for n in range(51)}), "at most 50"),
        (tags(**{"": "x"}), "length greater than or equal to 1"),
        (tags(**{"k" * 129: "x"}), "length less than or equal to 128"),
        (tags(k="v" * 257), "length less than or equal to 256"),
    ],
)
async def test_tags_that_are_refused(
    customer: Caller, arns: list[str], given: list[dict[str, str]], sentence: str
) -> None:
    for arn in arns:
        code, message = await refusal(customer, "TagResource", ResourceARN=arn, Tags=given)
        assert code == "ValidationException"
        assert sentence in message
        assert await tagged(customer, arn) == {}
    for operation, members in (
        ("CreateEventBus", {"Name": "new"}),
        ("PutRule", {"Name": "new", "EventPattern": PATTERN}),
    ):
        code, message = await refusal(customer, operation, **members, Tags=given)
        assert code == "ValidationException"
        assert sentence in message


async def test_the_longest_tag(customer: Caller) -> None:
    longest = {"ü" * 128: "ß" * 256}
    await customer("TagResource", ResourceARN=DEFAULT, Tags=tags(**longest))
    assert await tagged(customer, DEFAULT) == longest


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("resource", "sentence"),
    [
        ("event-bus/none", "Event bus none does not exist."),
        ("event-bus/a:b", "Event bus a:b does not exist."),
        ("rule/none", "Rule none does not exist on EventBus default."),
        ("rule/orders/none", "Rule none does not exist on EventBus orders."),
        ("rule/none/all", "Event bus none does not exist."),
        (f"rule/{SOURCE}x/all", f"Event bus {SOURCE}x does not exist."),
    ],
)
async def test_resources_that_do_not_exist(
    customer: Caller, arns: list[str], operation: str, resource: str, sentence: str
) -> None:
    arn = f"{ARN}:{resource}"
    assert await refusal(customer, operation, ResourceARN=arn, **MEMBERS[operation]) == (
        "ResourceNotFoundException",
        sentence,
    )


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_other_accounts_and_regions(world: World, arns: list[str], operation: str) -> None:
    for arn in arns:
        code, message = await refusal(world.other, operation, ResourceARN=arn, **MEMBERS[operation])
        assert code == "AccessDeniedException"
        assert f"events:{operation} on resource: {arn}" in message
        for account in (world.caller(CUSTOMER, "us-east-1"), world.caller("333333333333", "us-east-1")):
            code, message = await refusal(account, operation, ResourceARN=arn, **MEMBERS[operation])
            assert code == "ResourceNotFoundException"


async def test_a_policy_opens_the_tags_of_rules(world: World, customer: Caller, arns: list[str]) -> None:
    rule = f"{ARN}:rule/orders/all"
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": OTHER},
        "Action": [f"events:{operation}" for operation in OPERATIONS],
        "Resource": rule,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    await customer("PutPermission", EventBusName="orders", Policy=policy)
    await world.other("TagResource", ResourceARN=rule, Tags=tags(team="theirs", more=""))
    await world.other("UntagResource", ResourceARN=rule, TagKeys=["more"])
    assert await tagged(world.other, rule) == await tagged(customer, rule) == {"team": "theirs"}
    for arn in set(arns) - {rule}:
        code, _ = await refusal(world.other, "ListTagsForResource", ResourceARN=arn)
        assert code == "AccessDeniedException"


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "arn",
    [
        "orders",
        "arn:aws:events",
        f"{ARN}:archive/orders",
        f"{ARN}:connection/shop/1",
        f"{ARN}:event-bus",
        f"{ARN}:event-bus/",
        f"{ARN}:rule/",
        f"arn:aws:sqs:{REGION}:{CUSTOMER}:event-bus/orders",
    ],
)
async def test_what_has_no_tags(customer: Caller, operation: str, arn: str) -> None:
    code, message = await refusal(customer, operation, ResourceARN=arn, **MEMBERS[operation])
    assert code == "ValidationException"
    assert message.startswith("Parameter ResourceARN is not valid. Reason: ")


async def test_many_who_tag_at_once(customer: Caller) -> None:
    names = [f"k{n}" for n in range(10)]
    await asyncio.gather(
        *(customer("TagResource", ResourceARN=DEFAULT, Tags=tags(**{name: "x"})) for name in names)
    )
    assert await tagged(customer, DEFAULT) == dict.fromkeys(names, "x")
