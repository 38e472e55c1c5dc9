"""The buses that there are, with events or without."""

import msgspec

from partnerbus.api.admin.logs import BusFilter
from partnerbus.api.admin.request import Request
from partnerbus.api.admin.sight import Sight, ViewRoute


class BusView(msgspec.Struct, frozen=True, kw_only=True):
    arn: str
    account: str
    region: str
    name: str


class BusList(msgspec.Struct, frozen=True, kw_only=True):
    buses: list[BusView]


async def list_buses(sight: Sight, request: Request) -> BusList:
    """Every bus that rules can be put on; of default buses without events, those of the server's region."""
    wanted = request.query_as(BusFilter)
    found = {bus.arn: bus for bus in sight.buses_by_log(await sight.watched_logs()).values()}
    return BusList(
        buses=[
            BusView(arn=arn, account=bus.account, region=bus.region, name=bus.name)
            for arn, bus in sorted(found.items())
            if wanted.picks(bus)
        ]
    )


ROUTES = (ViewRoute("GET", "/buses", list_buses, query=BusFilter),)
