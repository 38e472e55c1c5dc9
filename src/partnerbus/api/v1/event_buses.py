"""Event buses: custom ones, partner ones, and the default one that every account has in every region."""

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager
from heapq import merge

import msgspec

from partnerbus.api.errors import already_exists, invalid, invalid_state, not_found, refuse
from partnerbus.api.operation import Call, Input, Operation, Output, Services, epoch_seconds, operation
from partnerbus.api.v1.buses import find_bus, no_such_bus, replace_bus
from partnerbus.api.v1.paging import ListInput, page
from partnerbus.api.v1.partner_sources import check_region, sources_of
from partnerbus.api.v1.shapes import DeadLetterConfig, Shape, Tag, bus_dead_letter_arn, retried, tags_by_key
from partnerbus.engine.buses import remove_bus
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.model import resources
from partnerbus.model.arns import DEFAULT_BUS
from partnerbus.model.partner_source import Refusal
from partnerbus.model.resources import EventBus, Rule, bus_key, rule_key

NAMES_MUST_MATCH = "Parameter Name is not valid. Reason: It must be the same as EventSourceName."
"""Text assumed; documented is that they must match."""

NO_SLASH = "EventBus name containing '/' is not valid."
"""Text assumed; documented is that only partner buses may hold one."""

RULES_LEFT = "Event bus {} can't be deleted since it has rules."
"""Text assumed; documented is that it is refused."""


class LogConfig(Shape, frozen=True, kw_only=True):
    include_detail: str | None = None
    level: str | None = None


class CreateInput(Input, frozen=True, kw_only=True):
    name: str
    event_source_name: str | None = None
    description: str | None = None
    kms_key_identifier: str | None = None
    dead_letter_config: DeadLetterConfig | None = None
    log_config: LogConfig | None = None
    tags: tuple[Tag, ...] = ()


class CreateOutput(Output, frozen=True, kw_only=True):
    event_bus_arn: str
    description: str | None = None
    kms_key_identifier: str | None = None
    dead_letter_config: DeadLetterConfig | None = None
    log_config: LogConfig | None = None


class NameInput(Input, frozen=True, kw_only=True):
    name: str


class DescribeInput(Input, frozen=True, kw_only=True):
    name: str | None = None


class DescribeOutput(Output, frozen=True, kw_only=True):
    name: str
    arn: str
    creation_time: float
    last_modified_time: float
    description: str | None = None
    kms_key_identifier: str | None = None
    dead_letter_config: DeadLetterConfig | None = None
    log_config: LogConfig | None = None
    policy: str | None = None
    managed_by: str | None = None


class ListBusesInput(ListInput, frozen=True, kw_only=True):
    name_prefix: str | None = None


class BusItem(Shape, frozen=True, kw_only=True):
    name: str
    arn: str
    creation_time: float
    last_modified_time: float
    description: str | None = None
    policy: str | None = None
    managed_by: str | None = None


class ListBusesOutput(Output, frozen=True, kw_only=True):
    event_buses: list[BusItem]
    next_token: str | None = None


class UpdateInput(Input, frozen=True, kw_only=True):
    name: str | None = None
    description: str | None = None
    kms_key_identifier: str | None = None
    dead_letter_config: DeadLetterConfig | None = None
    log_config: LogConfig | None = None


class UpdateOutput(Output, frozen=True, kw_only=True):
    arn: str
    name: str
    description: str | None = None
    kms_key_identifier: str | None = None
    dead_letter_config: DeadLetterConfig | None = None
    log_config: LogConfig | None = None


async def create_event_bus(services: Services, call: Call, given: CreateInput) -> Output:
    _check_name(given)
    if given.event_source_name is not None:
        check_region(services, call)
    bus = _new_bus(services, call, given)
    with _room(services, bus):
        if given.event_source_name is not None:
            await _associate(services, bus)
        else:
            await _create(services, call, bus)
    return CreateOutput(
        event_bus_arn=bus.arn,
        description=bus.description,
        kms_key_identifier=bus.kms_key,
        dead_letter_config=_dead_letter_config(bus),
        log_config=_log_config(bus),
    )


def _room(services: Services, bus: EventBus) -> AbstractContextManager[None]:
    """A place among the buses of the account; a default bus is stored or not, and never counts."""
    default = services.catalog.revision(bus_key(bus.account, bus.region, DEFAULT_BUS)) > 0
    most = services.quotas_of(bus.account).event_buses + default
    return services.room.take(services.catalog, bus.key, bus_key(bus.account, bus.region, ""), most)


def _check_name(given: CreateInput) -> None:
    if given.event_source_name is not None:
        if given.name != given.event_source_name:
            raise invalid(NAMES_MUST_MATCH)
    elif given.name.startswith("aws."):
        raise invalid("EventBus name starting with 'aws.' is not valid.")
    elif "/" in given.name:
        raise invalid(NO_SLASH)


def _new_bus(services: Services, call: Call, given: CreateInput) -> EventBus:
    now = services.clock.now()
    return EventBus(
        account=call.account,
        region=call.region,
        name=given.name,
        log=f"{given.name}:{call.account}:{call.region}:{secrets.token_hex(8)}",
        created_at=now,
        modified_at=now,
        source=given.event_source_name,
        description=given.description,
        kms_key=given.kms_key_identifier,
        dead_letter_arn=bus_dead_letter_arn(given.dead_letter_config),
        log_config=_stored_log_config(given.log_config),
        tags=tags_by_key(given.tags),
    )


async def _create(services: Services, call: Call, bus: EventBus) -> None:
    if services.catalog.bus(call.account, call.region, bus.name) is not None:
        raise already_exists(f"Event bus {bus.name} already exists.")
    try:
        await services.catalog.create(bus)
    except RevisionConflict:
        raise already_exists(f"Event bus {bus.name} already exists.") from None


async def _associate(services: Services, bus: EventBus) -> None:
    match await sources_of(services).associate(bus):
        case Refusal.ALREADY_EXISTS:
            raise already_exists(f"Event bus {bus.name} already exists.")
        case Refusal.NOT_FOUND:
            raise not_found(f"Event source {bus.name} does not exist.")
        case Refusal.INVALID_STATE:
            raise invalid_state(f"Event source {bus.name} is not in a valid state for this operation.")


async def delete_event_bus(services: Services, call: Call, given: NameInput) -> None:
    if given.name == DEFAULT_BUS:
        raise invalid("Cannot delete event bus default.")
    bus = services.catalog.bus(call.account, call.region, given.name) or refuse(no_such_bus(given.name))
    rules = rule_key(bus.account, bus.region, bus.name, "")
    if any(services.catalog.list(Rule, rules)):
        raise invalid(RULES_LEFT.format(bus.name))
    await (sources_of(services).release(bus) if bus.source else remove_bus(services.catalog, bus))


async def describe_event_bus(services: Services, call: Call, given: DescribeInput) -> Output:
    bus = find_bus(services, call, given.name)
    return DescribeOutput(
        name=bus.name,
        arn=bus.arn,
        creation_time=epoch_seconds(bus.created_at),
        last_modified_time=epoch_seconds(bus.modified_at),
        description=bus.description,
        kms_key_identifier=bus.kms_key,
        dead_letter_config=_dead_letter_config(bus),
        log_config=_log_config(bus),
        policy=bus.policy,
        managed_by=bus.managed_by,
    )


async def list_event_buses(services: Services, call: Call, given: ListBusesInput) -> Output:
    prefix = given.name_prefix or ""

    def after(name: str | None) -> Iterator[EventBus]:
        last = None if name is None else bus_key(call.account, call.region, name)
        stored = services.catalog.list(EventBus, bus_key(call.account, call.region, prefix), after=last)
        shown = DEFAULT_BUS.startswith(prefix) and (name is None or name < DEFAULT_BUS)
        default = services.catalog.bus(call.account, call.region, DEFAULT_BUS) if shown else None
        others = (bus for bus in stored if bus.name != DEFAULT_BUS)
        return merge(others, [default] if default else [], key=lambda bus: bus.name)

    found = page(services, call, given, after, lambda bus: bus.name)
    return ListBusesOutput(event_buses=[_item(bus) for bus in found.items], next_token=found.next_token)


def _item(bus: EventBus) -> BusItem:
    return BusItem(
        name=bus.name,
        arn=bus.arn,
        creation_time=epoch_seconds(bus.created_at),
        last_modified_time=epoch_seconds(bus.modified_at),
        description=bus.description,
        policy=bus.policy,
        managed_by=bus.managed_by,
    )


async def update_event_bus(services: Services, call: Call, given: UpdateInput) -> Output:
    bus = await retried(lambda: _update(services, call, given))
    return UpdateOutput(
        arn=bus.arn,
        name=bus.name,
        description=bus.description,
        kms_key_identifier=bus.kms_key,
        dead_letter_config=_dead_letter_config(bus),
        log_config=_log_config(bus),
    )


async def _update(services: Services, call: Call, given: UpdateInput) -> EventBus:
    before = find_bus(services, call, given.name)
    changes: dict[str, object] = {"modified_at": services.clock.now()}
    if given.description is not None:
        changes["description"] = given.description
    if given.kms_key_identifier is not None:
        changes["kms_key"] = given.kms_key_identifier or None
    if given.dead_letter_config is not None:
        changes["dead_letter_arn"] = bus_dead_letter_arn(given.dead_letter_config)
    if given.log_config is not None:
        changes["log_config"] = _stored_log_config(given.log_config)
    after = msgspec.structs.replace(before, **changes)
    await replace_bus(services, before, after)
    return after


def _stored_log_config(config: LogConfig | None) -> resources.LogConfig | None:
    if config is None:
        return None
    return resources.LogConfig(level=config.level, include_detail=config.include_detail)


def _log_config(bus: EventBus) -> LogConfig | None:
    config = bus.log_config
    return None if config is None else LogConfig(include_detail=config.include_detail, level=config.level)


def _dead_letter_config(bus: EventBus) -> DeadLetterConfig | None:
    return None if bus.dead_letter_arn is None else DeadLetterConfig(arn=bus.dead_letter_arn)


OPERATIONS: dict[str, Operation] = {
    "CreateEventBus": operation(CreateInput, create_event_bus),
    "DeleteEventBus": operation(NameInput, delete_event_bus),
    "DescribeEventBus": operation(DescribeInput, describe_event_bus),
    "ListEventBuses": operation(ListBusesInput, list_event_buses),
    "UpdateEventBus": operation(UpdateInput, update_event_bus),
}
