"""Archives of event buses."""

import secrets
from collections.abc import Iterator

import msgspec

from partnerbus.api.errors import ApiError, already_exists, invalid, not_found
from partnerbus.api.operation import Call, Input, Operation, Output, Services, epoch_seconds, operation
from partnerbus.api.v1.buses import find_bus, no_such_bus
from partnerbus.api.v1.paging import ListInput, page
from partnerbus.api.v1.rules import check_length, parsed_pattern, room_for_rule
from partnerbus.api.v1.shapes import retried
from partnerbus.engine.archives import change_archive, create_archive, remove_archive
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.model.resources import ARCHIVE_LOGS, Archive, EventBus, archive_key

ENABLED = "ENABLED"
"""The only state an archive is in here: it is made, changed and filled at once."""

NOTHING_TO_CHANGE = "At least one of EventPattern, RetentionDays or Description must be provided."

ONE_FILTER = "Only one of NamePrefix, EventSourceArn and State can be given."
"""Text assumed; documented is that the filters exclude one another."""


class NameInput(Input, frozen=True, kw_only=True):
    archive_name: str


class UpdateInput(Input, frozen=True, kw_only=True):
    archive_name: str
    description: str | None = None
    event_pattern: str | None = None
    retention_days: int | None = None
    kms_key_identifier: str | None = None


class CreateInput(UpdateInput, frozen=True, kw_only=True):
    event_source_arn: str


class ChangeOutput(Output, frozen=True, kw_only=True):
    archive_arn: str
    state: str
    creation_time: float


class ArchiveItem(Output, frozen=True, kw_only=True):
    archive_name: str
    event_source_arn: str
    state: str
    retention_days: int
    size_bytes: int
    event_count: int
    creation_time: float


class DescribeOutput(ArchiveItem, frozen=True, kw_only=True):
    archive_arn: str
    description: str | None = None
    event_pattern: str | None = None
    kms_key_identifier: str | None = None


class ListArchivesInput(ListInput, frozen=True, kw_only=True):
    name_prefix: str | None = None
    event_source_arn: str | None = None
    state: str | None = None


class ListArchivesOutput(Output, frozen=True, kw_only=True):
    archives: list[ArchiveItem]
    next_token: str | None = None


# -- handlers ------------------------------------------------------------------------------------------


async def create_archive_of_bus(services: Services, call: Call, given: CreateInput) -> Output:
    bus = find_bus(services, call, given.event_source_arn)
    pattern = None if given.event_pattern is None else parsed_pattern(given.event_pattern)
    check_length(services, given.event_pattern, bus)
    archive = await _new_archive(services, bus, given)
    if services.catalog.revision(archive.key):
        raise _taken(given.archive_name)
    among = archive_key(call.account, call.region, "")
    most = services.quotas_of(call.account).archives
    with (
        services.room.take(services.catalog, archive.key, among, most),
        room_for_rule(services, bus, archive.rule_name, pattern),
    ):
        await _create(services, archive)
    return _changed(archive)


async def _create(services: Services, archive: Archive) -> None:
    try:
        if not await create_archive(services.catalog, archive):
            raise no_such_bus(archive.bus)
    except RevisionConflict:
        raise _taken(archive.name) from None


async def _new_archive(services: Services, bus: EventBus, given: CreateInput) -> Archive:
    drawn = secrets.token_hex(8)
    return Archive(
        account=bus.account,
        region=bus.region,
        name=given.archive_name,
        bus=bus.name,
        bus_log=bus.log,
        log=f"{ARCHIVE_LOGS}{bus.account}:{bus.region}:{given.archive_name}:{drawn}",
        since=await services.store.seek(bus.log),
        created_at=services.clock.now(),
        pattern=given.event_pattern,
        retention_days=given.retention_days or 0,
        description=given.description,
        kms_key=given.kms_key_identifier or None,
    )


async def update_archive(services: Services, call: Call, given: UpdateInput) -> Output:
    changes = _changes(given)
    if not changes:
        raise invalid(NOTHING_TO_CHANGE)
    return _changed(await retried(lambda: _update(services, call, given, changes)))


def _changes(given: UpdateInput) -> dict[str, object]:
    """What is given (an empty KMS key identifier takes the key away: assumed)."""
    wanted: dict[str, object] = {
        "description": given.description,
        "pattern": given.event_pattern,
        "retention_days": given.retention_days,
    }
    changes = {name: value for name, value in wanted.items() if value is not None}
    if given.kms_key_identifier is not None:
        changes["kms_key"] = given.kms_key_identifier or None
    return changes


async def _update(services: Services, call: Call, given: UpdateInput, changes: dict[str, object]) -> Archive:
    before = existing_archive(services, call, given.archive_name)
    after = msgspec.structs.replace(before, **changes)
    bus = services.catalog.bus(before.account, before.region, before.bus)
    if bus is None or given.event_pattern is None:
        await change_archive(services.catalog, before, after)
        return after
    pattern = parsed_pattern(given.event_pattern)
    check_length(services, given.event_pattern, bus)
    with room_for_rule(services, bus, before.rule_name, pattern):
        await change_archive(services.catalog, before, after)
    return after


async def delete_archive(services: Services, call: Call, given: NameInput) -> None:
    await retried(lambda: _delete(services, call, given))


async def _delete(services: Services, call: Call, given: NameInput) -> None:
    await remove_archive(services.catalog, existing_archive(services, call, given.archive_name))


async def describe_archive(services: Services, call: Call, given: NameInput) -> Output:
    archive = existing_archive(services, call, given.archive_name)
    shown = msgspec.structs.asdict(await _item(services, archive))
    return DescribeOutput(
        **shown,
        archive_arn=archive.arn,
        description=archive.description,
        event_pattern=archive.pattern,
        kms_key_identifier=archive.kms_key,
    )


async def list_archives(services: Services, call: Call, given: ListArchivesInput) -> Output:
    if sum(each is not None for each in (given.name_prefix, given.event_source_arn, given.state)) > 1:
        raise invalid(ONE_FILTER)
    if given.event_source_arn is not None:
        _check_bus(services, call, given.event_source_arn)

    def after(name: str | None) -> Iterator[Archive]:
        last = None if name is None else archive_key(call.account, call.region, name)
        prefix = archive_key(call.account, call.region, given.name_prefix or "")
        for found in services.catalog.list(Archive, prefix, after=last):
            if given.event_source_arn in (None, found.bus_arn) and given.state in (None, ENABLED):
                yield found

    found = page(services, call, given, after, lambda archive: archive.name)
    items = [await _item(services, archive) for archive in found.items]
    return ListArchivesOutput(archives=items, next_token=found.next_token)


# -- what they share -----------------------------------------------------------------------------------


def existing_archive(services: Services, call: Call, name: str) -> Archive:
    """The caller's archive of that name; refused if there is none (recorded)."""
    found = services.catalog.get(Archive, archive_key(call.account, call.region, name))
    if found is None:
        raise no_such_archive(name)
    return found


def no_such_archive(name: str) -> ApiError:
    return not_found(f"Archive {name} does not exist.")


def _check_bus(services: Services, call: Call, arn: str) -> None:
    """Refuse a bus that is not there, unless an archive has outlived it."""
    archives = services.catalog.list(Archive, archive_key(call.account, call.region, ""))
    if not any(archive.bus_arn == arn for archive in archives):
        find_bus(services, call, arn)


def _taken(name: str) -> ApiError:
    return already_exists(f"Archive {name} already exists.")


def _changed(archive: Archive) -> ChangeOutput:
    return ChangeOutput(
        archive_arn=archive.arn, state=ENABLED, creation_time=epoch_seconds(archive.created_at)
    )


async def _item(services: Services, archive: Archive) -> ArchiveItem:
    size = await services.store.size(archive.log)
    return ArchiveItem(
        archive_name=archive.name,
        event_source_arn=archive.bus_arn,
        state=ENABLED,
        retention_days=archive.retention_days,
        size_bytes=size.bytes,
        event_count=size.records,
        creation_time=epoch_seconds(archive.created_at),
    )


OPERATIONS: dict[str, Operation] = {
    "CreateArchive": operation(CreateInput, create_archive_of_bus),
    "DeleteArchive": operation(NameInput, delete_archive),
    "DescribeArchive": operation(NameInput, describe_archive),
    "ListArchives": operation(ListArchivesInput, list_archives),
    "UpdateArchive": operation(UpdateInput, update_archive),
}
