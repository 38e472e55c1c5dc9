"""Rules that a service manages: their users see them, and do not change them."""

import msgspec
import pytest

from partnerbus.model.resources import Rule, rule_key
from tests.api.world import CUSTOMER, PATTERN, REGION, Caller, World, refusal

ARN = f"arn:aws:events:{REGION}:{CUSTOMER}"
QUEUE = f"arn:aws:sqs:{REGION}:{CUSTOMER}:orders"
MANAGER = "prod.vhs.events.aws.internal"
REFUSED = ("ManagedRuleException", "Rule kept is managed by a service and can't be changed.")


@pytest.fixture(autouse=True)
async def kept(world: World, customer: Caller) -> None:
    """A rule with a target that a service manages."""
    await customer("PutRule", Name="kept", EventPattern=PATTERN)
    await customer("PutTargets", Rule="kept", Targets=[{"Id": "1", "Arn": QUEUE}])
    rule = world.services.catalog.get(Rule, rule_key(CUSTOMER, REGION, "default", "kept"))
    assert rule is not None
    await world.services.catalog.replace(rule, msgspec.structs.replace(rule, managed_by=MANAGER))


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("PutRule", {"Name": "kept", "EventPattern": PATTERN}),
        ("EnableRule", {"Name": "kept"}),
        ("DisableRule", {"Name": "kept"}),
        ("DeleteRule", {"Name": "kept"}),
        ("DeleteRule", {"Name": "kept", "Force": False}),
        ("PutTargets", {"Rule": "kept", "Targets": [{"Id": "2", "Arn": QUEUE}]}),
        ("RemoveTargets", {"Rule": "kept", "Ids": ["1"]}),
        ("RemoveTargets", {"Rule": "kept", "Ids": ["none"]}),
        ("TagResource", {"ResourceARN": f"{ARN}:rule/kept", "Tags": [{"Key": "a", "Value": "b"}]}),
        ("UntagResource", {"ResourceARN": f"{ARN}:rule/kept", "TagKeys": ["a"]}),
    ],
)
async def test_it_is_not_changed(
    world: World, customer: Caller, operation: str, members: dict[str, object]
) -> None:
    key = rule_key(CUSTOMER, REGION, "default", "kept")
    before = world.services.catalog.get(Rule, key)
    assert await refusal(customer, operation, **members) == REFUSED
    assert world.services.catalog.get(Rule, key) == before


async def test_it_is_seen(customer: Caller) -> None:
    assert (await customer("DescribeRule", Name="kept"))["ManagedBy"] == MANAGER
    assert [rule["ManagedBy"] for rule in (await customer("ListRules"))["Rules"]] == [MANAGER]
    assert len((await customer("ListTargetsByRule", Rule="kept"))["Targets"]) == 1
    assert await customer("ListTagsForResource", ResourceARN=f"{ARN}:rule/kept") == {"Tags": []}


async def test_force_removes_its_targets_and_then_the_rule(customer: Caller) -> None:
    code, message = await refusal(customer, "DeleteRule", Name="kept", Force=True)
    assert (code, message) == ("ValidationException", "Rule can't be deleted since it has targets.")
    answer = await customer("RemoveTargets", Rule="kept", Ids=["1"], Force=True)
    assert answer == {"FailedEntryCount": 0, "FailedEntries": []}
    await customer("DeleteRule", Name="kept", Force=True)
    assert (await customer("ListRules"))["Rules"] == []


async def test_force_means_nothing_to_other_rules(customer: Caller) -> None:
    await customer("PutRule", Name="mine", EventPattern=PATTERN)
    await customer("PutTargets", Rule="mine", Targets=[{"Id": "1", "Arn": QUEUE}])
    await customer("RemoveTargets", Rule="mine", Ids=["1"], Force=True)
    await customer("DeleteRule", Name="mine", Force=True)
    assert [rule["Name"] for rule in (await customer("ListRules"))["Rules"]] == ["kept"]
