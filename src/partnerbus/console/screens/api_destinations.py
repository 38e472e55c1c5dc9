"""API destinations: URLs with a connection, and how their lanes fare."""

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from partnerbus.api.admin.destinations import ConnectionList, ConnectionView, DestinationList, DestinationView
from partnerbus.api.admin.health_views import TargetHealthList
from partnerbus.api.v1.api_destinations import ChangeOutput
from partnerbus.console.door import Screen
from partnerbus.console.refusal import Refused
from partnerbus.console.screens.targets import health_of
from partnerbus.console.visit import Nothing, Visit
from partnerbus.model.arns import Arn

PAGE = 100
MOST = 1_000
FIELDS = ("name", "connection", "url", "method", "rate", "description")

V = TypeVar("V", bound=msgspec.Struct)


async def list_destinations(visit: Visit) -> Response:
    after = visit.request.query_params.get("after")
    found = await visit.ask("/api-destinations", DestinationList, limit=PAGE, after=after)
    health = await visit.ask("/health/targets", TargetHealthList, limit=MOST)
    return visit.page(
        "api_destinations.html",
        destinations=found.destinations,
        health={each.arn: each for each in health.targets},
        following=found.next,
    )


async def new_destination(visit: Visit) -> Response:
    given = dict.fromkeys(FIELDS, "") | {"connection": visit.request.query_params.get("connection", "")}
    return await _form(visit, given)


async def create_destination(visit: Visit) -> Response:
    given = {name: visit.form.text(name) for name in FIELDS}
    arn = Arn.parse(given["connection"])
    account, region = (arn.account, arn.region) if arn is not None else (None, None)
    try:
        members = {"Name": given["name"], **_members(given)}
        made = await visit.call("CreateApiDestination", members, ChangeOutput, account=account, region=region)
    except Refused as refused:
        return await _form(visit, given, refused)
    notice = f"The API destination {given['name']} is made. Give it to a rule as a target, by its ARN."
    return visit.go(page_of(made.api_destination_arn), notice)


async def show_destination(visit: Visit) -> Response:
    return await _page(visit, await _found(visit, visit.request.query_params.get("arn", "")))


async def change_destination(visit: Visit) -> Response:
    """What the buttons of a destination's page do: save, delete."""
    form = visit.form
    found = await _found(visit, form.text("destination"))
    match form.text("do"):
        case "save":
            given = {name: form.text(name) for name in FIELDS}
            try:
                await _call(visit, "UpdateApiDestination", found, ChangeOutput, _members(given))
            except Refused as refused:
                return await _page(visit, found, given, refused)
            return visit.go(page_of(found.arn), f"{found.name} is changed, also for what waits already.")
        case "delete":
            await _call(visit, "DeleteApiDestination", found, Nothing)
            return visit.go("/console/targets/api-destinations", f"{found.name} is deleted.")
    raise Refused(400, "There is no such button.")


async def _form(visit: Visit, given: Mapping[str, str], refused: Refused | None = None) -> Response:
    return visit.page(
        "api_destination_new.html",
        refused.status if refused is not None else 200,
        given=given,
        connections=await _connections(visit),
        refusal=refused.sentence if refused is not None else None,
    )


async def _page(
    visit: Visit,
    found: DestinationView,
    given: Mapping[str, str] | None = None,
    refused: Refused | None = None,
) -> Response:
    connections = await _connections(visit, found.account, found.region)
    return visit.page(
        "api_destination.html",
        refused.status if refused is not None else 200,
        found=found,
        given=given or _fields(found),
        connections=connections,
        connection=next((each for each in connections if each.arn == found.connection), None),
        health=await health_of(visit, found.arn),
        refusal=refused.sentence if refused is not None else None,
    )


def _fields(found: DestinationView) -> Mapping[str, str]:
    return {
        "name": found.name,
        "connection": found.connection,
        "url": found.url,
        "method": found.method,
        "rate": str(found.rate_per_second),
        "description": found.description or "",
    }


def _members(given: Mapping[str, str]) -> Mapping[str, object]:
    """The fields as the wire API takes them; what is left empty is left out."""
    rate = given["rate"]
    if rate and not (rate.isascii() and rate.isdigit() and len(rate) < 10):
        raise Refused(400, "The rate is a whole number: so many requests a second.")
    members = {
        "ConnectionArn": given["connection"],
        "InvocationEndpoint": given["url"],
        "HttpMethod": given["method"],
        "Description": given["description"],
    }
    shown: dict[str, object] = {name: text for name, text in members.items() if text}
    return shown | ({"InvocationRateLimitPerSecond": int(rate)} if rate else {})


async def _connections(
    visit: Visit, account: str | None = None, region: str | None = None
) -> list[ConnectionView]:
    found = await visit.ask("/connections", ConnectionList, limit=MOST, account=account, region=region)
    return found.connections


async def _found(visit: Visit, arn: str) -> DestinationView:
    found = (await visit.ask("/api-destinations", DestinationList, arn=arn)).destinations
    if not found:
        raise Refused(404, "There is no such API destination.")
    return found[0]


async def _call(
    visit: Visit,
    operation: str,
    found: DestinationView,
    kind: type[V],
    members: Mapping[str, object] | None = None,
) -> V:
    given = {"Name": found.name, **(members or {})}
    return await visit.call(operation, given, kind, account=found.account, region=found.region)


def page_of(arn: str) -> str:
    return f"/console/targets/api-destinations/destination?arn={quote(arn, safe='')}"


SCREENS = (
    Screen("GET", "/targets/api-destinations", list_destinations),
    Screen("GET", "/targets/api-destinations/new", new_destination),
    Screen("POST", "/targets/api-destinations/new", create_destination),
    Screen("GET", "/targets/api-destinations/destination", show_destination),
    Screen("POST", "/targets/api-destinations/destination", change_destination),
)
