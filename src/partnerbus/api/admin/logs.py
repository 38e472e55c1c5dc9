"""Which bus a log belongs to, and how each log balances."""

import msgspec

from partnerbus.api.admin.request import AdminRefused, Request
from partnerbus.api.admin.sight import BusRef, Sight, ViewRoute
from partnerbus.store.protocol import Ledger


class BusFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which buses: what is not given counts as every. `bus` is a name or an ARN."""

    account: str | None = None
    region: str | None = None
    bus: str | None = None

    @property
    def is_empty(self) -> bool:
        return self.account is None and self.region is None and self.bus is None

    def picks(self, found: BusRef) -> bool:
        return (
            self.account in (None, found.account)
            and self.region in (None, found.region)
            and self.bus in (None, found.name, found.arn)
        )


class LedgerView(msgspec.Struct, frozen=True, kw_only=True):
    """A log's balance. `bus` is its ARN, None once the bus was deleted, and for the log of a replay."""

    log: str
    bus: str | None
    horizon: int
    head: int
    ledger: Ledger


class LedgerList(msgspec.Struct, frozen=True, kw_only=True):
    ledgers: list[LedgerView]


async def list_ledgers(sight: Sight, request: Request) -> LedgerList:
    return LedgerList(ledgers=await _ledgers(sight, request.query_as(BusFilter)))


async def show_ledger(sight: Sight, request: Request) -> LedgerView:
    for view in await _ledgers(sight, BusFilter()):
        if view.log == request.path["log"]:
            return view
    raise AdminRefused(f"there is no log {request.path['log']}", 404)


async def _ledgers(sight: Sight, wanted: BusFilter) -> list[LedgerView]:
    return [
        LedgerView(
            log=info.log,
            bus=bus.arn if bus is not None else None,
            horizon=info.horizon,
            head=info.head,
            ledger=ledger,
        )
        for info, bus, ledger in await sight.ledgers()
        if wanted.is_empty or (bus is not None and wanted.picks(bus))
    ]


ROUTES = (
    ViewRoute("GET", "/ledgers", list_ledgers, query=BusFilter),
    ViewRoute("GET", "/ledgers/{log}", show_ledger),
)
