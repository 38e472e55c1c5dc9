"""Publishing: accepted entries go to the logs of their buses, durably, before anybody is answered."""

from collections.abc import Callable, Sequence

import msgspec

from partnerbus.engine.backpressure import Backpressure
from partnerbus.engine.bus_logs import BusLogs
from partnerbus.engine.disk_health import DiskHealth
from partnerbus.kernel.errors import StoreOverloaded, StoreUnavailable
from partnerbus.kernel.ids import derived_id, id_text
from partnerbus.model import arns
from partnerbus.model.delivery import NewRecord, Record
from partnerbus.model.resources import EventBus
from partnerbus.store.protocol import LogStore
from partnerbus.targets.invoker import Invocation

BEHIND = "Too many events of this bus wait to be matched or delivered; try again later."

News = Callable[[str, int], None]
"""Called with a log and the position of a record that was stored in it."""


class Publisher:
    """The only way into the log of a bus; it tells the routers and the bus logs of each stored record.

    `saw_live` is called before anything is stored that is not replayed. Whoever publishes for somebody that
    can try again asks first whether the log `is_behind`; what is due by the clock is published anyway.
    """

    def __init__(
        self,
        store: LogStore,
        news: News = lambda _log, _position: None,
        bus_logs: BusLogs | None = None,
        saw_live: Callable[[], None] = lambda: None,
        backpressure: Backpressure | None = None,
        disk_health: DiskHealth | None = None,
    ) -> None:
        self._store = store
        self._news = news
        self._bus_logs = bus_logs
        self._saw_live = saw_live
        self._backpressure = backpressure
        self._disk_health = disk_health

    async def publish(self, records: Sequence[NewRecord], request_id: str | None = None) -> Sequence[Record]:
        """Store the records, all or none; they are on disk when this returns."""
        if any(record.event.replay_name is None for record in records):
            self._saw_live()
        try:
            stored = await self._store.append(records)
        except Exception as error:
            if isinstance(error, StoreUnavailable) and self._disk_health is not None:
                self._disk_health.refused(str(error))
            self.refused(records, str(error), request_id)
            raise
        if self._disk_health is not None:
            self._disk_health.took()
        for log, newest in {record.log: record.position for record in stored}.items():
            self._news(log, newest)
        if self._backpressure is not None:
            for record in stored:
                self._backpressure.stored(record.log)
        if self._bus_logs is not None:
            self._bus_logs.stored(stored, request_id)
        return stored

    def is_behind(self, log: str) -> bool:
        """Whether too much of `log` waits for routers and targets, so that it takes no more for now."""
        return self._backpressure is not None and self._backpressure.is_behind(log)

    def refused(self, records: Sequence[NewRecord], why: str, request_id: str | None) -> None:
        """These were meant for their buses, and will not be stored."""
        if self._bus_logs is not None:
            self._bus_logs.not_stored(records, why, request_id)

    async def forward(self, invocation: Invocation, bus: EventBus) -> None:
        """Put the event of a delivery into `bus`, once however often this is called.

        Account, region and source stay the sender's. The id is kept within a region, and another one across
        regions (recorded), derived so that a repeat has it too.
        """
        if self.is_behind(bus.log):
            raise StoreOverloaded(BEHIND)
        rule, event = invocation.rule, invocation.record.event
        dedup_id = derived_id(invocation.record.stored_at, invocation.delivery_id, bus.log)
        if rule.region != bus.region:
            event = msgspec.structs.replace(event, id=id_text(dedup_id))
        via = arns.bus_arn(rule.region, rule.account, rule.bus)
        await self.publish([NewRecord(log=bus.log, dedup_id=dedup_id, event=event, via=via)])
