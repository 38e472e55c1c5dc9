"""API destinations and connections as lists over accounts and regions, which the wire API has no call for."""

from datetime import datetime
from typing import Annotated

import msgspec

from partnerbus.api.admin.paging import page_by_arn
from partnerbus.api.admin.request import Request
from partnerbus.api.admin.sight import Sight, ViewRoute
from partnerbus.model.resources import ApiDestination, AuthorizationType, Connection, ConnectionState


class OwnedPage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of a list, after the one with the ARN `after`: what is not given counts as every."""

    account: str | None = None
    region: str | None = None
    arn: str | None = None
    after: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100

    def picks(self, found: ApiDestination | Connection) -> bool:
        return (
            self.account in (None, found.account)
            and self.region in (None, found.region)
            and self.arn in (None, found.arn)
        )


class ConnectionView(msgspec.Struct, frozen=True, kw_only=True):
    """A connection without its parameters; `destinations` are the ARNs of those that use it."""

    arn: str
    account: str
    region: str
    name: str
    authorization: AuthorizationType
    state: ConnectionState
    reason: str | None
    created_at: datetime
    authorized_at: datetime | None
    has_certificate: bool
    destinations: list[str]


class ConnectionList(msgspec.Struct, frozen=True, kw_only=True):
    connections: list[ConnectionView]
    next: str | None


class DestinationView(msgspec.Struct, frozen=True, kw_only=True):
    """An API destination; `is_active` if its connection is authorized. `rules` have it as a target."""

    arn: str
    account: str
    region: str
    name: str
    url: str
    method: str
    rate_per_second: int
    description: str | None
    connection: str
    is_active: bool
    created_at: datetime
    rules: list[str]


class DestinationList(msgspec.Struct, frozen=True, kw_only=True):
    destinations: list[DestinationView]
    next: str | None


async def list_connections(sight: Sight, request: Request) -> ConnectionList:
    wanted = request.query_as(OwnedPage)
    every = (each for each in sight.connections() if wanted.picks(each))
    found, following = page_by_arn(every, wanted.after, wanted.limit, lambda each: each.arn)
    users: dict[str, list[str]] = {}
    for destination in sight.api_destinations():
        users.setdefault(destination.connection_arn, []).append(destination.arn)
    return ConnectionList(
        connections=[_connection(each, users.get(each.arn, [])) for each in found], next=following
    )


async def list_destinations(sight: Sight, request: Request) -> DestinationList:
    wanted = request.query_as(OwnedPage)
    every = (each for each in sight.api_destinations() if wanted.picks(each))
    found, following = page_by_arn(every, wanted.after, wanted.limit, lambda each: each.arn)
    users: dict[str, list[str]] = {}
    for rule in sight.rules():
        for arn in {target.arn for target in rule.targets}:
            users.setdefault(arn, []).append(rule.arn)
    authorized = {each.arn for each in sight.connections() if each.state is ConnectionState.AUTHORIZED}
    return DestinationList(
        destinations=[
            _destination(each, each.connection_arn in authorized, users.get(each.arn, [])) for each in found
        ],
        next=following,
    )


def _connection(found: Connection, destinations: list[str]) -> ConnectionView:
    return ConnectionView(
        arn=found.arn,
        account=found.account,
        region=found.region,
        name=found.name,
        authorization=found.authorization,
        state=found.state,
        reason=found.state_reason,
        created_at=found.created_at,
        authorized_at=found.authorized_at,
        has_certificate=found.certificate is not None,
        destinations=destinations,
    )


def _destination(found: ApiDestination, is_active: bool, rules: list[str]) -> DestinationView:
    return DestinationView(
        arn=found.arn,
        account=found.account,
        region=found.region,
        name=found.name,
        url=found.url,
        method=found.method,
        rate_per_second=found.rate_per_second,
        description=found.description,
        connection=found.connection_arn,
        is_active=is_active,
        created_at=found.created_at,
        rules=rules,
    )


ROUTES = (
    ViewRoute("GET", "/connections", list_connections, query=OwnedPage),
    ViewRoute("GET", "/api-destinations", list_destinations, query=OwnedPage),
)
