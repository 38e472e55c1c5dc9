"""Which bus a log belongs to, and how each log balances."""

import msgspec

from partnerbus.api.admin.request import AdminRefused, AdminServices, Request, Route
from partnerbus.model import arns
from partnerbus.model.resources import ARCHIVE_LOGS, REPLAY_LOGS, EventBus, Replay
from partnerbus.store.protocol import Ledger


class BusRef(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        return arns.bus_arn(self.region, self.account, self.name)


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


def buses_by_log(services: AdminServices, logs: list[str]) -> dict[str, BusRef]:
    """The bus of each of `logs` that has one, also of replays. A default bus need not be in the registry."""
    found = {log: default for log in logs if (default := _default_bus(log)) is not None}
    for bus in services.catalog.list(EventBus, "bus:"):
        found[bus.log] = BusRef(account=bus.account, region=bus.region, name=bus.name)
    for replay in services.catalog.list(Replay, "replay:"):
        found[replay.log] = BusRef(account=replay.account, region=replay.region, name=replay.bus)
    return found


async def list_ledgers(services: AdminServices, request: Request) -> LedgerList:
    wanted = request.query_as(BusFilter)
    infos = [info for info in await services.store.logs() if not info.log.startswith(ARCHIVE_LOGS)]
    buses = buses_by_log(services, [info.log for info in infos])
    views: list[LedgerView] = []
    for info in infos:
        bus = None if info.log.startswith(REPLAY_LOGS) else buses.get(info.log)
        if wanted.is_empty or (bus is not None and wanted.picks(bus)):
            ledger = await services.store.ledger(info.log)
            arn = bus.arn if bus is not None else None
            views.append(
                LedgerView(log=info.log, bus=arn, horizon=info.horizon, head=info.head, ledger=ledger)
            )
    return LedgerList(ledgers=views)


async def show_ledger(services: AdminServices, request: Request) -> LedgerView:
    every = await list_ledgers(services, Request({}, {}, b""))
    for view in every.ledgers:
        if view.log == request.path["log"]:
            return view
    raise AdminRefused(f"there is no log {request.path['log']}", 404)


def _default_bus(log: str) -> BusRef | None:
    kind, _, rest = log.partition(":")
    account, _, region = rest.partition(":")
    if kind != arns.DEFAULT_BUS or not region:
        return None
    return BusRef(account=account, region=region, name=arns.DEFAULT_BUS)


ROUTES = (
    Route("GET", "/ledgers", list_ledgers),
    Route("GET", "/ledgers/{log}", show_ledger),
)
