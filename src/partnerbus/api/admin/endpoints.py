"""Global endpoints: which bus takes the events. What their health checks say, an operator says here."""

from collections.abc import Iterator

import msgspec

from partnerbus.api.admin.request import AdminRefused, AdminServices, Request, Route
from partnerbus.model.resources import EndpointHealth, GlobalEndpoint


class EndpointFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which endpoints: what is not given counts as every."""

    account: str | None = None
    region: str | None = None

    def picks(self, found: GlobalEndpoint) -> bool:
        return self.account in (None, found.account) and self.region in (None, found.region)


class GivenHealth(EndpointFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    health: EndpointHealth


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """`taking` is the ARN of the bus that takes the events now."""

    name: str
    arn: str
    endpoint_id: str
    health: EndpointHealth
    health_check: str
    taking: str
    replicates: bool


class EndpointList(msgspec.Struct, frozen=True, kw_only=True):
    endpoints: list[EndpointView]


async def list_endpoints(services: AdminServices, request: Request) -> EndpointList:
    return EndpointList(endpoints=list(map(_view, _every(services, request.query_as(EndpointFilter)))))


async def show_health(services: AdminServices, request: Request) -> EndpointView:
    return _view(_find(services, request.path["name"], request.query_as(EndpointFilter)))


async def set_health(services: AdminServices, request: Request) -> EndpointView:
    given = request.body_as(GivenHealth)
    before = _find(services, request.path["name"], given)
    after = msgspec.structs.replace(before, health=given.health)
    await services.catalog.replace(before, after)
    return _view(after)


def _every(services: AdminServices, wanted: EndpointFilter) -> Iterator[GlobalEndpoint]:
    return (found for found in services.catalog.list(GlobalEndpoint, "endpoint:") if wanted.picks(found))


def _find(services: AdminServices, name: str, wanted: EndpointFilter) -> GlobalEndpoint:
    found = [each for each in _every(services, wanted) if each.name == name]
    if not found:
        raise AdminRefused(f"there is no global endpoint {name}", 404)
    if len(found) > 1:
        raise AdminRefused(f"there are {len(found)} global endpoints {name}; say whose, and in which region")
    return found[0]


def _view(endpoint: GlobalEndpoint) -> EndpointView:
    return EndpointView(
        name=endpoint.name,
        arn=endpoint.arn,
        endpoint_id=endpoint.id,
        health=endpoint.health,
        health_check=endpoint.health_check,
        taking=endpoint.taking,
        replicates=endpoint.replicates,
    )


ROUTES = (
    Route("GET", "/endpoints", list_endpoints, query=EndpointFilter),
    Route("GET", "/endpoints/{name}/health", show_health, query=EndpointFilter),
    Route("PUT", "/endpoints/{name}/health", set_health, body=GivenHealth),
)
