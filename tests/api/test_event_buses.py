"""Operations on event buses."""

import pytest

from partnerbus.model.quotas import Quotas
from tests.api.world import CUSTOMER, OTHER, QUEUE, REGION, SOURCE, Caller, World, refusal

ARN = f"arn:aws:events:{REGION}:{CUSTOMER}:event-bus/"
DEFAULT = f"{ARN}default"


async def test_create_answers_what_it_was_given(customer: Caller) -> None:
    answer = await customer(
        "CreateEventBus",
        Name="orders",
        Description="all of them",
        KmsKeyIdentifier="alias/mine",
        DeadLetterConfig={"Arn": QUEUE},
        LogConfig={"IncludeDetail": "FULL", "Level": "TRACE"},
    )
    assert answer == {
        "EventBusArn": f"{ARN}orders",
        "Description": "all of them",
        "KmsKeyIdentifier": "alias/mine",
        "DeadLetterConfig": {"Arn": QUEUE},
        "LogConfig": {"IncludeDetail": "FULL", "Level": "TRACE"},
    }


async def test_describe_a_plain_bus(world: World, customer: Caller) -> None:
    await customer("CreateEventBus", Name="orders")
    now = world.clock.now().timestamp()
    expected = {"Name": "orders", "Arn": f"{ARN}orders", "CreationTime": now, "LastModifiedTime": now}
    assert await customer("DescribeEventBus", Name="orders") == expected
    assert await customer("DescribeEventBus", Name=f"{ARN}orders") == expected


async def test_the_default_bus_is_always_there(customer: Caller) -> None:
    assert (await customer("DescribeEventBus"))["Arn"] == DEFAULT
    buses = (await customer("ListEventBuses"))["EventBuses"]
    assert [(bus["Name"], bus["Arn"]) for bus in buses] == [("default", DEFAULT)]
    assert {"CreationTime", "LastModifiedTime"} <= set(buses[0])


async def test_sentences(customer: Caller) -> None:
    await customer("CreateEventBus", Name="orders")
    assert await refusal(customer, "CreateEventBus", Name="orders") == (
        "ResourceAlreadyExistsException",
        "Event bus orders already exists.",
    )
    assert await refusal(customer, "CreateEventBus", Name="default") == (
        "ResourceAlreadyExistsException",
        "Event bus default already exists.",
    )
    for operation in ("DescribeEventBus", "DeleteEventBus", "UpdateEventBus"):
        assert await refusal(customer, operation, Name="none") == (
            "ResourceNotFoundException",
            "Event bus none does not exist.",
        )
    assert await refusal(customer, "DeleteEventBus", Name="default") == (
        "ValidationException",
        "Cannot delete event bus default.",
    )
    for name in ("aws.mine", SOURCE):
        assert await refusal(customer, "CreateEventBus", Name=name) == (
            "ValidationException",
            "EventBus name starting with 'aws.' is not valid.",
        )


async def test_names_that_do_not_match_or_hold_a_slash(world: World, customer: Caller) -> None:
    await world.partner("CreatePartnerEventSource", Name=SOURCE, Account=CUSTOMER)
    code, _ = await refusal(customer, "CreateEventBus", Name="orders", EventSourceName=SOURCE)
    assert code == "ValidationException"
    code, _ = await refusal(customer, "CreateEventBus", Name="or/ders")
    assert code == "ValidationException"


async def test_an_unknown_source(customer: Caller) -> None:
    assert await refusal(customer, "CreateEventBus", Name=SOURCE, EventSourceName=SOURCE) == (
        "ResourceNotFoundException",
        f"Event source {SOURCE} does not exist.",
    )


@pytest.mark.parametrize("queue", [f"{QUEUE}.fifo", "arn:aws:sns:eu-central-1:111111111111:topic", "queue"])
async def test_dead_letters_go_to_a_standard_queue(customer: Caller, queue: str) -> None:
    code, _ = await refusal(customer, "CreateEventBus", Name="orders", DeadLetterConfig={"Arn": queue})
    assert code == "ValidationException"
    code, _ = await refusal(customer, "UpdateEventBus", DeadLetterConfig={"Arn": queue})
    assert code == "ValidationException"


async def test_update_changes_what_is_given(world: World, customer: Caller) -> None:
    await customer("CreateEventBus", Name="orders", Description="old", DeadLetterConfig={"Arn": QUEUE})
    await world.advance(seconds=5)
    answer = await customer("UpdateEventBus", Name="orders", LogConfig={"Level": "INFO"})
    assert answer == {
        "Arn": f"{ARN}orders",
        "Name": "orders",
        "Description": "old",
        "DeadLetterConfig": {"Arn": QUEUE},
        "LogConfig": {"Level": "INFO"},
    }
    found = await customer("DescribeEventBus", Name="orders")
    assert found["LastModifiedTime"] - found["CreationTime"] == 5


async def test_update_can_take_back_what_was_given(customer: Caller) -> None:
    log_config = {"IncludeDetail": "FULL", "Level": "TRACE"}
    given = {"Description": "old", "KmsKeyIdentifier": "alias/mine", "LogConfig": log_config}
    await customer("CreateEventBus", Name="orders", DeadLetterConfig={"Arn": QUEUE}, **given)
    await customer("UpdateEventBus", Name="orders", KmsKeyIdentifier="", DeadLetterConfig={})
    found = await customer("DescribeEventBus", Name="orders")
    assert "KmsKeyIdentifier" not in found
    assert "DeadLetterConfig" not in found
    await customer("UpdateEventBus", Name="orders", LogConfig={"Level": "ERROR"})
    found = await customer("DescribeEventBus", Name="orders")
    assert (found["LogConfig"], found["Description"]) == ({"Level": "ERROR"}, "old")


async def test_a_partner_bus_can_be_updated(world: World, customer: Caller) -> None:
    await world.partner("CreatePartnerEventSource", Name=SOURCE, Account=CUSTOMER)
    await customer("CreateEventBus", Name=SOURCE, EventSourceName=SOURCE)
    answer = await customer("UpdateEventBus", Name=SOURCE, LogConfig={"Level": "INFO"})
    assert (answer["Name"], answer["LogConfig"]) == (SOURCE, {"Level": "INFO"})


async def test_updating_the_default_bus_keeps_its_log(world: World, customer: Caller) -> None:
    before = world.services.catalog.bus(CUSTOMER, REGION, "default")
    await customer("UpdateEventBus", Description="mine")
    await customer("UpdateEventBus", Description="mine too")
    after = world.services.catalog.bus(CUSTOMER, REGION, "default")
    assert before is not None
    assert after is not None
    assert (after.log, after.created_at, after.description) == (before.log, before.created_at, "mine too")
    buses = (await customer("ListEventBuses"))["EventBuses"]
    assert [bus.get("Description") for bus in buses] == ["mine too"]


async def test_a_bus_with_rules_stays(customer: Caller) -> None:
    await customer("CreateEventBus", Name="orders")
    await customer("PutRule", Name="all", EventBusName="orders", EventPattern='{"source": ["a"]}')
    code, _ = await refusal(customer, "DeleteEventBus", Name="orders")
    assert code == "ValidationException"
    await customer("DeleteRule", Name="all", EventBusName="orders")
    await customer("DeleteEventBus", Name="orders")
    code, _ = await refusal(customer, "DescribeEventBus", Name="orders")
    assert code == "ResourceNotFoundException"


async def test_a_bus_made_anew_has_a_new_log_and_no_old_tags(world: World, customer: Caller) -> None:
    logs = set()
    for tags in ([{"Key": "team", "Value": "red"}], []):
        await customer("CreateEventBus", Name="orders", Tags=tags)
        bus = world.services.catalog.bus(CUSTOMER, REGION, "orders")
        assert bus is not None
        assert bus.tags == {tag["Key"]: tag["Value"] for tag in tags}
        logs.add(bus.log)
        await customer("DeleteEventBus", Name="orders")
    assert len(logs) == 2


@pytest.mark.parametrize(
    "tags",
    [
        [{"Key": "aws:mine", "Value": ""}],
        [{"Key": "a", "Value": ""}, {"Key": "a", "Value": ""}],
        [{"Key": str(n), "Value": ""} for n in range(51)],
    ],
)
async def test_tags_that_are_refused(customer: Caller, tags: list) -> None:
    code, _ = await refusal(customer, "CreateEventBus", Name="orders", Tags=tags)
    assert code == "ValidationException"


async def test_accounts_and_regions_are_apart(world: World, customer: Caller, other: Caller) -> None:
    await customer("CreateEventBus", Name="orders")
    abroad = world.caller(CUSTOMER, "us-east-1")
    for caller in (other, abroad):
        assert await refusal(caller, "DescribeEventBus", Name="orders") == (
            "ResourceNotFoundException",
            "Event bus orders does not exist.",
        )
        assert len((await caller("ListEventBuses"))["EventBuses"]) == 1
    code, message = await refusal(other, "DescribeEventBus", Name=f"{ARN}orders")
    assert code == "AccessDeniedException"
    assert "events:DescribeEventBus" in message
    assert OTHER in message
    code, _ = await refusal(abroad, "DescribeEventBus", Name=f"{ARN}orders")
    assert code == "ResourceNotFoundException"


async def test_a_partner_bus_is_listed_with_the_others(world: World, customer: Caller) -> None:
    await world.partner("CreatePartnerEventSource", Name=SOURCE, Account=CUSTOMER)
    await customer("CreateEventBus", Name=SOURCE, EventSourceName=SOURCE)
    await customer("CreateEventBus", Name="zebra")
    buses = (await customer("ListEventBuses"))["EventBuses"]
    assert [bus["Name"] for bus in buses] == [SOURCE, "default", "zebra"]
    assert buses[0]["Arn"] == f"{ARN}{SOURCE}"
    found = (await customer("ListEventBuses", NamePrefix="aws.partner/"))["EventBuses"]
    assert [bus["Name"] for bus in found] == [SOURCE]


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_the_default_bus_has_its_place_in_every_paging(customer: Caller, limit: int) -> None:
    names = ["alpha", "beta", "omega"]
    for name in names:
        await customer("CreateEventBus", Name=name)
    found = await customer.every("ListEventBuses", "EventBuses", Limit=limit)
    assert [bus["Name"] for bus in found] == ["alpha", "beta", "default", "omega"]


async def test_the_quota(tmp_path: object) -> None:
    world = await World.open(tmp_path, quotas=Quotas(event_buses=1))  # type: ignore[arg-type]
    try:
        await world.customer("UpdateEventBus", Description="the default one does not count")
        await world.customer("CreateEventBus", Name="one")
        assert await refusal(world.customer, "CreateEventBus", Name="two") == (
            "LimitExceededException",
            "The requested resource exceeds the maximum number allowed.",
        )
        await world.other("CreateEventBus", Name="two")
    finally:
        await world.close()
