"""What this node is and holds, in a few numbers."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from partnerbus import __version__
from partnerbus.api.admin.request import AdminServices, Request, Route, Running
from partnerbus.engine.shares import ALL_NODES
from partnerbus.engine.target_health import failing_targets
from partnerbus.model.resources import Account, Archive, ClusterNode, EventBus, PartnerSource, Rule


class NodeView(msgspec.Struct, frozen=True, kw_only=True):
    """A node of a cluster. It has its share of the work until `leased_until`, unless it renews that."""

    name: str
    url: str
    roles: Sequence[str]
    started_at: datetime
    leased_until: datetime


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`targets_held` are those that circuit breakers hold; `archived` counts events in archives.

    `nodes` are those that share a cluster, also those that have gone in the last hour. `server` is None when
    no server runs and a command has opened the folder itself.
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
    nodes: Sequence[NodeView] = ()


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
        nodes=[_view(node) for node in catalog.list(ClusterNode, ALL_NODES)],
    )


def _view(node: ClusterNode) -> NodeView:
    return NodeView(
        name=node.name,
        url=node.url,
        roles=[role.value for role in node.roles],
        started_at=node.started_at,
        leased_until=node.leased_until,
    )


ROUTES = (Route("GET", "/status", show_status),)
