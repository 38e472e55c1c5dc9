"""Home: is anything failing, and whose fault is it?"""

from datetime import datetime

from starlette.responses import Response

from partnerbus.api.admin.deliveries import DeliveryList
from partnerbus.api.admin.health_views import (
    BusHealthList,
    Health,
    SourceHealth,
    SourceHealthList,
    TargetHealth,
    TargetHealthList,
)
from partnerbus.console.door import HERE, Screen
from partnerbus.console.visit import Visit
from partnerbus.model.resources import SourceState

SHOWN = 8
MOST = 1_000


async def home(visit: Visit) -> Response:
    health = await visit.ask("/health", Health)
    buses = (await visit.ask("/health/buses", BusHealthList, limit=MOST)).buses
    targets = (await visit.ask("/health/targets", TargetHealthList, limit=MOST)).targets
    sources = (await visit.ask("/health/sources", SourceHealthList, limit=MOST)).sources
    dead = (await visit.ask("/dead-letters", DeliveryList, limit=5)).deliveries
    return visit.page(
        "home.html",
        health=health,
        buses=sorted(buses, key=lambda each: each.counts.accepted, reverse=True)[:SHOWN],
        more_buses=max(0, len(buses) - SHOWN),
        failures=_last_failures(targets)[:SHOWN],
        pending=_pending(sources)[:SHOWN],
        dead=dead,
        is_empty=not buses and not targets and not sources,
    )


def _last_failures(targets: list[TargetHealth]) -> list[TargetHealth]:
    """The targets whose last attempt that failed was the latest, first."""

    def failed_at(target: TargetHealth) -> datetime:
        assert target.owed.failed_at is not None
        return target.owed.failed_at

    return sorted((each for each in targets if each.owed.failed_at is not None), key=failed_at, reverse=True)


def _pending(sources: list[SourceHealth]) -> list[SourceHealth]:
    """Offers that nobody took, the one that expires first at the top."""
    found = [each for each in sources if each.state is SourceState.PENDING]
    return sorted(found, key=lambda each: (each.expires_at is None, each.expires_at or each.created_at))


async def here(_visit: Visit) -> Response:
    """Tells a page that its server is there, and its session too."""
    return Response(status_code=204)


SCREENS = (Screen("GET", "", home), Screen("GET", "/", home), Screen("GET", HERE, here))
