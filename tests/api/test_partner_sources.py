"""The life of a partner source, through the operations of both sides."""

import pytest

from partnerbus.engine.sources import expiry_sweep
from partnerbus.model.partner_source import Standing, Trigger
from tests.api.lifecycle import SEEN, bus_of, customer_sees, pull, reach, seen, source_of, sources
from tests.api.world import CUSTOMER, OTHER, PARTNER, REGION, SOURCE, Caller, Refused, World

BUS_PATTERN = '{"source": ["aws.partner/acme.com/orders"]}'
ENTRY = {"Source": SOURCE, "DetailType": "order", "Detail": '{"id": 1}'}
DAY = 86_400

A, P, PB, ON, D = Standing
EXISTS, GONE, WRONG = "ResourceAlreadyExistsException", "ResourceNotFoundException", "InvalidStateException"

EXPECTED = [
    # Rows 1 to 14 of the service's life of a source.
    (Trigger.OFFER, A, P),
    (Trigger.ASSOCIATE, P, ON),
    (Trigger.RELEASE, ON, P),
    (Trigger.DEACTIVATE, ON, PB),
    (Trigger.ACTIVATE, PB, ON),
    (Trigger.WITHDRAW, P, A),
    (Trigger.WITHDRAW, ON, D),
    (Trigger.WITHDRAW, PB, D),
    (Trigger.OFFER, D, PB),
    (Trigger.RELEASE, D, A),
    (Trigger.RELEASE, PB, P),
    (Trigger.EXPIRE, P, A),
    (Trigger.EXPIRE, PB, D),
    # Calls in the wrong state.
    (Trigger.OFFER, P, EXISTS),
    (Trigger.OFFER, PB, EXISTS),
    (Trigger.OFFER, ON, EXISTS),
    (Trigger.WITHDRAW, A, A),
    (Trigger.WITHDRAW, D, D),
    (Trigger.ASSOCIATE, A, GONE),
    (Trigger.ASSOCIATE, PB, EXISTS),
    (Trigger.ASSOCIATE, ON, EXISTS),
    (Trigger.ASSOCIATE, D, WRONG),
    (Trigger.RELEASE, A, GONE),
    (Trigger.RELEASE, P, GONE),
    (Trigger.ACTIVATE, A, GONE),
    (Trigger.ACTIVATE, P, GONE),
    (Trigger.ACTIVATE, ON, WRONG),
    (Trigger.ACTIVATE, D, WRONG),
    (Trigger.DEACTIVATE, A, GONE),
    (Trigger.DEACTIVATE, P, GONE),
    (Trigger.DEACTIVATE, PB, WRONG),
    (Trigger.DEACTIVATE, D, WRONG),
    (Trigger.EXPIRE, A, A),
    (Trigger.EXPIRE, ON, ON),
    (Trigger.EXPIRE, D, D),
]


async def put(world: World) -> dict:
    answer = await world.partner("PutPartnerEvents", Entries=[ENTRY])
    entry: dict = answer["Entries"][0]
    return entry


def test_every_row_is_listed_once() -> None:
    assert len({(trigger, before) for trigger, before, _ in EXPECTED}) == len(Trigger) * len(Standing)


@pytest.mark.parametrize(("trigger", "before", "after"), EXPECTED)
async def test_transition(world: World, trigger: Trigger, before: Standing, after: Standing | str) -> None:
    await reach(world, before)
    assert await seen(world) == SEEN[before]
    if isinstance(after, Standing):
        await pull(world, trigger)
    else:
        with pytest.raises(Refused) as caught:
            await pull(world, trigger)
        assert caught.value.code == after
        after = before
    assert await seen(world) == SEEN[after]
    assert (bus_of(world) is not None) == (after in (PB, ON, D))


@pytest.mark.parametrize("before", [P, PB])
async def test_the_sweep_changes_nothing_that_can_be_seen(world: World, before: Standing) -> None:
    await reach(world, before)
    await world.advance(days=14)
    expected = await seen(world)
    await expiry_sweep(sources(world)).run()
    assert await seen(world) == expected
    assert (source_of(world) is None) == (before is P)


async def test_the_sweep_leaves_what_is_not_due(world: World) -> None:
    await reach(world, P)
    await world.advance(days=13, hours=23, minutes=59)
    before = source_of(world)
    await expiry_sweep(sources(world)).run()
    assert source_of(world) == before


# -- what entries meet -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("standing", "stored"), [(P, 0), (PB, 0), (ON, 1)])
async def test_an_entry_is_accepted(world: World, standing: Standing, stored: int) -> None:
    await reach(world, standing)
    assert set(await put(world)) == {"EventId"}
    bus = bus_of(world)
    assert len(await world.stored(bus) if bus else []) == stored


@pytest.mark.parametrize("standing", [A, D])
async def test_an_entry_is_rejected(world: World, standing: Standing) -> None:
    await reach(world, standing)
    assert set(await put(world)) == {"ErrorCode", "ErrorMessage"}


async def test_what_was_dropped_while_pending_does_not_come_later(world: World) -> None:
    await reach(world, P)
    await put(world)
    await pull(world, Trigger.ASSOCIATE)
    assert await world.stored(bus_of(world)) == []


async def test_a_source_expires_for_entries_before_any_sweep(world: World) -> None:
    await reach(world, P)
    await world.advance(days=14)
    assert "ErrorCode" in await put(world)


async def test_the_event_says_source_and_customer(world: World) -> None:
    await reach(world, ON)
    await put(world)
    (record,) = await world.stored(bus_of(world))
    assert (record.event.source, record.event.account) == (SOURCE, CUSTOMER)


# -- what the answers hold ---------------------------------------------------------------------------------


async def test_create_answers_an_arn_without_an_account(world: World) -> None:
    answer = await world.partner("CreatePartnerEventSource", Name=SOURCE, Account=CUSTOMER)
    assert answer == {"EventSourceArn": f"arn:aws:events:{REGION}::event-source/{SOURCE}"}


async def test_the_partner_describes_arn_and_name_only(world: World) -> None:
    await reach(world, P)
    answer = await world.partner("DescribePartnerEventSource", Name=SOURCE)
    assert answer == {"Arn": f"arn:aws:events:{REGION}::event-source/{SOURCE}", "Name": SOURCE}


async def test_the_customer_describes_who_made_it_and_when_it_ends(world: World) -> None:
    created = world.clock.now().timestamp()
    await reach(world, P)
    assert await world.customer("DescribeEventSource", Name=SOURCE) == {
        "Arn": f"arn:aws:events:{REGION}::event-source/{SOURCE}",
        "Name": SOURCE,
        "CreatedBy": PARTNER,
        "CreationTime": created,
        "ExpirationTime": created + 14 * DAY,
        "State": "PENDING",
    }


async def test_releasing_and_pausing_start_the_time_anew(world: World) -> None:
    await reach(world, ON)
    await world.advance(days=100)
    await pull(world, Trigger.DEACTIVATE)
    paused = await world.customer("DescribeEventSource", Name=SOURCE)
    assert paused["ExpirationTime"] == world.clock.now().timestamp() + 14 * DAY
    await pull(world, Trigger.ACTIVATE)
    await world.advance(days=100)
    await pull(world, Trigger.RELEASE)
    released = await world.customer("DescribeEventSource", Name=SOURCE)
    assert released["ExpirationTime"] == world.clock.now().timestamp() + 14 * DAY


async def test_offered_again_it_is_a_new_source_that_waits(world: World) -> None:
    await reach(world, D)
    await world.advance(days=3)
    await pull(world, Trigger.OFFER)
    found = await world.customer("DescribeEventSource", Name=SOURCE)
    assert found["CreationTime"] == world.clock.now().timestamp()
    assert found["State"] == "PENDING"


async def test_rules_outlive_a_source_that_is_deleted_and_offered_again(world: World) -> None:
    await reach(world, ON)
    await world.customer("PutRule", Name="all", EventBusName=SOURCE, EventPattern=BUS_PATTERN)
    for trigger in (Trigger.WITHDRAW, Trigger.OFFER, Trigger.ACTIVATE):
        await pull(world, trigger)
    rules = await world.customer("ListRules", EventBusName=SOURCE)
    assert [rule["Name"] for rule in rules["Rules"]] == ["all"]
    assert set(await put(world)) == {"EventId"}


async def test_a_bus_with_rules_is_not_released(world: World) -> None:
    await reach(world, ON)
    await world.customer("PutRule", Name="all", EventBusName=SOURCE, EventPattern=BUS_PATTERN)
    with pytest.raises(Refused) as caught:
        await pull(world, Trigger.RELEASE)
    assert caught.value.code == "ValidationException"
    assert await customer_sees(world) == "ACTIVE"


@pytest.mark.parametrize("operation", ["ActivateEventSource", "DeactivateEventSource"])
@pytest.mark.parametrize("standing", [A, P])
async def test_without_a_bus_the_recorded_sentence(world: World, operation: str, standing: Standing) -> None:
    await reach(world, standing)
    with pytest.raises(Refused) as caught:
        await world.customer(operation, Name=SOURCE)
    assert caught.value.message == f"Event source {SOURCE} or event bus {SOURCE} does not exist."


# -- isolation ---------------------------------------------------------------------------------------------


async def test_another_account_neither_sees_nor_takes_a_source(world: World, other: Caller) -> None:
    await reach(world, P)
    for operation in ("DescribeEventSource", "ActivateEventSource", "DeactivateEventSource"):
        with pytest.raises(Refused) as caught:
            await other(operation, Name=SOURCE)
        assert caught.value.code == GONE
    with pytest.raises(Refused) as caught:
        await other("CreateEventBus", Name=SOURCE, EventSourceName=SOURCE)
    assert caught.value.code == GONE
    assert (await other("ListEventSources"))["EventSources"] == []


async def test_regions_are_independent(world: World) -> None:
    await reach(world, ON)
    abroad = world.caller("999999999999", "us-east-1", partner=PARTNER)
    answer = await abroad("CreatePartnerEventSource", Name=SOURCE, Account=OTHER)
    assert answer["EventSourceArn"] == f"arn:aws:events:us-east-1::event-source/{SOURCE}"
    found = await world.caller(OTHER, "us-east-1")("DescribeEventSource", Name=SOURCE)
    assert found["State"] == "PENDING"
    assert await customer_sees(world) == "ACTIVE"


async def test_a_source_belongs_to_one_customer(world: World) -> None:
    await reach(world, P)
    with pytest.raises(Refused) as caught:
        await world.partner("CreatePartnerEventSource", Name=SOURCE, Account=OTHER)
    assert caught.value.code == EXISTS


async def test_a_deleted_source_is_not_offered_to_somebody_else_while_its_bus_stands(world: World) -> None:
    await reach(world, D)
    with pytest.raises(Refused) as caught:
        await world.partner("CreatePartnerEventSource", Name=SOURCE, Account=OTHER)
    assert caught.value.code == EXISTS
    await pull(world, Trigger.RELEASE)
    await world.partner("CreatePartnerEventSource", Name=SOURCE, Account=OTHER)
    found = await world.other("DescribeEventSource", Name=SOURCE)
    assert found["State"] == "PENDING"


async def test_an_expired_offer_makes_room_for_another_customer_before_any_sweep(world: World) -> None:
    await reach(world, P)
    await world.advance(days=14)
    await world.partner("CreatePartnerEventSource", Name=SOURCE, Account=OTHER)
    assert await customer_sees(world) is None


async def test_withdrawing_from_the_wrong_account_does_nothing(world: World) -> None:
    await reach(world, ON)
    await world.partner("DeletePartnerEventSource", Name=SOURCE, Account=OTHER)
    assert await seen(world) == SEEN[ON]


PARTNER_CALLS = [
    ("CreatePartnerEventSource", {"Name": SOURCE, "Account": CUSTOMER}),
    ("DeletePartnerEventSource", {"Name": SOURCE, "Account": CUSTOMER}),
    ("DescribePartnerEventSource", {"Name": SOURCE}),
    ("ListPartnerEventSourceAccounts", {"EventSourceName": SOURCE}),
    ("ListPartnerEventSources", {"NamePrefix": "aws.partner/acme.com/"}),
]


@pytest.mark.parametrize(("operation", "members"), PARTNER_CALLS)
@pytest.mark.parametrize("partner", [None, "acme.com.test", "acme.co", "other.org"])
async def test_only_the_partner_of_the_name_may(
    world: World, operation: str, members: dict, partner: str | None
) -> None:
    await reach(world, ON)
    stranger = world.caller("888888888888", partner=partner)
    with pytest.raises(Refused) as caught:
        await stranger(operation, **members)
    assert caught.value.code == "AccessDeniedException"
    assert await seen(world) == SEEN[ON]


@pytest.mark.parametrize(("operation", "members"), PARTNER_CALLS[2:])
async def test_without_authentication_anybody_may(world: World, operation: str, members: dict) -> None:
    await reach(world, ON)
    await world.caller("888888888888", any_partner=True)(operation, **members)


async def test_a_test_domain_is_a_partner_of_its_own(world: World) -> None:
    name = "aws.partner/acme.com.test/orders"
    tester = world.caller("777777777777", partner="acme.com.test")
    await tester("CreatePartnerEventSource", Name=name, Account=CUSTOMER)
    found = await world.customer("DescribeEventSource", Name=name)
    assert found["CreatedBy"] == "acme.com.test"


# -- lists -------------------------------------------------------------------------------------------------


async def test_the_partner_lists_its_own_by_prefix(world: World) -> None:
    for name in ("orders/b", "orders/a", "carts/a"):
        await world.partner("CreatePartnerEventSource", Name=f"aws.partner/acme.com/{name}", Account=CUSTOMER)
    found = await world.partner("ListPartnerEventSources", NamePrefix="aws.partner/acme.com/orders")
    assert [one["Name"] for one in found["PartnerEventSources"]] == [
        "aws.partner/acme.com/orders/a",
        "aws.partner/acme.com/orders/b",
    ]
    assert "NextToken" not in found


async def test_a_deleted_source_is_gone_from_the_partners_list_only(world: World) -> None:
    await reach(world, D)
    partners = await world.partner("ListPartnerEventSources", NamePrefix="aws.partner/acme.com/")
    customers = await world.customer("ListEventSources", NamePrefix="aws.partner")
    assert partners["PartnerEventSources"] == []
    assert [one["State"] for one in customers["EventSources"]] == ["DELETED"]
    assert "ExpirationTime" not in customers["EventSources"][0]
