"""Partner sources: offers to accept for a customer; customers, and how they fare, for a partner."""

from starlette.responses import Response

from partnerbus.api.admin.health_views import SourceHealthList
from partnerbus.api.admin.sources import SharingView
from partnerbus.console.door import Screen
from partnerbus.console.visit import Nothing, Visit

PAGE = 100


async def list_sources(visit: Visit) -> Response:
    after = visit.request.query_params.get("after")
    found = await visit.ask("/health/sources", SourceHealthList, limit=PAGE, after=after, minutes="true")
    return visit.page("sources.html", sources=found.sources, following=found.next)


async def accept(visit: Visit) -> Response:
    """Make the bus of an offered source, which is what accepting is."""
    name = visit.form.text("name")
    members = {"Name": name, "EventSourceName": name}
    await visit.call("CreateEventBus", members, Nothing, **_whose(visit))
    return visit.go("/console/sources", f"{name} is accepted: its events arrive on the bus of that name.")


async def pause(visit: Visit) -> Response:
    name, to = visit.form.text("name"), visit.form.text("to")
    operation = "ActivateEventSource" if to == "ACTIVE" else "DeactivateEventSource"
    await visit.call(operation, {"Name": name}, Nothing, **_whose(visit))
    return visit.go("/console/sources", f"{name} is {'active' if to == 'ACTIVE' else 'paused'}.")


async def share(visit: Visit) -> Response:
    form = visit.form
    body = {
        "source": form.text("name"),
        "region": form.maybe("region"),
        "errors": form.text("errors") == "yes",
    }
    done = await visit.tell("/sources/share", body, SharingView)
    may = "may" if done.shares_errors else "may not"
    return visit.go("/console/sources", f"{done.partner} {may} read the errors of your targets.")


async def offer(visit: Visit) -> Response:
    name, account = visit.form.text("name"), visit.form.text("customer")
    region = visit.form.maybe("region")
    await visit.call("CreatePartnerEventSource", {"Name": name, "Account": account}, Nothing, region=region)
    return visit.go("/console/sources", f"{name} is offered to {account}.")


def _whose(visit: Visit) -> dict[str, str | None]:
    return {"account": visit.form.maybe("account"), "region": visit.form.maybe("region")}


SCREENS = (
    Screen("GET", "/sources", list_sources),
    Screen("POST", "/sources/accept", accept),
    Screen("POST", "/sources/pause", pause),
    Screen("POST", "/sources/share", share),
    Screen("POST", "/sources/offer", offer),
)
