"""What one viewer may see of a node.

A query that accounts may ask is given a `Sight` in place of the node's services, so whatever it reads is
already the viewer's: no query can forget to ask whose something is. What is whose:

* a bus, its log, its events and the logs of its replays are the bus's owner's;
* a rule is the account's that made it, which need not be the bus's: its deliveries are that account's, even
  on another's bus. Once a rule is gone, they are the account's that owns both the bus and the target;
* a partner source is the customer's that it is offered to; its partner sees that it is there, its state and
  counts, and the texts of errors only if the customer shares them.

The operator sees everything.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from partnerbus.api.admin.request import AdminServices, AnyRoute, Request
from partnerbus.api.admin.viewer import OPERATOR, Viewer
from partnerbus.engine.target_health import failing_targets
from partnerbus.model import arns
from partnerbus.model.arns import Arn
from partnerbus.model.delivery import Delivery, Redrive
from partnerbus.model.resources import (
    ARCHIVE_LOGS,
    REPLAY_LOGS,
    EventBus,
    FailingTarget,
    PartnerSource,
    Replay,
    Rule,
)
from partnerbus.store.protocol import DeliveryQuery, Ledger, LogInfo


class BusRef(msgspec.Struct, frozen=True, kw_only=True):
    """A bus by name, whether or not it is in the registry."""

    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        return arns.bus_arn(self.region, self.account, self.name)


class Page(msgspec.Struct, frozen=True):
    """Deliveries that the viewer may see, of those that were looked at; the last of these was `last`."""

    found: Sequence[Delivery]
    last: str
    looked_at: int


class Sight:
    """The node as `viewer` may see it."""

    def __init__(self, services: AdminServices, viewer: Viewer) -> None:
        self._services = services
        self.viewer = viewer

    def now(self) -> datetime:
        return self._services.clock.now()

    # -- the registry ----------------------------------------------------------------------------------

    def rules(self) -> Iterator[Rule]:
        """The rules that the viewer made."""
        every = self._services.catalog.list(Rule, "rule:")
        return (rule for rule in every if self.viewer.is_own(rule.created_by))

    def sources(self) -> Iterator[PartnerSource]:
        """The sources that were offered to the viewer, or that it offers as a partner."""
        every = self._services.catalog.list(PartnerSource, "source:")
        return (source for source in every if self.is_customer(source) or self.is_partner(source))

    def is_customer(self, source: PartnerSource) -> bool:
        """Whether the source is the viewer's to accept."""
        return self.viewer.is_own(source.account)

    def is_partner(self, source: PartnerSource) -> bool:
        """Whether the viewer publishes through the source."""
        return self.viewer.partner is not None and self.viewer.partner == source.partner

    def failing_targets(self) -> Iterator[FailingTarget]:
        return (each for each in failing_targets(self._services.catalog) if self.viewer.is_own(each.account))

    def held(self) -> Mapping[str, datetime]:
        """The targets that circuit breakers hold, and until when. Ask it of targets that were shown."""
        return self._services.held()

    # -- logs ------------------------------------------------------------------------------------------

    def buses_by_log(self, logs: Sequence[str]) -> dict[str, BusRef]:
        """The bus of each of `logs` that has one, also of replays. A default bus need not be registered."""
        found = {log: default for log in logs if (default := _default_bus(log)) is not None}
        for bus in self._services.catalog.list(EventBus, "bus:"):
            found[bus.log] = BusRef(account=bus.account, region=bus.region, name=bus.name)
        for replay in self._services.catalog.list(Replay, "replay:"):
            found[replay.log] = BusRef(account=replay.account, region=replay.region, name=replay.bus)
        return {log: bus for log, bus in found.items() if self.viewer.is_own(bus.account)}

    def buses_of_deliveries(self, logs: Sequence[str]) -> dict[str, BusRef]:
        """As `buses_by_log`, and the buses of others that the viewer has rules on."""
        every = Sight(self._services, OPERATOR).buses_by_log(logs)
        on = {(rule.account, rule.region, rule.bus) for rule in self.rules()}
        return {
            log: bus
            for log, bus in every.items()
            if self.viewer.is_own(bus.account) or (bus.account, bus.region, bus.name) in on
        }

    async def logs_with_own_deliveries(self) -> dict[str, BusRef]:
        """Every log that may have deliveries of the viewer's, and the bus it is of."""
        return self.buses_of_deliveries([info.log for info in await self._services.store.logs()])

    async def logs(self) -> Sequence[LogInfo]:
        """The logs of the viewer's buses and replays; for the operator also those of buses that are gone."""
        infos = [info for info in await self._services.store.logs() if not info.log.startswith(ARCHIVE_LOGS)]
        if self.viewer.is_operator:
            return infos
        own = self.buses_by_log([info.log for info in infos])
        return [info for info in infos if info.log in own]

    async def ledgers(self) -> Sequence[tuple[LogInfo, BusRef | None, Ledger]]:
        """How each log balances, and whose it is: None once the bus was deleted, and for a replay's."""
        infos = await self.logs()
        buses = self.buses_by_log([info.log for info in infos])
        return [
            (
                info,
                None if info.log.startswith(REPLAY_LOGS) else buses.get(info.log),
                await self._services.store.ledger(info.log),
            )
            for info in infos
        ]

    # -- deliveries ------------------------------------------------------------------------------------

    async def look(self, query: DeliveryQuery) -> AsyncIterator[Page]:
        """The deliveries that `query` is for, the newest event first, page by page of `query.limit`."""
        sees = self._judge_of_deliveries()
        if query.logs is None and not self.viewer.is_operator:
            query = msgspec.structs.replace(query, logs=list(await self.logs_with_own_deliveries()))
        while True:
            found = await self._services.store.deliveries(query)
            if found:
                yield Page([each for each in found if sees(each)], found[-1].id, len(found))
            if len(found) < query.limit:
                return
            query = msgspec.structs.replace(query, after=(found[-1].position, found[-1].subscription))

    async def named(self, ids: Sequence[tuple[str, int]]) -> Sequence[Delivery]:
        """The deliveries with these ids."""
        found = await self._services.store.deliveries(DeliveryQuery(ids=ids, limit=max(len(ids), 1)))
        sees = self._judge_of_deliveries()
        return [each for each in found if sees(each)]

    async def redrive(self, found: Sequence[Delivery], how: Redrive) -> int:
        """Redrive dead letters that this sight has shown; give how many were dead."""
        return await self._services.redrive([(each.subscription, each.position) for each in found], how)

    def _judge_of_deliveries(self) -> "_Judge":
        return _Judge(self._services, self)


class ViewRoute(AnyRoute, frozen=True):
    """A route for whoever looks: its handler sees what the viewer may see, and nothing else."""

    handler: Callable[[Sight, Request], Awaitable[msgspec.Struct]]

    async def run(self, services: AdminServices, viewer: Viewer, request: Request) -> msgspec.Struct:
        return await self.handler(Sight(services, viewer), request)


class _Judge:
    """Whether deliveries are the viewer's, by the rules and buses of now."""

    def __init__(self, services: AdminServices, sight: Sight) -> None:
        self._sight = sight
        self._viewer = sight.viewer
        self._makers: dict[str, str] = {}
        if not self._viewer.is_operator:
            self._makers = {
                target.subscription: rule.created_by
                for rule in services.catalog.list(Rule, "rule:")
                for target in rule.targets
            }

    def __call__(self, delivery: Delivery) -> bool:
        if self._viewer.is_operator:
            return True
        maker = self._makers.get(delivery.subscription)
        return self._viewer.is_own(maker) if maker is not None else self._is_left_over(delivery)

    def _is_left_over(self, delivery: Delivery) -> bool:
        """Whether both ends of a delivery whose rule is gone are the viewer's."""
        arn = Arn.parse(delivery.lane)
        is_own_target = arn is not None and self._viewer.is_own(arn.account)
        return is_own_target and delivery.log in self._sight.buses_by_log([delivery.log])


def _default_bus(log: str) -> BusRef | None:
    kind, _, rest = log.partition(":")
    account, _, region = rest.partition(":")
    if kind != arns.DEFAULT_BUS or not region:
        return None
    return BusRef(account=account, region=region, name=arns.DEFAULT_BUS)
