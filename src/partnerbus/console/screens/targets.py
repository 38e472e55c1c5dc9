"""Targets of rules: who gets how much, what fails, and what a circuit breaker holds."""

from urllib.parse import quote

from starlette.responses import Response

from partnerbus.api.admin.health_views import TargetHealth, TargetHealthList
from partnerbus.api.admin.targets import Enabled
from partnerbus.console.door import Screen
from partnerbus.console.visit import Visit

PAGE = 100


async def list_targets(visit: Visit) -> Response:
    after = visit.request.query_params.get("after")
    found = await visit.ask("/health/targets", TargetHealthList, limit=PAGE, after=after, minutes="true")
    return visit.page(
        "targets.html", targets=found.targets, counted_since=found.counted_since, following=found.next
    )


async def show_target(visit: Visit) -> Response:
    """The page of a target that has none of its own: a bus, a resource of AWS, a subject, a file."""
    arn = visit.request.query_params.get("arn", "")
    return visit.page("target.html", arn=arn, health=await health_of(visit, arn))


async def enable(visit: Visit) -> Response:
    """Let a target that was disabled be sent to again."""
    arn = visit.form.text("arn")
    await visit.tell("/targets/enable", {"arn": arn, "account": visit.form.maybe("account")}, Enabled)
    return visit.go(page_of(arn), "The target is enabled; its dead letters can be redriven.")


async def health_of(visit: Visit, arn: str) -> list[TargetHealth]:
    """How a target fares, for each account whose rules have it; nothing if none has."""
    return (await visit.ask("/health/targets", TargetHealthList, target=arn, minutes="true")).targets


def page_of(arn: str) -> str:
    return f"/console/targets/target?arn={quote(arn, safe='')}"


SCREENS = (
    Screen("GET", "/targets", list_targets),
    Screen("GET", "/targets/target", show_target),
    Screen("POST", "/targets/enable", enable),
)
