"""What a partner's request as a whole, and each of its entries, meets."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from partnerbus.engine.backpressure import Backpressure, Bounds
from partnerbus.engine.publish import Publisher
from partnerbus.kernel.telemetry import make_log
from partnerbus.model.partner_source import Standing
from partnerbus.store.protocol import News, SharedStore, Store
from tests.api.lifecycle import bus_of, reach
from tests.api.world import CUSTOMER, OTHER, SOURCE, World, refusal

THEIRS = "aws.partner/acme.com/theirs"
GOOD = {"Source": SOURCE, "DetailType": "order", "Detail": "{}"}


@pytest.fixture(autouse=True)
async def active(world: World) -> None:
    await reach(world, Standing.ACTIVE)


async def stored(world: World) -> int:
    return len(await world.stored(bus_of(world)))


async def test_twenty_entries_and_not_one_more(world: World) -> None:
    answer = await world.partner("PutPartnerEvents", Entries=[GOOD] * 20)
    assert answer["FailedEntryCount"] == 0
    assert len({entry["EventId"] for entry in answer["Entries"]}) == 20
    code, _ = await refusal(world.partner, "PutPartnerEvents", Entries=[GOOD] * 21)
    assert code == "ValidationException"
    assert await stored(world) == 20


@pytest.mark.parametrize(
    "source", ["shop", "aws.partner/acme.com", "aws.partner/acme.com/", "aws.partner//a/b"]
)
async def test_a_source_that_is_no_source_name(world: World, source: str) -> None:
    code, _ = await refusal(world.partner, "PutPartnerEvents", Entries=[GOOD, {**GOOD, "Source": source}])
    assert code == "ValidationException"
    assert await stored(world) == 0


async def test_exactly_the_size_limit(world: World) -> None:
    head = len(SOURCE) + len("order")
    detail = json.dumps({"a": "x" * (1_048_576 - head - len('{"a": ""}'))})
    answer = await world.partner("PutPartnerEvents", Entries=[{**GOOD, "Detail": detail}])
    assert answer["FailedEntryCount"] == 0
    assert await refusal(world.partner, "PutPartnerEvents", Entries=[{**GOOD, "Detail": detail + " "}]) == (
        "ValidationException",
        "Total size of the entries in the request is over the limit.",
    )


@pytest.mark.parametrize("missing", ["Source", "DetailType", "Detail"])
async def test_an_incomplete_entry_fails_alone_even_as_the_only_one(world: World, missing: str) -> None:
    bad = {name: value for name, value in GOOD.items() if name != missing}
    expected = {
        "ErrorCode": "InvalidArgument",
        "ErrorMessage": f"Parameter {missing} is not valid. Reason: {missing} is a required argument.",
    }
    assert await world.partner("PutPartnerEvents", Entries=[bad]) == {
        "FailedEntryCount": 1,
        "Entries": [expected],
    }
    answer = await world.partner("PutPartnerEvents", Entries=[GOOD, bad, GOOD])
    assert answer["FailedEntryCount"] == 1
    assert [set(entry) for entry in answer["Entries"]] == [{"EventId"}, set(expected), {"EventId"}]
    assert await stored(world) == 2


async def test_entries_of_one_request_may_go_to_different_customers(world: World) -> None:
    theirs = "aws.partner/acme.com/theirs"
    await world.partner("CreatePartnerEventSource", Name=theirs, Account="222222222222")
    await world.other("CreateEventBus", Name=theirs, EventSourceName=theirs)
    await world.partner("PutPartnerEvents", Entries=[GOOD, {**GOOD, "Source": theirs}, GOOD])
    (record,) = await world.stored(world.services.catalog.bus("222222222222", "eu-central-1", theirs))
    assert (record.event.account, record.event.source) == ("222222222222", theirs)
    assert await stored(world) == 2


async def test_who_is_no_partner_may_not_put(world: World) -> None:
    code, _ = await refusal(world.customer, "PutPartnerEvents", Entries=[GOOD])
    assert code == "AccessDeniedException"
    assert await stored(world) == 0


@pytest.mark.parametrize("partner", ["acme.com.test", "other.org"])
async def test_only_the_partner_may_put(world: World, partner: str) -> None:
    stranger = world.caller("888888888888", partner=partner)
    answer = await stranger("PutPartnerEvents", Entries=[GOOD])
    assert answer["Entries"][0]["ErrorCode"] == "AccessDeniedException"
    assert await stored(world) == 0


async def test_nobody_puts_to_a_partner_bus_by_name(world: World) -> None:
    entry = {"Source": "shop", "DetailType": "order", "Detail": "{}", "EventBusName": SOURCE}
    code, _ = await refusal(world.customer, "PutEvents", Entries=[entry])
    assert code == "ValidationException"
    arn = f"arn:aws:events:eu-central-1:{CUSTOMER}:event-bus/{SOURCE}"
    code, _ = await refusal(world.customer, "PutEvents", Entries=[{**entry, "EventBusName": arn}])
    assert code == "ValidationException"
    assert await stored(world) == 0


async def test_a_bus_that_is_behind_refuses_its_entries_and_no_others(world: World) -> None:
    theirs = "aws.partner/acme.com/theirs"
    await world.partner("CreatePartnerEventSource", Name=theirs, Account="222222222222")
    await world.other("CreateEventBus", Name=theirs, EventSourceName=theirs)
    pressure = Backpressure(world.services.store, make_log("error"), Bounds(unrouted_events=1))
    world = world.with_publisher(Publisher(world.services.store, backpressure=pressure))
    await world.partner("PutPartnerEvents", Entries=[GOOD, GOOD])
    await pressure.finish()
    assert await refusal(world.partner, "PutPartnerEvents", Entries=[GOOD, GOOD]) == (
        "ThrottlingException",
        "Rate exceeded",
    )
    answer = await world.partner("PutPartnerEvents", Entries=[GOOD, {**GOOD, "Source": theirs}])
    assert answer["FailedEntryCount"] == 1
    assert answer["Entries"][0]["ErrorCode"] == "ThrottlingException"
    assert "EventId" in answer["Entries"][1]
    assert await stored(world) == 2
    await pressure.finish()


class SharedOne:
    """The world's store as one of many nodes'; how often somebody caught up with the others."""

    node = "one"

    def __init__(self, store: Store) -> None:
        self._store = store
        self.caught_up = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def listen(self, news: News) -> None:
        raise NotImplementedError

    async def release(self, node: str, key: str, revision: int) -> Sequence[str]:
        raise NotImplementedError

    async def catch_up(self) -> None:
        self.caught_up += 1


@pytest.mark.parametrize(
    ("entries", "times"),
    [
        ([GOOD, {**GOOD, "Source": THEIRS}], 0),
        ([{**GOOD, "Detail": "{"}, {**GOOD, "DetailType": ""}], 0),
        ([GOOD, {**GOOD, "Source": "aws.partner/acme.com/unknown"}], 1),
    ],
    ids=["behind", "wrong", "unknown"],
)
async def test_who_is_refused_waits_for_other_nodes_only_if_they_may_know_better(
    world: World, entries: list[dict[str, str]], times: int
) -> None:
    await world.partner("CreatePartnerEventSource", Name=THEIRS, Account=OTHER)
    await world.other("CreateEventBus", Name=THEIRS, EventSourceName=THEIRS)
    pressure = Backpressure(world.services.store, make_log("error"), Bounds(unrouted_events=1))
    store = SharedOne(world.services.store)
    assert isinstance(store, SharedStore)
    world = world.with_store(store).with_publisher(Publisher(store, backpressure=pressure))
    await world.partner("PutPartnerEvents", Entries=[{**GOOD, "Source": THEIRS}] * 2)
    await pressure.finish()
    assert store.caught_up == 0
    answer = await world.partner("PutPartnerEvents", Entries=entries)
    assert answer["FailedEntryCount"] > 0
    assert store.caught_up == times


async def test_what_is_dropped_may_be_wanted_by_now(world: World) -> None:
    store = SharedOne(world.services.store)
    entry = {"Source": "shop", "DetailType": "order", "Detail": "{}", "EventBusName": "unknown"}
    await world.with_store(store).customer("PutEvents", Entries=[entry])
    assert store.caught_up == 1
    await world.with_store(store).customer("PutEvents", Entries=[{**entry, "Source": "aws.shop"}])
    assert store.caught_up == 1
