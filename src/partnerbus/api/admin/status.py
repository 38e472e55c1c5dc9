"""What this node is and holds, in a few numbers."""

from datetime import datetime

import msgspec

from partnerbus import __version__
from partnerbus.api.admin.request import AdminServices, Request, Route, Running
from partnerbus.engine.target_health import failing_targets
from partnerbus.model.resources import Account, Archive, EventBus, PartnerSource, Rule


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`targets_held` are those that circuit breakers hold; `archived` counts events in archives.

    `server` is None when no server runs and a command has opened the folder itself.
    """

    version: str
    server: Running | None
    now: datetime
    accounts: int
    sources: int
    buses: int
    rules: int
    archives: int
    archived: int
    accepted: int
    pending: int
    dead: int
    targets_failing: int
    targets_disabled: int
    targets_held: int


async def show_status(services: AdminServices, _request: Request) -> Status:
    catalog, store = services.catalog, services.store
    failing = list(failing_targets(catalog))
    archives = list(catalog.list(Archive, "archive:"))
    ledgers = [await store.ledger(info.log) for info in await store.logs()]
    return Status(
        version=__version__,
        server=services.running(),
        now=services.clock.now(),
        accounts=sum(1 for _ in catalog.list(Account, "account:")),
        sources=sum(1 for _ in catalog.list(PartnerSource, "source:")),
        buses=sum(1 for _ in catalog.list(EventBus, "bus:")),
        rules=sum(1 for _ in catalog.list(Rule, "rule:")),
        archives=len(archives),
        archived=sum([(await store.size(archive.log)).records for archive in archives]),
        accepted=sum(ledger.accepted for ledger in ledgers),
        pending=sum(ledger.pending + ledger.unrouted for ledger in ledgers),
        dead=sum(ledger.dead for ledger in ledgers),
        targets_failing=len(failing),
        targets_disabled=sum(each.disabled_at is not None for each in failing),
        targets_held=len(services.held()),
    )


ROUTES = (Route("GET", "/status", show_status),)
