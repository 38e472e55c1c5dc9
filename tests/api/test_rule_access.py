"""Rules on a bus of another account: what its policy opens, and what nobody learns."""

import json
from typing import Any

import pytest

from tests.api.world import CUSTOMER, OTHER, REGION, SOURCE, Caller, World, refusal

BUS = f"arn:aws:events:{REGION}:{CUSTOMER}:event-bus/orders"
RULES = f"arn:aws:events:{REGION}:{CUSTOMER}:rule/orders"
PATTERN = '{"source": ["shop"]}'
ALL = "events:*"


def stdout(account: str) -> dict[str, str]:
    return {"Id": "1", "Arn": f"arn:partnerbus:stdout:{REGION}:{account}:s"}


CALLS: dict[str, dict[str, Any]] = {
    "PutRule": {"Name": "r", "EventPattern": PATTERN},
    "PutTargets": {"Rule": "r", "Targets": [stdout(OTHER)]},
    "DescribeRule": {"Name": "r"},
    "ListRules": {},
    "ListRuleNamesByTarget": {"TargetArn": stdout(OTHER)["Arn"]},
    "ListTargetsByRule": {"Rule": "r"},
    "DisableRule": {"Name": "r"},
    "EnableRule": {"Name": "r"},
    "RemoveTargets": {"Rule": "r", "Ids": ["1"]},
    "DeleteRule": {"Name": "r"},
}
"""The calls of rules, in an order in which each can be made."""

LISTS = ("ListRules", "ListRuleNamesByTarget")


@pytest.fixture(autouse=True)
async def bus(customer: Caller) -> None:
    await customer("CreateEventBus", Name="orders")


async def open_to(customer: Caller, *actions: str, effect: str = "Allow", **members: object) -> None:
    """Put a policy of one statement on the bus."""
    statement = {
        "Effect": effect,
        "Principal": {"AWS": OTHER},
        "Action": actions,
        "Resource": [BUS, f"{RULES}/*"],
        **members,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    await customer("PutPermission", EventBusName="orders", Policy=policy)


async def make_rule(caller: Caller, name: str = "r") -> None:
    await caller("PutRule", Name=name, EventBusName=BUS, EventPattern=PATTERN)


@pytest.mark.parametrize("operation", CALLS)
async def test_nobody_is_let_in_without_a_policy_nor_learns_what_is_there(
    customer: Caller, other: Caller, operation: str
) -> None:
    await make_rule(customer)
    code, there = await refusal(other, operation, EventBusName=BUS, **CALLS[operation])
    assert code == "AccessDeniedException"
    resource = BUS if operation in LISTS else f"{RULES}/r"
    assert there == (
        f"User: arn:aws:iam::{OTHER}:root is not authorized to perform: events:{operation} on resource: "
        f"{resource} because no resource-based policy allows the events:{operation} action"
    )
    for policy_of in ("missing", SOURCE):
        name = BUS.replace("orders", policy_of)
        code, not_there = await refusal(other, operation, EventBusName=name, **CALLS[operation])
        assert (code, not_there.replace(policy_of, "orders")) == ("AccessDeniedException", there)


async def test_every_call_on_a_bus_that_is_open(customer: Caller, other: Caller) -> None:
    await open_to(customer, ALL)
    answers = {
        operation: await other(operation, EventBusName=BUS, **members) for operation, members in CALLS.items()
    }
    assert answers["PutRule"] == {"RuleArn": f"{RULES}/r"}
    assert answers["PutTargets"]["FailedEntries"] == []
    described = answers["DescribeRule"]
    assert (described["CreatedBy"], described["EventBusName"]) == (OTHER, "orders")
    assert [rule["Name"] for rule in answers["ListRules"]["Rules"]] == ["r"]
    assert answers["ListRuleNamesByTarget"] == {"RuleNames": ["r"]}
    assert answers["ListTargetsByRule"] == {"Targets": [stdout(OTHER)]}
    assert (await customer("ListRules", EventBusName="orders"))["Rules"] == []
    assert (await other("ListRules"))["Rules"] == []


@pytest.mark.parametrize("operation", CALLS)
async def test_each_action_is_for_itself(customer: Caller, other: Caller, operation: str) -> None:
    await open_to(customer, ALL)
    await make_rule(other)
    await open_to(customer, *(f"events:{each}" for each in CALLS if each != operation), "events:PutEvents")
    code, _ = await refusal(other, operation, EventBusName=BUS, **CALLS[operation])
    assert code == "AccessDeniedException"
    await open_to(customer, f"events:{operation}")
    await other(operation, EventBusName=BUS, **CALLS[operation])


async def test_a_policy_may_be_of_some_rules_only(customer: Caller, other: Caller) -> None:
    await open_to(customer, ALL, Resource=f"{RULES}/theirs-*")
    await make_rule(other, "theirs-1")
    assert await refusal(other, "DescribeRule", EventBusName=BUS, Name="theirs-2") == (
        "ResourceNotFoundException",
        "Rule theirs-2 does not exist on EventBus orders.",
    )
    code, _ = await refusal(other, "PutRule", Name="r", EventBusName=BUS, EventPattern=PATTERN)
    assert code == "AccessDeniedException"


# -- whose targets -----------------------------------------------------------------------------------------


async def test_targets_are_put_by_whoever_made_the_rule_and_are_its_own(
    customer: Caller, other: Caller
) -> None:
    await open_to(customer, ALL)
    await make_rule(other)
    await make_rule(customer, "ours")
    put = {"EventBusName": BUS, "Rule": "r"}
    [failed] = (await other("PutTargets", Targets=[stdout(CUSTOMER)], **put))["FailedEntries"]
    assert failed["ErrorCode"] == "ValidationException"
    assert (await other("PutTargets", Targets=[stdout(OTHER)], **put))["FailedEntries"] == []
    for caller, rule in ((customer, "r"), (other, "ours")):
        for account in (CUSTOMER, OTHER):
            code, sentence = await refusal(
                caller, "PutTargets", EventBusName=BUS, Rule=rule, Targets=[stdout(account)]
            )
            assert code == "AccessDeniedException"
            assert sentence == f"Rule {rule} was made by another account, which alone may put targets on it."


async def test_the_owner_of_the_bus_can_end_what_another_made(customer: Caller, other: Caller) -> None:
    await open_to(customer, ALL)
    await make_rule(other)
    await other("PutTargets", EventBusName=BUS, Rule="r", Targets=[stdout(OTHER)])
    await customer("RemovePermission", EventBusName="orders", RemoveAllPermissions=True)
    await customer("PutRule", EventBusName="orders", Name="r", EventPattern=PATTERN, State="DISABLED")
    described = await customer("DescribeRule", EventBusName="orders", Name="r")
    assert (described["CreatedBy"], described["State"]) == (OTHER, "DISABLED")
    await customer("RemoveTargets", EventBusName="orders", Rule="r", Ids=["1"])
    await customer("DeleteRule", EventBusName="orders", Name="r")


# -- conditions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        ({"source": ["shop"]}, True),
        ({"source": ["shop", "till"]}, True),
        ({"source": ["shop", "bank"]}, False),
        ({"source": [{"prefix": "shop"}]}, False),
        ({"$or": [{"source": ["shop"]}, {"detail-type": ["t"]}]}, False),
        ({"detail-type": ["t"]}, False),
    ],
)
async def test_what_a_rule_may_ask_for(
    customer: Caller, other: Caller, pattern: object, allowed: bool
) -> None:
    condition = {
        "ForAllValues:StringEquals": {"events:source": ["shop", "till"]},
        "Null": {"events:source": "false"},
    }
    await open_to(customer, "events:PutRule", Condition=condition)
    members = {"EventBusName": BUS, "Name": "r", "EventPattern": json.dumps(pattern)}
    if allowed:
        await other("PutRule", **members)
    else:
        assert (await refusal(other, "PutRule", **members))[0] == "AccessDeniedException"


async def test_what_a_rule_may_deliver_to(customer: Caller, other: Caller) -> None:
    await open_to(customer, "events:PutRule")
    await make_rule(other)
    condition = {"ForAllValues:ArnLike": {"events:TargetArn": f"arn:partnerbus:*:*:{OTHER}:*"}}
    await open_to(customer, "events:PutTargets", Condition=condition)
    put = {"EventBusName": BUS, "Rule": "r"}
    await other("PutTargets", Targets=[stdout(OTHER)], **put)
    queue = {"Id": "2", "Arn": f"arn:aws:sqs:{REGION}:{OTHER}:q"}
    code, _ = await refusal(other, "PutTargets", Targets=[stdout(OTHER), queue], **put)
    assert code == "AccessDeniedException"


@pytest.mark.parametrize("operator", ["StringEquals", "StringEqualsIfExists"])
async def test_one_s_own_rules_only(customer: Caller, other: Caller, operator: str) -> None:
    await open_to(customer, ALL, Condition={operator: {"events:creatorAccount": OTHER}})
    await make_rule(customer, "ours")
    await make_rule(other)
    await other("DescribeRule", EventBusName=BUS, Name="r")
    for operation, members in (
        ("PutRule", {"Name": "ours", "EventPattern": PATTERN}),
        ("DescribeRule", {"Name": "ours"}),
        ("DeleteRule", {"Name": "ours"}),
        ("ListRules", {}),
        ("ListRuleNamesByTarget", {"TargetArn": "arn"}),
    ):
        code, _ = await refusal(other, operation, EventBusName=BUS, **members)
        assert code == "AccessDeniedException"


async def test_a_denial_holds_for_the_owner_and_can_be_taken_back(customer: Caller) -> None:
    await open_to(customer, "events:DeleteRule", effect="Deny", Principal="*")
    await make_rule(customer)
    assert await refusal(customer, "DeleteRule", EventBusName="orders", Name="r") == (
        "AccessDeniedException",
        f"User: arn:aws:iam::{CUSTOMER}:root is not authorized to perform: events:DeleteRule on resource: "
        f"{RULES}/r with an explicit deny in a resource-based policy",
    )
    await customer("RemovePermission", EventBusName="orders", RemoveAllPermissions=True)
    await customer("DeleteRule", EventBusName="orders", Name="r")


async def test_a_denial_does_not_tell_that_there_is_a_bus(customer: Caller, other: Caller) -> None:
    _, not_there = await refusal(other, "DescribeRule", EventBusName=BUS.replace("orders", "x"), Name="r")
    await open_to(customer, ALL, effect="Deny")
    _, there = await refusal(other, "DescribeRule", EventBusName=BUS, Name="r")
    assert there == not_there.replace("/x/", "/orders/")


async def test_the_default_bus_and_other_regions(world: World, customer: Caller, other: Caller) -> None:
    default = BUS.replace("orders", "default")
    rules = f"arn:aws:events:{REGION}:{CUSTOMER}:rule/*"
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": OTHER},
        "Action": "events:PutRule",
        "Resource": rules,
    }
    await customer("PutPermission", Policy=json.dumps({"Statement": statement}))
    made = await other("PutRule", EventBusName=default, Name="t", ScheduleExpression="rate(1 minute)")
    assert made["RuleArn"] == rules.replace("*", "t")
    elsewhere = world.caller(OTHER, "eu-west-1")
    assert (await refusal(elsewhere, "PutRule", EventBusName=default, Name="t", EventPattern=PATTERN))[0] == (
        "ResourceNotFoundException"
    )
