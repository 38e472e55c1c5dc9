"""Replays over the face: what is stored and shown, refusals, pages. Nobody moves them here."""

import asyncio
from collections import Counter
from datetime import timedelta

import msgspec
import pytest

from partnerbus.model.resources import Replay, ReplayState, replay_key
from tests.api.world import CUSTOMER, OTHER, PATTERN, REGION, Caller, Refused, World, refusal

pytestmark = pytest.mark.slow

ARN = f"arn:aws:events:{REGION}:{CUSTOMER}"
BUS = f"{ARN}:event-bus/orders"
ARCHIVE = f"{ARN}:archive/all"
RULE = f"{ARN}:rule/orders/r"


@pytest.fixture(autouse=True)
async def archive(customer: Caller) -> None:
    await customer("CreateEventBus", Name="orders")
    await customer("CreateArchive", ArchiveName="all", EventSourceArn=BUS)
    await customer("PutRule", Name="r", EventBusName="orders", EventPattern=PATTERN)


def members(name: str = "again", **changed: object) -> dict:
    given: dict = {
        "ReplayName": name,
        "EventSourceArn": ARCHIVE,
        "EventStartTime": 1_700_000_000,
        "EventEndTime": 1_700_000_060.5,
        "Destination": {"Arn": BUS},
    }
    return given | changed


async def set_state(world: World, name: str, state: ReplayState, **changes: object) -> None:
    """What the engine does."""
    found = world.services.catalog.get(Replay, replay_key(CUSTOMER, REGION, name))
    assert found is not None
    changed = msgspec.structs.replace(found, state=state, **changes)
    await world.services.catalog.replace(found, changed)


# -- what is stored and shown --------------------------------------------------------------------------


async def test_what_was_given_is_shown(world: World, customer: Caller) -> None:
    at = world.clock.now().timestamp()
    arn = f"{ARN}:replay/again"
    destination = {"Arn": BUS, "FilterArns": [RULE]}
    given = members(Description="d", Destination=destination)
    started = await customer("StartReplay", **given)
    assert started == {"ReplayArn": arn, "State": "STARTING", "ReplayStartTime": at}
    (listed,) = (await customer("ListReplays"))["Replays"]
    shown = await customer("DescribeReplay", ReplayName="again")
    assert shown == {**given, **started}
    assert listed == {
        name: value
        for name, value in shown.items()
        if name not in ("ReplayArn", "Description", "Destination")
    }


async def test_progress_and_end_are_shown(world: World, customer: Caller) -> None:
    await customer("StartReplay", **members())
    at = world.clock.now()
    ended = {"reason": "Because.", "replayed_until": at, "ended_at": at + timedelta(seconds=1.5)}
    await set_state(world, "again", ReplayState.FAILED, **ended)
    shown = await customer("DescribeReplay", ReplayName="again")
    assert (shown["State"], shown["StateReason"]) == ("FAILED", "Because.")
    assert shown["EventLastReplayedTime"] == at.timestamp()
    assert shown["ReplayEndTime"] == at.timestamp() + 1.5
    assert "Description" not in shown
    assert shown["Destination"] == {"Arn": BUS}


async def test_cancelling(world: World, customer: Caller) -> None:
    for name, state in (("a", ReplayState.STARTING), ("b", ReplayState.RUNNING)):
        await customer("StartReplay", **members(name))
        await set_state(world, name, state)
        answer = await customer("CancelReplay", ReplayName=name)
        assert answer == {"ReplayArn": f"{ARN}:replay/{name}", "State": "CANCELLING"}
        assert (await customer("DescribeReplay", ReplayName=name))["State"] == "CANCELLING"


# -- refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [ReplayState.CANCELLING, ReplayState.CANCELLED, ReplayState.COMPLETED, ReplayState.FAILED],
)
async def test_what_ends_or_has_ended_cannot_be_cancelled(
    world: World, customer: Caller, state: ReplayState
) -> None:
    await customer("StartReplay", **members())
    await set_state(world, "again", state)
    code, _ = await refusal(customer, "CancelReplay", ReplayName="again")
    assert code == "IllegalStatusException"


@pytest.mark.parametrize("operation", ["CancelReplay", "DescribeReplay"])
async def test_a_replay_that_does_not_exist(customer: Caller, operation: str) -> None:
    assert await refusal(customer, operation, ReplayName="x") == (
        "ResourceNotFoundException",
        "Replay x does not exist.",
    )


async def test_a_name_that_is_taken(world: World, customer: Caller) -> None:
    await customer("StartReplay", **members())
    await set_state(world, "again", ReplayState.COMPLETED)
    assert await refusal(customer, "StartReplay", **members()) == (
        "ResourceAlreadyExistsException",
        "Replay again already exists.",
    )


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        (f"{ARN}:archive/nope", "nope"),
        (f"arn:aws:events:{REGION}:{OTHER}:archive/all", "all"),
        (f"arn:aws:events:us-east-1:{CUSTOMER}:archive/all", "all"),
        (BUS, "orders"),
    ],
)
async def test_an_archive_that_does_not_exist(customer: Caller, arn: str, name: str) -> None:
    assert await refusal(customer, "StartReplay", **members(EventSourceArn=arn)) == (
        "ResourceNotFoundException",
        f"Parameter EventSourceArn is not valid. Reason: Archive {name} does not exist.",
    )


async def test_the_archive_of_somebody_else(other: Caller) -> None:
    code, _ = await refusal(other, "StartReplay", **members())
    assert code == "ResourceNotFoundException"


@pytest.mark.parametrize("arn", [f"{ARN}:event-bus/default", f"{ARN}:event-bus/nope", "orders"])
async def test_another_bus(customer: Caller, arn: str) -> None:
    assert await refusal(customer, "StartReplay", **members(Destination={"Arn": arn})) == (
        "ValidationException",
        "Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted.",
    )


@pytest.mark.parametrize(("start", "end"), [(60, 60), (61, 60), (60.5, 60.25)])
async def test_a_window_that_is_none(customer: Caller, start: float, end: float) -> None:
    given = members(EventStartTime=start, EventEndTime=end)
    assert await refusal(customer, "StartReplay", **given) == (
        "ValidationException",
        "Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime.",
    )


@pytest.mark.parametrize("name", ["EventStartTime", "EventEndTime"])
@pytest.mark.parametrize("time", [-1e300, 1e300, 253_402_300_800])
async def test_times_that_no_event_can_have(customer: Caller, name: str, time: float) -> None:
    given = members()
    given[name] = time
    code, _ = await refusal(customer, "StartReplay", **given)
    assert code == "SerializationException"


async def test_the_longest_window(customer: Caller) -> None:
    await customer("StartReplay", **members(EventStartTime=-62_135_596_800, EventEndTime=253_402_300_799))


async def test_rules_that_are_not_those_of_the_bus(customer: Caller) -> None:
    await customer("PutRule", Name="r", EventPattern=PATTERN)
    for arn in (f"{ARN}:rule/r", f"{ARN}:rule/orders/none", "x"):
        given = members(Destination={"Arn": BUS, "FilterArns": [RULE, arn]})
        code, sentence = await refusal(customer, "StartReplay", **given)
        assert code == "ValidationException"
        assert f"Rule {arn} does not exist on EventBus orders." in sentence
    assert (await customer("ListReplays"))["Replays"] == []


async def test_one_active_replay_too_many(world: World, customer: Caller) -> None:
    for number in range(10):
        await customer("StartReplay", **members(f"r{number}"))
    assert await refusal(customer, "StartReplay", **members("r10")) == (
        "LimitExceededException",
        "The requested resource exceeds the maximum number allowed.",
    )
    await customer("CancelReplay", ReplayName="r0")
    assert (await refusal(customer, "StartReplay", **members("r10")))[0] == "LimitExceededException"
    await set_state(world, "r0", ReplayState.CANCELLED)
    await customer("StartReplay", **members("r10"))


async def test_callers_at_once_do_not_pass_the_quota_together(world: World) -> None:
    customer = world.with_quotas(active_replays=2).customer

    async def start(number: int) -> str:
        try:
            await customer("StartReplay", **members(f"r{number}"))
        except Refused as error:
            return error.code
        return "started"

    ends = await asyncio.gather(*map(start, range(12)))
    assert Counter(ends) == {"started": 2, "LimitExceededException": 10}


# -- lists ---------------------------------------------------------------------------------------------


async def test_lists_are_filtered_by_one_thing(world: World, customer: Caller) -> None:
    await customer("CreateArchive", ArchiveName="b", EventSourceArn=BUS)
    for name in ("a1", "a2", "b"):
        await customer("StartReplay", **members(name))
    await customer("StartReplay", **members("c", EventSourceArn=f"{ARN}:archive/b"))
    await set_state(world, "a2", ReplayState.COMPLETED)

    async def names(**filters: object) -> list[str]:
        return [one["ReplayName"] for one in await customer.every("ListReplays", "Replays", **filters)]

    assert await names(Limit=1) == ["a1", "a2", "b", "c"]
    assert await names(NamePrefix="a") == ["a1", "a2"]
    assert await names(EventSourceArn=ARCHIVE, Limit=2) == ["a1", "a2", "b"]
    assert await names(State="STARTING") == ["a1", "b", "c"]
    assert await names(State="COMPLETED") == ["a2"]


@pytest.mark.parametrize(
    "filters",
    [
        {"NamePrefix": "a", "State": "RUNNING"},
        {"NamePrefix": "a", "EventSourceArn": ARCHIVE},
        {"EventSourceArn": ARCHIVE, "State": "RUNNING"},
    ],
)
async def test_two_filters_are_refused(customer: Caller, filters: dict) -> None:
    assert await refusal(customer, "ListReplays", **filters) == (
        "ValidationException",
        "Only one of NamePrefix, EventSourceArn and State can be given.",
    )
