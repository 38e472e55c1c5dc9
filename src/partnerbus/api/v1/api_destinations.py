"""API destinations: HTTP endpoints that rules may name as targets."""

import uuid
from collections.abc import Iterator

import msgspec

from partnerbus.api.errors import ApiError, already_exists, invalid, limit_exceeded, not_found
from partnerbus.api.operation import Call, Input, Operation, Output, Services, epoch_seconds, operation
from partnerbus.api.v1.connections import no_such_connection
from partnerbus.api.v1.paging import ListInput, page
from partnerbus.api.v1.shapes import retried
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.model.arns import Arn
from partnerbus.model.quotas import Quotas
from partnerbus.model.resources import ApiDestination, ConnectionState, api_destination_key

DEFAULT_RATE = 300
ACTIVE, INACTIVE = "ACTIVE", "INACTIVE"


class CreateInput(Input, frozen=True, kw_only=True):
    name: str
    connection_arn: str
    invocation_endpoint: str
    http_method: str
    description: str | None = None
    invocation_rate_limit_per_second: int | None = None


class UpdateInput(Input, frozen=True, kw_only=True):
    name: str
    connection_arn: str | None = None
    invocation_endpoint: str | None = None
    http_method: str | None = None
    description: str | None = None
    invocation_rate_limit_per_second: int | None = None


class NameInput(Input, frozen=True, kw_only=True):
    name: str


class ChangeOutput(Output, frozen=True, kw_only=True):
    api_destination_arn: str
    api_destination_state: str
    creation_time: float
    last_modified_time: float


class ListDestinationsInput(ListInput, frozen=True, kw_only=True):
    name_prefix: str | None = None
    connection_arn: str | None = None


class DestinationItem(Output, frozen=True, kw_only=True):
    api_destination_arn: str
    name: str
    api_destination_state: str
    connection_arn: str
    invocation_endpoint: str
    http_method: str
    invocation_rate_limit_per_second: int
    creation_time: float
    last_modified_time: float


class DescribeOutput(DestinationItem, frozen=True, kw_only=True):
    description: str | None = None


class ListDestinationsOutput(Output, frozen=True, kw_only=True):
    api_destinations: list[DestinationItem]
    next_token: str | None = None


async def create_api_destination(services: Services, call: Call, given: CreateInput) -> Output:
    await _check_url(services, given.invocation_endpoint)
    _check_connection(services, call, given.connection_arn)
    quotas = services.quotas_of(call.account)
    rate = given.invocation_rate_limit_per_second or min(DEFAULT_RATE, quotas.api_destination_rate)
    _check_rate(quotas, rate)
    now = services.clock.now()
    made = ApiDestination(
        account=call.account,
        region=call.region,
        name=given.name,
        uuid=str(uuid.uuid4()),
        connection_arn=given.connection_arn,
        url=given.invocation_endpoint,
        method=given.http_method,
        created_at=now,
        modified_at=now,
        description=given.description,
        rate_per_second=rate,
    )
    owned = api_destination_key(call.account, call.region, "")
    try:
        with services.room.take(services.catalog, made.key, owned, quotas.api_destinations):
            await services.catalog.create(made)
    except RevisionConflict:
        sentence = f"An api-destination '{given.name}' already exists."  # assumed
        raise already_exists(sentence) from None
    return _changed(services, made)


async def describe_api_destination(services: Services, call: Call, given: NameInput) -> Output:
    found = _existing(services, call, given.name)
    shown = msgspec.structs.asdict(_item(services, found))
    return DescribeOutput(**shown, description=found.description)


async def update_api_destination(services: Services, call: Call, given: UpdateInput) -> Output:
    """What is given changes; the next attempt of every delivery, waiting ones too, is made with it."""
    if given.invocation_endpoint is not None:
        await _check_url(services, given.invocation_endpoint)
    return _changed(services, await retried(lambda: _update(services, call, given)))


async def _update(services: Services, call: Call, given: UpdateInput) -> ApiDestination:
    before = _existing(services, call, given.name)
    if given.connection_arn is not None:
        _check_connection(services, call, given.connection_arn)
    if given.invocation_rate_limit_per_second is not None:
        _check_rate(services.quotas_of(call.account), given.invocation_rate_limit_per_second)
    wanted = {
        "connection_arn": given.connection_arn,
        "url": given.invocation_endpoint,
        "method": given.http_method,
        "description": given.description,
        "rate_per_second": given.invocation_rate_limit_per_second,
        "modified_at": services.clock.now(),
    }
    changes = {name: value for name, value in wanted.items() if value is not None}
    after = msgspec.structs.replace(before, **changes)
    await services.catalog.replace(before, after)
    return after


async def delete_api_destination(services: Services, call: Call, given: NameInput) -> None:
    await retried(lambda: services.catalog.remove(_existing(services, call, given.name)))


async def list_api_destinations(services: Services, call: Call, given: ListDestinationsInput) -> Output:
    def after(name: str | None) -> Iterator[ApiDestination]:
        last = None if name is None else api_destination_key(call.account, call.region, name)
        prefix = api_destination_key(call.account, call.region, given.name_prefix or "")
        for found in services.catalog.list(ApiDestination, prefix, after=last):
            if given.connection_arn in (None, found.connection_arn):
                yield found

    found = page(services, call, given, after, lambda one: one.name)
    return ListDestinationsOutput(
        api_destinations=[_item(services, one) for one in found.items], next_token=found.next_token
    )


def _existing(services: Services, call: Call, name: str) -> ApiDestination:
    found = services.catalog.get(ApiDestination, api_destination_key(call.account, call.region, name))
    if found is None:
        raise _no_such_destination(name)
    return found


def _no_such_destination(name: str) -> ApiError:
    return not_found(
        f"Failed to describe the api-destination(s). An api-destination '{name}' does not exist."
    )


async def _check_url(services: Services, url: str) -> None:
    """https, or what this node's settings allow besides; the sentence is ours."""
    if (sentence := await services.targets.url_refusal(url)) is not None:
        raise invalid(f"Parameter InvocationEndpoint is not valid. Reason: {sentence}")


def _check_rate(quotas: Quotas, rate: int) -> None:
    """The quota is documented; that more is refused as a quota that is used up, assumed."""
    if rate > quotas.api_destination_rate:
        raise limit_exceeded()


def _check_connection(services: Services, call: Call, arn: str) -> None:
    """The connection must be the caller's own, in the same region."""
    connection = services.catalog.connection_by_arn(arn)
    if connection is None or (connection.account, connection.region) != (call.account, call.region):
        parsed = Arn.parse(arn)
        raise no_such_connection(parsed.resource.split("/")[1] if parsed else arn)


def _state(services: Services, destination: ApiDestination) -> str:
    connection = services.catalog.connection_by_arn(destination.connection_arn)
    return ACTIVE if connection is not None and connection.state is ConnectionState.AUTHORIZED else INACTIVE


def _changed(services: Services, destination: ApiDestination) -> ChangeOutput:
    return ChangeOutput(
        api_destination_arn=destination.arn,
        api_destination_state=_state(services, destination),
        creation_time=epoch_seconds(destination.created_at),
        last_modified_time=epoch_seconds(destination.modified_at),
    )


def _item(services: Services, destination: ApiDestination) -> DestinationItem:
    return DestinationItem(
        api_destination_arn=destination.arn,
        name=destination.name,
        api_destination_state=_state(services, destination),
        connection_arn=destination.connection_arn,
        invocation_endpoint=destination.url,
        http_method=destination.method,
        invocation_rate_limit_per_second=destination.rate_per_second,
        creation_time=epoch_seconds(destination.created_at),
        last_modified_time=epoch_seconds(destination.modified_at),
    )


OPERATIONS: dict[str, Operation] = {
    "CreateApiDestination": operation(CreateInput, create_api_destination),
    "DeleteApiDestination": operation(NameInput, delete_api_destination),
    "DescribeApiDestination": operation(NameInput, describe_api_destination),
    "ListApiDestinations": operation(ListDestinationsInput, list_api_destinations),
    "UpdateApiDestination": operation(UpdateInput, update_api_destination),
}
