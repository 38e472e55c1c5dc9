"""Global endpoints: one id for two buses in two regions, between which an operator fails over.

The service makes and changes them in the background; here a change is in force when it is answered, and the
state in the answer is the one that the service would answer.
"""

import secrets
import string
from enum import StrEnum

import msgspec

from partnerbus.api.errors import already_exists, invalid, not_found, refuse
from partnerbus.api.operation import Call, Input, Operation, Output, Services, epoch_seconds, operation
from partnerbus.api.v1.paging import ListInput, page
from partnerbus.api.v1.shapes import Shape, retried
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.model.arns import Arn
from partnerbus.model.resources import FailoverPair, GlobalEndpoint, endpoint_key

ID_CHARACTERS = 10
ID_SUFFIX = "veo"
"""An id is some letters and digits, a dot, and three letters (documented by its example `abcde.veo`)."""

URL = "https://{}.endpoint.events.amazonaws.com"
"""Where the service listens for an endpoint. Here an endpoint's events come to the server like any others."""

# Texts assumed; what must hold is documented.
ALREADY = "Endpoint {} already exists."
MISSING = "Endpoint {} does not exist."
BUSES_INVALID = "Parameter EventBuses is not valid. Reason: {}"
OTHER_ACCOUNT = "The event buses must be of this account."
NAMES_DIFFER = "The names of the event buses must be the same."
WRONG_REGIONS = "One event bus must be in {}, the other in {}."
NO_BUS = "Event bus {} does not exist."
ONE_REGION = (
    "Parameter RoutingConfig is not valid. Reason: The secondary Region must not be that of the endpoint."
)
ROLE_REQUIRED = "Parameter RoleArn is not valid. Reason: RoleArn is required for event replication."


class State(StrEnum):
    ACTIVE = "ACTIVE"
    CREATING = "CREATING"
    UPDATING = "UPDATING"


class Replication(StrEnum):
    ENABLED = "ENABLED"
    DISABLED = "DISABLED"


class Primary(Shape, frozen=True, kw_only=True):
    health_check: str


class Secondary(Shape, frozen=True, kw_only=True):
    route: str


class FailoverConfig(Shape, frozen=True, kw_only=True):
    primary: Primary
    secondary: Secondary


class RoutingConfig(Shape, frozen=True, kw_only=True):
    failover_config: FailoverConfig


class ReplicationConfig(Shape, frozen=True, kw_only=True):
    state: Replication | None = None


class EndpointEventBus(Shape, frozen=True, kw_only=True):
    event_bus_arn: str


class CreateInput(Input, frozen=True, kw_only=True):
    name: str
    routing_config: RoutingConfig
    event_buses: tuple[EndpointEventBus, EndpointEventBus]
    replication_config: ReplicationConfig | None = None
    role_arn: str | None = None
    description: str | None = None


class UpdateInput(Input, frozen=True, kw_only=True):
    name: str
    routing_config: RoutingConfig | None = None
    event_buses: tuple[EndpointEventBus, EndpointEventBus] | None = None
    replication_config: ReplicationConfig | None = None
    role_arn: str | None = None
    description: str | None = None


class NameInput(Input, frozen=True, kw_only=True):
    name: str


class DescribeInput(Input, frozen=True, kw_only=True):
    name: str
    home_region: str | None = None


class ListEndpointsInput(ListInput, frozen=True, kw_only=True):
    """The one list whose `Limit` has another name."""

    limit: int | None = msgspec.field(default=None, name="MaxResults")
    name_prefix: str | None = None
    home_region: str | None = None


class CreateOutput(Output, frozen=True, kw_only=True):
    name: str
    arn: str
    routing_config: RoutingConfig
    replication_config: ReplicationConfig
    event_buses: tuple[EndpointEventBus, ...]
    state: State
    role_arn: str | None = None


class UpdateOutput(CreateOutput, frozen=True, kw_only=True):
    endpoint_id: str
    endpoint_url: str


class DescribeOutput(UpdateOutput, frozen=True, kw_only=True):
    creation_time: float
    last_modified_time: float
    description: str | None = None


class EndpointItem(Shape, frozen=True, kw_only=True):
    name: str
    arn: str
    routing_config: RoutingConfig
    replication_config: ReplicationConfig
    event_buses: tuple[EndpointEventBus, ...]
    endpoint_id: str
    endpoint_url: str
    state: State
    creation_time: float
    last_modified_time: float
    role_arn: str | None = None
    description: str | None = None


class ListEndpointsOutput(Output, frozen=True, kw_only=True):
    endpoints: list[EndpointItem]
    next_token: str | None = None


async def create_endpoint(services: Services, call: Call, given: CreateInput) -> Output:
    now = services.clock.now()
    failover = given.routing_config.failover_config
    endpoint = GlobalEndpoint(
        account=call.account,
        region=call.region,
        name=given.name,
        id=_draw_id(),
        health_check=failover.primary.health_check,
        pair=FailoverPair(buses=_arns(given.event_buses), secondary_region=failover.secondary.route),
        created_at=now,
        modified_at=now,
        replicates=_replicates(given.replication_config, default=True),
        role_arn=given.role_arn,
        description=given.description,
    )
    _check(services, endpoint)
    owned, most = endpoint_key(call.account, call.region, ""), services.quotas_of(call.account).endpoints
    try:
        with services.room.take(services.catalog, endpoint.key, owned, most):
            await services.catalog.create(endpoint)
    except RevisionConflict:
        raise already_exists(ALREADY.format(given.name)) from None
    return CreateOutput(
        name=endpoint.name,
        arn=endpoint.arn,
        routing_config=_routing_config(endpoint),
        replication_config=_replication_config(endpoint),
        event_buses=_event_buses(endpoint),
        state=State.CREATING,
        role_arn=endpoint.role_arn,
    )


async def update_endpoint(services: Services, call: Call, given: UpdateInput) -> Output:
    endpoint = await retried(lambda: _update(services, call, given))
    return UpdateOutput(
        name=endpoint.name,
        arn=endpoint.arn,
        routing_config=_routing_config(endpoint),
        replication_config=_replication_config(endpoint),
        event_buses=_event_buses(endpoint),
        state=State.UPDATING,
        role_arn=endpoint.role_arn,
        endpoint_id=endpoint.id,
        endpoint_url=URL.format(endpoint.id),
    )


async def _update(services: Services, call: Call, given: UpdateInput) -> GlobalEndpoint:
    before = _find(services, call, given.name, call.region)
    failover = given.routing_config.failover_config if given.routing_config is not None else None
    pair = FailoverPair(
        buses=before.pair.buses if given.event_buses is None else _arns(given.event_buses),
        secondary_region=before.pair.secondary_region if failover is None else failover.secondary.route,
    )
    after = msgspec.structs.replace(
        before,
        health_check=before.health_check if failover is None else failover.primary.health_check,
        pair=pair,
        modified_at=services.clock.now(),
        replicates=_replicates(given.replication_config, default=before.replicates),
        role_arn=before.role_arn if given.role_arn is None else given.role_arn,
        description=before.description if given.description is None else given.description,
    )
    _check(services, after)
    await services.catalog.replace(before, after)
    return after


async def describe_endpoint(services: Services, call: Call, given: DescribeInput) -> Output:
    item = _item(_find(services, call, given.name, given.home_region or call.region))
    return DescribeOutput(**msgspec.structs.asdict(item))


async def list_endpoints(services: Services, call: Call, given: ListEndpointsInput) -> Output:
    region = given.home_region or call.region
    prefix = endpoint_key(call.account, region, given.name_prefix or "")
    found = page(
        services,
        call,
        given,
        lambda name: services.catalog.list(
            GlobalEndpoint, prefix, None if name is None else endpoint_key(call.account, region, name)
        ),
        lambda endpoint: endpoint.name,
    )
    return ListEndpointsOutput(
        endpoints=[_item(endpoint) for endpoint in found.items], next_token=found.next_token
    )


async def delete_endpoint(services: Services, call: Call, given: NameInput) -> None:
    await services.catalog.remove(_find(services, call, given.name, call.region))


def _find(services: Services, call: Call, name: str, region: str) -> GlobalEndpoint:
    found = services.catalog.get(GlobalEndpoint, endpoint_key(call.account, region, name))
    return found or refuse(not_found(MISSING.format(name)))


def _check(services: Services, endpoint: GlobalEndpoint) -> None:
    """Refuse what could not take events: the buses are those of one name, one in each region (documented)."""
    secondary = endpoint.pair.secondary_region
    if secondary == endpoint.region:
        raise invalid(ONE_REGION)
    buses = [Arn.parse(bus) or refuse(invalid(BUSES_INVALID.format(bus))) for bus in endpoint.pair.buses]
    if {bus.account for bus in buses} != {endpoint.account}:
        raise invalid(BUSES_INVALID.format(OTHER_ACCOUNT))
    if len({bus.resource for bus in buses}) != 1:
        raise invalid(BUSES_INVALID.format(NAMES_DIFFER))
    if {bus.region for bus in buses} != {endpoint.region, secondary}:
        raise invalid(BUSES_INVALID.format(WRONG_REGIONS.format(endpoint.region, secondary)))
    for bus in endpoint.pair.buses:
        if services.catalog.bus_by_arn(bus) is None:
            raise invalid(BUSES_INVALID.format(NO_BUS.format(bus)))
    if endpoint.replicates and endpoint.role_arn is None:
        raise invalid(ROLE_REQUIRED)


def _arns(buses: tuple[EndpointEventBus, EndpointEventBus]) -> tuple[str, str]:
    first, second = buses
    return first.event_bus_arn, second.event_bus_arn


def _replicates(config: ReplicationConfig | None, *, default: bool) -> bool:
    if config is None or config.state is None:
        return default
    return config.state is Replication.ENABLED


def _draw_id() -> str:
    letters = string.ascii_lowercase + string.digits
    return f"{''.join(secrets.choice(letters) for _ in range(ID_CHARACTERS))}.{ID_SUFFIX}"


def _routing_config(endpoint: GlobalEndpoint) -> RoutingConfig:
    return RoutingConfig(
        failover_config=FailoverConfig(
            primary=Primary(health_check=endpoint.health_check),
            secondary=Secondary(route=endpoint.pair.secondary_region),
        )
    )


def _replication_config(endpoint: GlobalEndpoint) -> ReplicationConfig:
    return ReplicationConfig(state=Replication.ENABLED if endpoint.replicates else Replication.DISABLED)


def _event_buses(endpoint: GlobalEndpoint) -> tuple[EndpointEventBus, ...]:
    return tuple(EndpointEventBus(event_bus_arn=bus) for bus in endpoint.pair.buses)


def _item(endpoint: GlobalEndpoint) -> EndpointItem:
    return EndpointItem(
        name=endpoint.name,
        arn=endpoint.arn,
        routing_config=_routing_config(endpoint),
        replication_config=_replication_config(endpoint),
        event_buses=_event_buses(endpoint),
        endpoint_id=endpoint.id,
        endpoint_url=URL.format(endpoint.id),
        state=State.ACTIVE,
        creation_time=epoch_seconds(endpoint.created_at),
        last_modified_time=epoch_seconds(endpoint.modified_at),
        role_arn=endpoint.role_arn,
        description=endpoint.description,
    )


OPERATIONS: dict[str, Operation] = {
    "CreateEndpoint": operation(CreateInput, create_endpoint),
    "DeleteEndpoint": operation(NameInput, delete_endpoint),
    "DescribeEndpoint": operation(DescribeInput, describe_endpoint),
    "ListEndpoints": operation(ListEndpointsInput, list_endpoints),
    "UpdateEndpoint": operation(UpdateInput, update_endpoint),
}
"""The operations of this module."""
