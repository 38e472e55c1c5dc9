"""What one viewer may see of deliveries: each one, and in numbers."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

import msgspec

from partnerbus.api.admin.request import AdminServices
from partnerbus.api.admin.sight_events import EVER, EventSight, read_sound
from partnerbus.engine.tallies import Minute, Tally
from partnerbus.kernel.ids import derived_id
from partnerbus.model.arns import Arn
from partnerbus.model.delivery import Delivery, Record, Redrive
from partnerbus.model.resources import EventBus, PartnerSource, Rule, Target, bus_key, rule_key
from partnerbus.store.protocol import LIVE, Backlog, DeliveryQuery, Ledger

ROWS_AT_ONCE = 2_000
LEAST_AT_ONCE = 10

COUNTED_AT_MOST = 10_000
"""How many deliveries of one event are counted for a partner."""


class Page(msgspec.Struct, frozen=True):
    """Deliveries that the viewer may see, of those that were looked at; the last of these was `last`."""

    found: Sequence[Delivery]
    last: str
    looked_at: int


class SourceBus(msgspec.Struct, frozen=True, kw_only=True):
    """The bus of a partner source, in numbers."""

    log: str
    ledger: Ledger
    subscriptions: Sequence[str]


class DeliverySight(EventSight):
    """The part of a `Sight` that is about deliveries."""

    async def look(self, query: DeliveryQuery) -> AsyncIterator[Page]:
        """The deliveries that `query` is for, the newest event first, in pages of `query.limit` at most."""
        sees = self._judge_of_deliveries()
        if query.logs is None and not self.viewer.is_operator:
            query = msgspec.structs.replace(query, logs=list(await self.logs_with_own_deliveries()))
        if query.logs is not None:  # of each of them a store may have to read as many as are asked for
            most = max(LEAST_AT_ONCE, ROWS_AT_ONCE // max(1, len(query.logs)))
            query = msgspec.structs.replace(query, limit=min(query.limit, most))
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

    def subscribers(self) -> Mapping[str, tuple[Rule, Target]]:
        """The viewer's rules and their targets, by subscription."""
        return {target.subscription: (rule, target) for rule in self.rules() for target in rule.targets}

    async def redrive(self, found: Sequence[Delivery], how: Redrive) -> int:
        """Redrive dead letters that this sight has shown; give how many were dead."""
        return await self._services.redrive([(each.subscription, each.position) for each in found], how)

    async def deliveries_for_partner(self, record: Record) -> Sequence[Delivery]:
        """The deliveries of an event that `find_as_partner` has given: for counting, not for showing."""
        return await self._at(record, COUNTED_AT_MOST)

    def _judge_of_deliveries(self) -> "_Judge":
        return _Judge(self._services, self)

    # -- in numbers ------------------------------------------------------------------------------------

    async def bus_of_source(self, source: PartnerSource) -> "SourceBus | None":
        """What became of the events of a source of the viewer's, as its customer or partner: for counting."""
        bus = self._services.catalog.get(EventBus, bus_key(source.account, source.region, source.name))
        if bus is None or not (self.is_customer(source) or self.is_partner(source)):
            return None
        rules = self._services.catalog.list(Rule, rule_key(bus.account, bus.region, bus.name, ""))
        return SourceBus(
            log=bus.log,
            ledger=await self._services.store.ledger(bus.log),
            subscriptions=[target.subscription for rule in rules for target in rule.targets],
        )

    async def backlog(self) -> Sequence[Backlog]:
        """Of every subscription: ask it of those that were shown."""
        return await self._services.store.backlog()

    def tally(self, subscription: str) -> Tally:
        """What became of a subscription's attempts; all zeros where no server counts them."""
        tallies = self._services.tallies()
        return tallies.of(subscription) if tallies is not None else Tally()

    def minutes(self, subscriptions: Sequence[str]) -> list[Minute]:
        tallies = self._services.tallies()
        return tallies.minutes(subscriptions) if tallies is not None else []

    @property
    def counted_since(self) -> datetime | None:
        tallies = self._services.tallies()
        return tallies.since if tallies is not None else None

    async def lag_seconds(self, log: str) -> float:
        """How long ago the oldest event of a log was stored that is not routed yet."""
        cursor = await self._services.store.cursor(log, LIVE)
        for record in await read_sound(self._services.store, log, cursor, 1):
            return max(0.0, (self.now() - record.stored_at).total_seconds())
        return 0.0


class _Judge:
    """Whether deliveries are the viewer's, by the rules and buses of now."""

    def __init__(self, services: AdminServices, sight: EventSight) -> None:
        self._sight = sight
        self._viewer = sight.viewer
        self._since = sight.since or EVER
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
        """Whether both ends of a delivery whose rule is gone are the viewer's, and were so then."""
        arn = Arn.parse(delivery.lane)
        is_own_target = arn is not None and self._viewer.is_own(arn.account)
        stored_at = delivery.record.stored_at if delivery.record is not None else delivery.owed_at
        return is_own_target and stored_at >= self._since and self._owns(delivery.log)

    def _owns(self, log: str) -> bool:
        if log not in self._is_own_log:
            self._is_own_log[log] = log in self._sight.buses_by_log([log])
        return self._is_own_log[log]
