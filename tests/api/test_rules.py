"""Operations on rules."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from partnerbus.model.quotas import Quotas
from partnerbus.model.resources import Rule
from tests.api.world import CUSTOMER, PATTERN, QUEUE, REGION, SOURCE, Caller, Refused, World, refusal

ARN = f"arn:aws:events:{REGION}:{CUSTOMER}:rule/"
LIMIT = ("LimitExceededException", "The requested resource exceeds the maximum number allowed.")
CLOUDTRAIL = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"


async def partner_bus(world: World) -> None:
    await world.partner("CreatePartnerEventSource", Name=SOURCE, Account=CUSTOMER)
    await world.customer("CreateEventBus", Name=SOURCE, EventSourceName=SOURCE)


async def test_put_and_describe_on_the_default_bus(customer: Caller) -> None:
    answer = await customer("PutRule", Name="all", EventPattern=PATTERN)
    assert answer == {"RuleArn": f"{ARN}all"}
    assert await customer("DescribeRule", Name="all") == {
        "Name": "all",
        "Arn": f"{ARN}all",
        "EventPattern": PATTERN,
        "State": "ENABLED",
        "EventBusName": "default",
        "CreatedBy": CUSTOMER,
    }


async def test_the_arn_on_a_partner_bus_holds_the_bus(world: World, customer: Caller) -> None:
    await partner_bus(world)
    for bus in (SOURCE, f"arn:aws:events:{REGION}:{CUSTOMER}:event-bus/{SOURCE}"):
        answer = await customer("PutRule", Name="all", EventBusName=bus, EventPattern=PATTERN)
        assert answer == {"RuleArn": f"{ARN}{SOURCE}/all"}
    assert (await customer("DescribeRule", Name="all", EventBusName=SOURCE))["EventBusName"] == SOURCE


async def test_the_pattern_comes_back_as_it_was_given(customer: Caller) -> None:
    pattern = '{ "source" : ["shop"],\n  "detail": {"n": [{"numeric": [">", 1.50]}]} }'
    await customer("PutRule", Name="all", EventPattern=pattern)
    assert (await customer("DescribeRule", Name="all"))["EventPattern"] == pattern


async def test_putting_again_replaces_the_definition_and_keeps_targets_and_tags(
    world: World, customer: Caller
) -> None:
    await customer(
        "PutRule",
        Name="all",
        EventPattern=PATTERN,
        State="DISABLED",
        Description="old",
        RoleArn="arn:aws:iam::111111111111:role/r",
        Tags=[{"Key": "team", "Value": "red"}],
    )
    await customer("PutTargets", Rule="all", Targets=[{"Id": "q", "Arn": QUEUE}])
    newer = '{"source": ["other"]}'
    await customer("PutRule", Name="all", EventPattern=newer, Tags=[{"Key": "team", "Value": "blue"}])
    assert await customer("DescribeRule", Name="all") == {
        "Name": "all",
        "Arn": f"{ARN}all",
        "EventPattern": newer,
        "State": "ENABLED",
        "EventBusName": "default",
        "CreatedBy": CUSTOMER,
    }
    (rule,) = world.services.catalog.list(Rule, "rule:")
    assert rule.tags == {"team": "red"}
    assert [target.id for target in rule.targets] == ["q"]


async def test_sentences(customer: Caller) -> None:
    await customer("CreateEventBus", Name="orders")
    assert await refusal(customer, "DescribeRule", Name="none", EventBusName="orders") == (
        "ResourceNotFoundException",
        "Rule none does not exist on EventBus orders.",
    )
    for operation in ("PutRule", "DescribeRule", "DeleteRule", "EnableRule", "DisableRule"):
        members = {"EventPattern": PATTERN} if operation == "PutRule" else {}
        assert await refusal(customer, operation, Name="all", EventBusName="none", **members) == (
            "ResourceNotFoundException",
            "Event bus none does not exist.",
        )
    await customer("PutRule", Name="all", EventPattern=PATTERN)
    await customer("PutTargets", Rule="all", Targets=[{"Id": "q", "Arn": QUEUE}])
    assert await refusal(customer, "DeleteRule", Name="all") == (
        "ValidationException",
        "Rule can't be deleted since it has targets.",
    )


async def test_a_rule_needs_something_to_match(customer: Caller) -> None:
    code, message = await refusal(customer, "PutRule", Name="all")
    assert code == "ValidationException"
    assert "EventPattern" in message


async def test_schedules_are_for_the_default_bus(world: World, customer: Caller) -> None:
    await customer("CreateEventBus", Name="orders")
    for members in ({}, {"EventPattern": PATTERN}, {"ScheduleExpression": "nonsense"}):
        schedule = {"Name": "tick", "ScheduleExpression": "rate(1 minute)", **members}
        assert await refusal(customer, "PutRule", EventBusName="orders", **schedule) == (
            "ValidationException",
            "ScheduleExpression is supported only on the default event bus.",
        )
    assert list(world.services.catalog.list(Rule, "rule:")) == []


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "rate(10 minute)",
        "rate(1 minutes)",
        "rate(0 minutes)",
        "rate(-1 minutes)",
        "rate(10 seconds)",
        "rate(10 years)",
        "rate(10 MINUTES)",
        "rate( 10 minutes )",
        " rate(10 minutes)",
        "cron(0 0 * * * *)",
        "cron(0 0 1 * 1 *)",
        "cron(0 0 1 * ?)",
    ],
)
async def test_what_is_no_schedule_is_never_stored(world: World, customer: Caller, expression: str) -> None:
    sentence = ("ValidationException", "Parameter ScheduleExpression is not valid.")
    for members in ({}, {"EventPattern": PATTERN}):
        schedule = {"Name": "tick", "ScheduleExpression": expression, **members}
        assert await refusal(customer, "PutRule", **schedule) == sentence
    assert list(world.services.catalog.list(Rule, "rule:")) == []


async def test_a_schedule_is_shown_and_replaced_with_its_rule(world: World, customer: Caller) -> None:
    cron = "cron(0/30 20-2 ? * MON-FRI *)"
    await customer("PutRule", Name="tick", ScheduleExpression=cron, EventPattern=PATTERN)
    described = await customer("DescribeRule", Name="tick")
    (listed,) = (await customer("ListRules"))["Rules"]
    assert described["ScheduleExpression"] == listed["ScheduleExpression"] == cron
    assert described["EventPattern"] == PATTERN
    await customer("PutRule", Name="tick", EventPattern=PATTERN)
    assert "ScheduleExpression" not in await customer("DescribeRule", Name="tick")
    (rule,) = world.services.catalog.list(Rule, "rule:")
    assert (rule.schedule, rule.scheduled_at) == (None, None)


async def test_since_when_a_schedule_counts(world: World, customer: Caller) -> None:
    rate: dict[str, object] = {"Name": "tick", "ScheduleExpression": "rate(1 hour)"}

    async def counts_since(operation: str, **members: object) -> bool:
        """Whether the schedule counts from this call on."""
        await world.advance(minutes=1)
        await customer(operation, **members)
        (rule,) = world.services.catalog.list(Rule, "rule:")
        assert rule.scheduled_at is not None
        return rule.scheduled_at == world.clock.now()

    assert await counts_since("PutRule", **rate)
    assert not await counts_since("PutRule", **rate, Description="what deployment tools put again")
    assert not await counts_since("EnableRule", Name="tick")
    assert not await counts_since("DisableRule", Name="tick")
    assert not await counts_since("PutRule", **rate, State="DISABLED")
    assert await counts_since("EnableRule", Name="tick")
    assert not await counts_since("PutRule", **rate, State=CLOUDTRAIL)
    assert await counts_since("PutRule", **rate | {"ScheduleExpression": "rate(2 hours)"})
    await customer("DisableRule", Name="tick")
    assert await counts_since("PutRule", **rate | {"ScheduleExpression": "rate(2 hours)"})


async def test_cloudtrail_events_are_not_for_partner_buses(world: World, customer: Caller) -> None:
    await partner_bus(world)
    await customer("PutRule", Name="all", EventPattern=PATTERN, State=CLOUDTRAIL)
    assert (await customer("DescribeRule", Name="all"))["State"] == CLOUDTRAIL
    code, _ = await refusal(
        customer, "PutRule", Name="all", EventBusName=SOURCE, EventPattern=PATTERN, State=CLOUDTRAIL
    )
    assert code == "ValidationException"


async def test_a_pattern_that_is_none(world: World, customer: Caller) -> None:
    code, message = await refusal(customer, "PutRule", Name="all", EventPattern='{"source": "shop"}')
    assert code == "InvalidEventPatternException"
    assert message.startswith("Event pattern is not valid. Reason: ")
    assert list(world.services.catalog.list(Rule, "rule:")) == []


async def test_a_pattern_over_the_quota(customer: Caller) -> None:
    def pattern(characters: int) -> str:
        return '{"source": ["' + "a" * (characters - 16) + '"]}'

    assert len(pattern(2_048)) == 2_048
    await customer("PutRule", Name="all", EventPattern=pattern(2_048))
    assert await refusal(customer, "PutRule", Name="all", EventPattern=pattern(2_049)) == LIMIT


async def test_enable_and_disable(customer: Caller) -> None:
    await customer("PutRule", Name="all", EventPattern=PATTERN)
    for operation, state in (("DisableRule", "DISABLED"), ("EnableRule", "ENABLED")):
        for _ in range(2):
            assert await customer(operation, Name="all") == {}
            assert (await customer("DescribeRule", Name="all"))["State"] == state
    assert await refusal(customer, "EnableRule", Name="none") == (
        "ResourceNotFoundException",
        "Rule none does not exist on EventBus default.",
    )


async def test_deleting_twice_is_fine(customer: Caller) -> None:
    await customer("PutRule", Name="all", EventPattern=PATTERN)
    await customer("DeleteRule", Name="all")
    await customer("DeleteRule", Name="all")
    code, _ = await refusal(customer, "DescribeRule", Name="all")
    assert code == "ResourceNotFoundException"


async def test_lists_are_by_name_and_without_the_creator(customer: Caller) -> None:
    await customer("CreateEventBus", Name="orders")
    for name in ("b", "a-2", "a-1"):
        await customer("PutRule", Name=name, EventBusName="orders", EventPattern=PATTERN)
    await customer("PutRule", Name="elsewhere", EventPattern=PATTERN)
    answer = await customer("ListRules", EventBusName="orders")
    assert [rule["Name"] for rule in answer["Rules"]] == ["a-1", "a-2", "b"]
    assert answer["Rules"][0] == {
        "Name": "a-1",
        "Arn": f"{ARN}orders/a-1",
        "EventPattern": PATTERN,
        "State": "ENABLED",
        "EventBusName": "orders",
    }
    assert "NextToken" not in answer
    found = await customer("ListRules", EventBusName="orders", NamePrefix="a-")
    assert [rule["Name"] for rule in found["Rules"]] == ["a-1", "a-2"]
    code, _ = await refusal(customer, "ListRules", EventBusName="none")
    assert code == "ResourceNotFoundException"


async def test_rule_names_by_target(customer: Caller) -> None:
    for name, arn in (("c", QUEUE), ("a", QUEUE), ("b", QUEUE + "-2")):
        await customer("PutRule", Name=name, EventPattern=PATTERN)
        await customer("PutTargets", Rule=name, Targets=[{"Id": "q", "Arn": arn}])
    assert await customer("ListRuleNamesByTarget", TargetArn=QUEUE) == {"RuleNames": ["a", "c"]}
    assert await customer.every("ListRuleNamesByTarget", "RuleNames", TargetArn=QUEUE, Limit=1) == ["a", "c"]
    assert await customer("ListRuleNamesByTarget", TargetArn=QUEUE + "-3") == {"RuleNames": []}


async def test_accounts_and_regions_are_apart(world: World, customer: Caller, other: Caller) -> None:
    await customer("PutRule", Name="all", EventPattern=PATTERN)
    abroad = world.caller(CUSTOMER, "us-east-1")
    for caller in (other, abroad):
        code, _ = await refusal(caller, "DescribeRule", Name="all")
        assert code == "ResourceNotFoundException"
        assert (await caller("ListRules"))["Rules"] == []
    default = f"arn:aws:events:{REGION}:{CUSTOMER}:event-bus/default"
    for operation in ("PutRule", "DeleteRule", "DescribeRule", "DisableRule"):
        members = {"EventPattern": PATTERN} if operation == "PutRule" else {}
        code, _ = await refusal(other, operation, Name="all", EventBusName=default, **members)
        assert code == "AccessDeniedException"
        code, _ = await refusal(abroad, operation, Name="all", EventBusName=default, **members)
        assert code == "ResourceNotFoundException"


async def test_rules_put_at_once_all_arrive(world: World, customer: Caller) -> None:
    """Upserts of one rule race; each answers, and one definition stands."""
    await customer("PutRule", Name="all", EventPattern=PATTERN)
    await asyncio.gather(
        *(customer("PutRule", Name="all", EventPattern=PATTERN, Description=str(n)) for n in range(3)),
        customer("DisableRule", Name="all"),
    )
    (rule,) = world.services.catalog.list(Rule, "rule:")
    assert rule.description in {"0", "1", "2"}


async def test_of_a_deletion_and_other_changes_at_once_none_is_told_to_try_again(customer: Caller) -> None:
    await customer("PutRule", Name="all", EventPattern=PATTERN)
    await asyncio.gather(
        customer("DeleteRule", Name="all"),
        customer("DeleteRule", Name="all"),
        customer("DeleteRule", Name="all"),
    )
    await customer("PutRule", Name="all", EventPattern=PATTERN)
    put = customer("PutTargets", Rule="all", Targets=[{"Id": "1", "Arn": QUEUE}])
    answers = await asyncio.gather(put, customer("DeleteRule", Name="all"), return_exceptions=True)
    (refused,) = [answer for answer in answers if isinstance(answer, Refused)]
    assert refused.code in ("ResourceNotFoundException", "ValidationException")


async def test_a_rule_put_while_its_bus_is_deleted_does_not_outlive_it(
    world: World, customer: Caller
) -> None:
    for first in ("PutRule", "DeleteEventBus"):
        await customer("CreateEventBus", Name="orders")
        put = ("PutRule", {"Name": "all", "EventBusName": "orders", "EventPattern": PATTERN})
        delete = ("DeleteEventBus", {"Name": "orders"})
        order = [put, delete] if first == "PutRule" else [delete, put]
        answers = await asyncio.gather(
            *(customer(name, **members) for name, members in order), return_exceptions=True
        )
        assert any(not isinstance(answer, Refused) for answer in answers)
        bus = world.services.catalog.bus(CUSTOMER, REGION, "orders")
        rules = list(world.services.catalog.list(Rule, "rule:"))
        assert bus is not None or rules == []
        for rule in rules:
            await customer("DeleteRule", Name=rule.name, EventBusName="orders")
        if bus is not None:
            await customer("DeleteEventBus", Name="orders")


# -- quotas ------------------------------------------------------------------------------------------------


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[World]:
    made = await World.open(tmp_path, quotas=Quotas(rules_per_bus=3, wildcard_rules_per_bus=1))
    yield made
    await made.close()


async def test_rules_per_bus(small: World) -> None:
    customer = small.customer
    await customer("CreateEventBus", Name="orders")
    for name in ("a", "b", "c"):
        await customer("PutRule", Name=name, EventBusName="orders", EventPattern=PATTERN)
    await customer("PutRule", Name="c", EventBusName="orders", EventPattern=PATTERN, Description="replaced")
    assert await refusal(customer, "PutRule", Name="d", EventBusName="orders", EventPattern=PATTERN) == LIMIT
    await customer("PutRule", Name="d", EventPattern=PATTERN)


async def test_a_lower_quota_leaves_the_rules_that_are_there(small: World) -> None:
    for name in ("a", "b", "c"):
        await small.customer("PutRule", Name=name, EventPattern=PATTERN)
    customer = small.with_quotas(rules_per_bus=1).customer
    await customer("PutRule", Name="b", EventPattern=PATTERN, Description="replaced")
    assert await refusal(customer, "PutRule", Name="d", EventPattern=PATTERN) == LIMIT


async def test_wildcard_rules_per_bus(small: World) -> None:
    customer = small.customer
    wildcard = '{"source": [{"wildcard": "shop.*"}]}'
    word = '{"source": ["wildcard"]}'
    await customer("PutRule", Name="word", EventPattern=word)
    await customer("PutRule", Name="a", EventPattern=wildcard)
    await customer("PutRule", Name="a", EventPattern=wildcard)
    assert await refusal(customer, "PutRule", Name="b", EventPattern=wildcard) == LIMIT
    assert await refusal(customer, "PutRule", Name="word", EventPattern=wildcard) == LIMIT
    await customer("PutRule", Name="a", EventPattern=PATTERN)
    await customer("PutRule", Name="word", EventPattern=wildcard)
