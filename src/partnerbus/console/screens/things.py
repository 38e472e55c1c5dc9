"""Buses and targets: what they carried, what fails."""

from starlette.responses import Response

from partnerbus.api.admin.health_views import BusHealthList, TargetHealthList
from partnerbus.console.door import Screen
from partnerbus.console.visit import Visit

PAGE = 200


async def list_buses(visit: Visit) -> Response:
    after = visit.request.query_params.get("after")
    found = await visit.ask("/health/buses", BusHealthList, limit=PAGE, after=after)
    return visit.page("buses.html", buses=found.buses, following=found.next)


async def list_targets(visit: Visit) -> Response:
    after = visit.request.query_params.get("after")
    found = await visit.ask("/health/targets", TargetHealthList, limit=PAGE, after=after)
    return visit.page(
        "targets.html", targets=found.targets, counted_since=found.counted_since, following=found.next
    )


SCREENS = (Screen("GET", "/buses", list_buses), Screen("GET", "/targets", list_targets))
