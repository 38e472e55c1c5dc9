"""Buses: what they carried, and what became of it."""

from starlette.responses import Response

from partnerbus.api.admin.health_views import BusHealthList
from partnerbus.console.door import Screen
from partnerbus.console.visit import Visit

PAGE = 100


async def list_buses(visit: Visit) -> Response:
    after = visit.request.query_params.get("after")
    found = await visit.ask("/health/buses", BusHealthList, limit=PAGE, after=after, minutes="true")
    return visit.page("buses.html", buses=found.buses, following=found.next)


SCREENS = (Screen("GET", "/buses", list_buses),)
