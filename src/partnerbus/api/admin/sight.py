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

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from partnerbus.api.admin.request import AdminServices, AnyRoute, Request
from partnerbus.api.admin.viewer import OPERATOR, Viewer
from partnerbus.engine.newest_first import Mark, merged
from partnerbus.engine.target_health import failing_targets
from partnerbus.kernel.ids import derived_id
from partnerbus.model import arns
from partnerbus.model.arns import Arn
from partnerbus.model.delivery import Delivery, Record, Redrive
from partnerbus.model.exchange import TraceLine, decode_line
from partnerbus.model.resources import (
    ARCHIVE_LOGS,
    REPLAY_LOGS,
    EventBus,
    FailingTarget,
    PartnerSource,
    Replay,
    Rule,
    Target,
    source_key,
)
from partnerbus.store.protocol import LIVE, DeliveryQuery, Ledger, LogInfo

COUNTED_AT_MOST = 10_000
"""How many deliveries of one event are counted for a partner."""


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

    def rules_of(self, bus: BusRef) -> list[Rule]:
        """Those of them that are on a bus."""
        return [
            rule
            for rule in self.rules()
            if (rule.account, rule.region, rule.bus) == (bus.account, bus.region, bus.name)
        ]

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

    # -- events ----------------------------------------------------------------------------------------

    async def find(self, event_id: str) -> Sequence[Record]:
        """The events that were stored with that id, on buses of the viewer's."""
        try:
            dedup_id = uuid.UUID(event_id).bytes
        except ValueError:
            return []
        found = [each for each in await self._services.store.find([dedup_id]) if each.event.id == event_id]
        if self.viewer.is_operator:
            return found
        own = self.buses_by_log([each.log for each in found])
        return [each for each in found if each.log in own]

    async def find_as_partner(self, event_id: str) -> Record | None:
        """The event with that id which the viewer, as a partner, has put on the bus of a customer."""
        for record in await Sight(self._services, OPERATOR).find(event_id):
            if record.event.replay_name is None and self._source_of(record) is not None:
                return record
        return None

    def shares_errors(self, record: Record) -> bool:
        """Whether the customer lets the partner see what errors its targets gave for this event."""
        source = self._source_of(record)
        return source is not None and source.shares_errors

    def _source_of(self, record: Record) -> PartnerSource | None:
        """The source of the viewer's, as a partner, whose bus an event is on."""
        source = self._services.catalog.get(
            PartnerSource, source_key(record.event.region, record.event.source)
        )
        if source is None or not self.is_partner(source):
            return None
        bus = self._services.catalog.bus(source.account, source.region, source.name)
        return source if bus is not None and bus.log == record.log else None

    async def deliveries_for_partner(self, record: Record) -> Sequence[Delivery]:
        """The deliveries of an event that `find_as_partner` has given: for counting, not for showing."""
        return await self._at(record, COUNTED_AT_MOST)

    async def is_routed(self, record: Record) -> bool:
        """Whether the rules of its bus have been asked about an event that was shown."""
        return await self._services.store.cursor(record.log, LIVE) >= record.position

    async def trace_lines(self, event_id: str, limit: int) -> Sequence[TraceLine]:
        """What was recorded of an event, the newest first."""
        text = event_id.encode(errors="replace")

        def pick(line: bytes) -> TraceLine | None:
            found = decode_line(line) if text in line else None
            is_it = found is not None and found.event_id == event_id and self.viewer.is_own(found.account)
            return found if is_it else None

        return await self._services.traces.find(pick, limit, text)

    async def newest(
        self,
        logs: Sequence[str],
        *,
        before: Mark | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[Record]:
        """The events of those of `logs` that are the viewer's, the newest first; as `newest_first.merged`."""
        own = [info for info in await self.logs() if info.log in set(logs)]
        async for record in merged(self._services.store, own, before=before, since=since, until=until):
            yield record

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

    async def deliveries_at(self, record: Record, limit: int) -> Sequence[Delivery]:
        """The deliveries of an event, up to `limit`."""
        sees = self._judge_of_deliveries()
        return [each for each in await self._at(record, limit) if sees(each)]

    async def _at(self, record: Record, limit: int) -> Sequence[Delivery]:
        query = DeliveryQuery(logs=[record.log], position=record.position, limit=limit)
        return await self._services.store.deliveries(query)

    async def forwarded(self, delivery: Delivery) -> Record | None:
        """The event that a delivery has put on another bus of the viewer's."""
        bus = self._services.catalog.bus_by_arn(delivery.lane)
        if bus is None or delivery.record is None or not self.viewer.is_own(bus.account):
            return None
        dedup_id = derived_id(delivery.record.stored_at, delivery.id, bus.log)
        found = await self._services.store.find([dedup_id])
        return found[0] if found else None

    def subscriber(self, subscription: str) -> tuple[Rule, Target] | None:
        """The rule of the viewer's, and its target, that a subscription is."""
        for rule in self.rules():
            for target in rule.targets:
                if target.subscription == subscription:
                    return rule, target
        return None

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
        self._is_own_log: dict[str, bool] = {}
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
        return is_own_target and self._owns(delivery.log)

    def _owns(self, log: str) -> bool:
        if log not in self._is_own_log:
            self._is_own_log[log] = log in self._sight.buses_by_log([log])
        return self._is_own_log[log]


def _default_bus(log: str) -> BusRef | None:
    kind, _, rest = log.partition(":")
    account, _, region = rest.partition(":")
    if kind != arns.DEFAULT_BUS or not region:
        return None
    return BusRef(account=account, region=region, name=arns.DEFAULT_BUS)
