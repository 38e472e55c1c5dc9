"""Replays: what an archive has of a window of time, sent to the rules of its bus once more."""

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime

import msgspec

from partnerbus.api.errors import ApiError, already_exists, invalid, not_found
from partnerbus.api.operation import (
    Call,
    Input,
    Operation,
    Output,
    Services,
    epoch_seconds,
    from_epoch_seconds,
    operation,
)
from partnerbus.api.v1.archives import no_such_archive
from partnerbus.api.v1.buses import no_such_bus
from partnerbus.api.v1.paging import ListInput, page
from partnerbus.api.v1.shapes import Shape, retried, seconds
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.model.resources import (
    CANCELLABLE,
    REPLAY_LOGS,
    Archive,
    Replay,
    ReplayState,
    Rule,
    replay_key,
    rule_key,
)

ANOTHER_BUS = "Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted."
NO_WINDOW = "Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime."

NO_RULE = "Parameter Destination.FilterArns is not valid. Reason: Rule {} does not exist on EventBus {}."
ENDED = "Replay {} is not in a valid state for this operation."
ONE_FILTER = "Only one of NamePrefix, EventSourceArn and State can be given."
"""Texts assumed; documented or evident is that these are refused."""


class Destination(Shape, frozen=True, kw_only=True):
    arn: str
    filter_arns: tuple[str, ...] | None = None


class StartInput(Input, frozen=True, kw_only=True):
    replay_name: str
    event_source_arn: str
    event_start_time: float
    event_end_time: float
    destination: Destination
    description: str | None = None


class NameInput(Input, frozen=True, kw_only=True):
    replay_name: str


class StartOutput(Output, frozen=True, kw_only=True):
    replay_arn: str
    state: str
    replay_start_time: float


class CancelOutput(Output, frozen=True, kw_only=True):
    replay_arn: str
    state: str


class ReplayItem(Output, frozen=True, kw_only=True):
    replay_name: str
    event_source_arn: str
    state: str
    event_start_time: float
    event_end_time: float
    replay_start_time: float
    state_reason: str | None = None
    event_last_replayed_time: float | None = None
    replay_end_time: float | None = None


class DescribeOutput(ReplayItem, frozen=True, kw_only=True):
    replay_arn: str
    destination: Destination
    description: str | None = None


class ListReplaysInput(ListInput, frozen=True, kw_only=True):
    name_prefix: str | None = None
    state: str | None = None
    event_source_arn: str | None = None


class ListReplaysOutput(Output, frozen=True, kw_only=True):
    replays: list[ReplayItem]
    next_token: str | None = None


# -- handlers ------------------------------------------------------------------------------------------


async def start_replay(services: Services, call: Call, given: StartInput) -> Output:
    archive = _archive(services, call, given.event_source_arn)
    if given.destination.arn != archive.bus_arn:
        raise invalid(ANOTHER_BUS)
    if services.catalog.bus(archive.account, archive.region, archive.bus) is None:
        raise no_such_bus(archive.bus)
    window = _window(given)
    _check_rules(services, archive, given.destination)
    replay = await _new_replay(services, archive, given, window)
    if services.catalog.revision(replay.key):
        raise _taken(replay.name)
    with _room(services, replay):
        try:
            await services.catalog.create(replay)
        except RevisionConflict:
            raise _taken(replay.name) from None
    return StartOutput(
        replay_arn=replay.arn, state=replay.state, replay_start_time=epoch_seconds(replay.started_at)
    )


def _archive(services: Services, call: Call, arn: str) -> Archive:
    found = services.catalog.archive_by_arn(arn)
    if found is None or (found.account, found.region) != (call.account, call.region):
        sentence = no_such_archive(arn.rpartition("/")[2]).message
        raise not_found(f"Parameter EventSourceArn is not valid. Reason: {sentence}")
    return found


def _window(given: StartInput) -> tuple[datetime, datetime]:
    window = from_epoch_seconds(given.event_start_time), from_epoch_seconds(given.event_end_time)
    if window[0] >= window[1]:
        raise invalid(NO_WINDOW)
    return window


def _check_rules(services: Services, archive: Archive, destination: Destination) -> None:
    """Only rules of the bus can be meant (that others are refused is assumed)."""
    known = {
        rule.arn
        for rule in services.catalog.list(Rule, rule_key(archive.account, archive.region, archive.bus, ""))
    }
    for arn in destination.filter_arns or ():
        if arn not in known:
            raise invalid(NO_RULE.format(arn, archive.bus))


async def _new_replay(
    services: Services, archive: Archive, given: StartInput, window: tuple[datetime, datetime]
) -> Replay:
    drawn = secrets.token_hex(8)
    return Replay(
        account=archive.account,
        region=archive.region,
        name=given.replay_name,
        archive=archive.name,
        archive_log=archive.log,
        bus=archive.bus,
        log=f"{REPLAY_LOGS}{archive.account}:{archive.region}:{given.replay_name}:{drawn}",
        until=await services.store.seek(archive.log),
        window_start_at=window[0],
        window_end_at=window[1],
        started_at=services.clock.now(),
        rule_arns=given.destination.filter_arns or (),
        description=given.description,
    )


def _room(services: Services, replay: Replay) -> AbstractContextManager[None]:
    """A place among the replays of the account that have not ended."""
    owned = replay_key(replay.account, replay.region, "")
    active = sum(found.is_active for found in services.catalog.list(Replay, owned) if found.key != replay.key)
    left = services.quotas_of(replay.account).active_replays - active
    among = f"active:{owned}"
    return services.room.take(services.catalog, among + replay.name, among, left)


async def cancel_replay(services: Services, call: Call, given: NameInput) -> Output:
    replay = await retried(lambda: _cancel(services, call, given))
    return CancelOutput(replay_arn=replay.arn, state=replay.state)


async def _cancel(services: Services, call: Call, given: NameInput) -> Replay:
    before = _existing(services, call, given.replay_name)
    if before.state not in CANCELLABLE:
        raise ApiError("IllegalStatusException", ENDED.format(before.name))
    after = msgspec.structs.replace(before, state=ReplayState.CANCELLING)
    await services.catalog.replace(before, after)
    return after


async def describe_replay(services: Services, call: Call, given: NameInput) -> Output:
    replay = _existing(services, call, given.replay_name)
    return DescribeOutput(
        **msgspec.structs.asdict(_item(replay)),
        replay_arn=replay.arn,
        destination=Destination(arn=replay.bus_arn, filter_arns=replay.rule_arns or None),
        description=replay.description,
    )


async def list_replays(services: Services, call: Call, given: ListReplaysInput) -> Output:
    if sum(each is not None for each in (given.name_prefix, given.event_source_arn, given.state)) > 1:
        raise invalid(ONE_FILTER)

    def after(name: str | None) -> Iterator[Replay]:
        last = None if name is None else replay_key(call.account, call.region, name)
        prefix = replay_key(call.account, call.region, given.name_prefix or "")
        for found in services.catalog.list(Replay, prefix, after=last):
            if given.event_source_arn in (None, found.archive_arn) and given.state in (None, found.state):
                yield found

    found = page(services, call, given, after, lambda replay: replay.name)
    return ListReplaysOutput(replays=[_item(replay) for replay in found.items], next_token=found.next_token)


# -- what they share -----------------------------------------------------------------------------------


def _existing(services: Services, call: Call, name: str) -> Replay:
    found = services.catalog.get(Replay, replay_key(call.account, call.region, name))
    if found is None:
        raise not_found(f"Replay {name} does not exist.")
    return found


def _taken(name: str) -> ApiError:
    return already_exists(f"Replay {name} already exists.")


def _item(replay: Replay) -> ReplayItem:
    return ReplayItem(
        replay_name=replay.name,
        event_source_arn=replay.archive_arn,
        state=replay.state,
        state_reason=replay.reason,
        event_start_time=epoch_seconds(replay.window_start_at),
        event_end_time=epoch_seconds(replay.window_end_at),
        event_last_replayed_time=seconds(replay.replayed_until),
        replay_start_time=epoch_seconds(replay.started_at),
        replay_end_time=seconds(replay.ended_at),
    )


OPERATIONS: dict[str, Operation] = {
    "CancelReplay": operation(NameInput, cancel_replay),
    "DescribeReplay": operation(NameInput, describe_replay),
    "ListReplays": operation(ListReplaysInput, list_replays),
    "StartReplay": operation(StartInput, start_replay),
}
