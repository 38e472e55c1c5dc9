"""Archives over the face: what is stored and shown, refusals, pages, the managed rule."""

import pytest

from partnerbus.model.resources import Archive, archive_key
from tests.api.world import CUSTOMER, OTHER, PATTERN, REGION, Caller, World, refusal

pytestmark = pytest.mark.slow

BUS = f"arn:aws:events:{REGION}:{CUSTOMER}:event-bus/orders"
DEFAULT = f"arn:aws:events:{REGION}:{CUSTOMER}:event-bus/default"
KEY = "arn:aws:kms:eu-central-1:111111111111:key/1"


@pytest.fixture(autouse=True)
async def bus(customer: Caller) -> None:
    await customer("CreateEventBus", Name="orders")


async def make(customer: Caller, name: str = "all", **members: object) -> dict:
    return await customer("CreateArchive", ArchiveName=name, EventSourceArn=BUS, **members)


async def rules(customer: Caller) -> list[dict]:
    found: list[dict] = (await customer("ListRules", EventBusName="orders"))["Rules"]
    return found


# -- what is stored and shown --------------------------------------------------------------------------


async def test_what_was_given_is_shown(world: World, customer: Caller) -> None:
    now = world.clock.now().timestamp()
    arn = f"arn:aws:events:{REGION}:{CUSTOMER}:archive/all"
    given: dict = {"Description": "d", "EventPattern": PATTERN, "RetentionDays": 7, "KmsKeyIdentifier": KEY}
    assert await make(customer, **given) == {"ArchiveArn": arn, "CreationTime": now, "State": "ENABLED"}
    listed = {
        "ArchiveName": "all",
        "EventSourceArn": BUS,
        "State": "ENABLED",
        "RetentionDays": 7,
        "SizeBytes": 0,
        "EventCount": 0,
        "CreationTime": now,
    }
    assert (await customer("ListArchives"))["Archives"] == [listed]
    shown = await customer("DescribeArchive", ArchiveName="all")
    assert shown == {**listed, **given, "ArchiveArn": arn}


async def test_of_what_was_not_given_only_the_retention_is_shown(customer: Caller) -> None:
    await make(customer)
    shown = await customer("DescribeArchive", ArchiveName="all")
    assert shown["RetentionDays"] == 0
    assert not {"Description", "EventPattern", "KmsKeyIdentifier"} & shown.keys()


async def test_an_update_changes_what_is_given_and_nothing_else(customer: Caller) -> None:
    made = await make(customer, Description="d", RetentionDays=7, KmsKeyIdentifier=KEY)
    answer = await customer("UpdateArchive", ArchiveName="all", EventPattern=PATTERN)
    assert answer == made
    await customer("UpdateArchive", ArchiveName="all", RetentionDays=0)
    shown = await customer("DescribeArchive", ArchiveName="all")
    assert (shown["Description"], shown["EventPattern"], shown["RetentionDays"]) == ("d", PATTERN, 0)
    assert shown["KmsKeyIdentifier"] == KEY
    await customer("UpdateArchive", ArchiveName="all", KmsKeyIdentifier="")
    assert "KmsKeyIdentifier" not in await customer("DescribeArchive", ArchiveName="all")


async def test_a_deleted_archive_is_gone_and_its_name_is_free(world: World, customer: Caller) -> None:
    await make(customer)
    before = world.services.catalog.get(Archive, archive_key(CUSTOMER, REGION, "all"))
    assert await customer("DeleteArchive", ArchiveName="all") == {}
    assert (await customer("ListArchives"))["Archives"] == []
    await make(customer)
    after = world.services.catalog.get(Archive, archive_key(CUSTOMER, REGION, "all"))
    assert before is not None
    assert after is not None
    assert after.log != before.log


async def test_archives_of_other_accounts_and_regions_are_others(world: World, customer: Caller) -> None:
    await make(customer)
    for caller in (world.other, world.caller(CUSTOMER, "us-east-1")):
        assert (await caller("ListArchives"))["Archives"] == []
        code, _ = await refusal(caller, "DescribeArchive", ArchiveName="all")
        assert code == "ResourceNotFoundException"


# -- the managed rule ----------------------------------------------------------------------------------


async def test_the_owner_of_the_bus_sees_a_managed_rule(customer: Caller) -> None:
    await make(customer, EventPattern=PATTERN)
    (rule,) = await rules(customer)
    assert rule["Name"] == "Events-Archive-all"
    assert rule["ManagedBy"] == "prod.vhs.events.aws.internal"
    assert rule["EventPattern"] == '{"replay-name":[{"exists":false}],"source": ["shop"]}'
    assert (await customer("ListTargetsByRule", Rule=rule["Name"], EventBusName="orders"))["Targets"] == []
    await customer("UpdateArchive", ArchiveName="all", EventPattern='{"source":["b"]}')
    (rule,) = await rules(customer)
    assert rule["EventPattern"] == '{"replay-name":[{"exists":false}],"source":["b"]}'
    await customer("DeleteArchive", ArchiveName="all")
    assert await rules(customer) == []


async def test_without_a_pattern_the_rule_excludes_replays_only(customer: Caller) -> None:
    await make(customer)
    (rule,) = await rules(customer)
    assert rule["EventPattern"] == '{"replay-name":[{"exists":false}]}'


async def test_a_bus_with_an_archive_cannot_be_deleted(customer: Caller) -> None:
    await make(customer)
    code, sentence = await refusal(customer, "DeleteEventBus", Name="orders")
    assert (code, sentence) == (
        "ValidationException",
        "Event bus orders can't be deleted since it has rules.",
    )
    await customer("DeleteArchive", ArchiveName="all")
    await customer("DeleteEventBus", Name="orders")


async def test_a_rule_of_the_owner_with_that_name_stays(customer: Caller) -> None:
    await customer("PutRule", Name="Events-Archive-all", EventBusName="orders", EventPattern=PATTERN)
    await make(customer)
    await customer("DeleteArchive", ArchiveName="all")
    (rule,) = await rules(customer)
    assert rule["EventPattern"] == PATTERN


# -- refusals ------------------------------------------------------------------------------------------


async def test_a_name_that_is_taken(customer: Caller) -> None:
    await make(customer)
    assert await refusal(customer, "CreateArchive", ArchiveName="all", EventSourceArn=DEFAULT) == (
        "ResourceAlreadyExistsException",
        "Archive all already exists.",
    )


@pytest.mark.parametrize("operation", ["DescribeArchive", "DeleteArchive", "UpdateArchive"])
async def test_an_archive_that_does_not_exist(customer: Caller, operation: str) -> None:
    more = {"RetentionDays": 1} if operation == "UpdateArchive" else {}
    assert await refusal(customer, operation, ArchiveName="x", **more) == (
        "ResourceNotFoundException",
        "Archive x does not exist.",
    )


async def test_an_update_of_nothing_is_refused_before_the_archive_is_looked_for(customer: Caller) -> None:
    assert await refusal(customer, "UpdateArchive", ArchiveName="x") == (
        "ValidationException",
        "At least one of EventPattern, RetentionDays or Description must be provided.",
    )


async def test_a_bus_that_does_not_exist(customer: Caller) -> None:
    arn = f"arn:aws:events:{REGION}:{CUSTOMER}:event-bus/nope"
    refused = ("ResourceNotFoundException", "Event bus nope does not exist.")
    assert await refusal(customer, "CreateArchive", ArchiveName="a", EventSourceArn=arn) == refused
    assert await refusal(customer, "ListArchives", EventSourceArn=arn) == refused


async def test_the_bus_of_somebody_else(customer: Caller) -> None:
    arn = f"arn:aws:events:{REGION}:{OTHER}:event-bus/default"
    code, _ = await refusal(customer, "CreateArchive", ArchiveName="a", EventSourceArn=arn)
    assert code == "AccessDeniedException"


@pytest.mark.parametrize("pattern", ['{"source": [', "{}", '{"source": "shop"}', ""])
async def test_a_pattern_that_is_none(customer: Caller, pattern: str) -> None:
    await make(customer)
    for operation, more in (("CreateArchive", {"EventSourceArn": BUS}), ("UpdateArchive", {})):
        name = "b" if more else "all"
        code, _ = await refusal(customer, operation, ArchiveName=name, EventPattern=pattern, **more)
        assert code == "InvalidEventPatternException"
    assert len((await customer("ListArchives"))["Archives"]) == 1


async def test_one_archive_too_many(world: World) -> None:
    customer = world.with_quotas(archives=2).customer
    await make(customer, "a")
    await make(customer, "b")
    members = {"ArchiveName": "c", "EventSourceArn": BUS}
    assert await refusal(customer, "CreateArchive", **members) == (
        "LimitExceededException",
        "The requested resource exceeds the maximum number allowed.",
    )


async def test_the_managed_rule_counts_among_the_rules_of_the_bus(world: World) -> None:
    customer = world.with_quotas(rules_per_bus=1).customer
    await make(customer, "a")
    members = {"ArchiveName": "b", "EventSourceArn": BUS}
    code, _ = await refusal(customer, "CreateArchive", **members)
    assert code == "LimitExceededException"
    await customer("UpdateArchive", ArchiveName="a", EventPattern=PATTERN)


@pytest.mark.parametrize(
    ("member", "value"),
    [("ArchiveName", "a" * 49), ("ArchiveName", "a b"), ("RetentionDays", -1), ("EventSourceArn", "orders")],
)
async def test_what_the_model_forbids(customer: Caller, member: str, value: object) -> None:
    members = {"ArchiveName": "a", "EventSourceArn": BUS} | {member: value}
    code, sentence = await refusal(customer, "CreateArchive", **members)
    assert code == "ValidationException"
    assert "1 validation error detected" in sentence


# -- lists ---------------------------------------------------------------------------------------------


async def test_lists_are_filtered_by_one_thing(customer: Caller) -> None:
    for name in ("a1", "a2", "b"):
        await make(customer, name)
    await customer("CreateArchive", ArchiveName="c", EventSourceArn=DEFAULT)

    async def names(**filters: object) -> list[str]:
        return [one["ArchiveName"] for one in await customer.every("ListArchives", "Archives", **filters)]

    assert await names() == ["a1", "a2", "b", "c"]
    assert await names(Limit=1) == ["a1", "a2", "b", "c"]
    assert await names(NamePrefix="a") == ["a1", "a2"]
    assert await names(EventSourceArn=DEFAULT) == ["c"]
    assert await names(EventSourceArn=BUS, Limit=2) == ["a1", "a2", "b"]
    assert await names(State="ENABLED") == ["a1", "a2", "b", "c"]
    assert await names(State="DISABLED") == []


@pytest.mark.parametrize(
    "filters",
    [
        {"NamePrefix": "a", "State": "ENABLED"},
        {"NamePrefix": "a", "EventSourceArn": BUS},
        {"EventSourceArn": BUS, "State": "ENABLED"},
    ],
)
async def test_two_filters_are_refused(customer: Caller, filters: dict) -> None:
    assert await refusal(customer, "ListArchives", **filters) == (
        "ValidationException",
        "Only one of NamePrefix, EventSourceArn and State can be given.",
    )
