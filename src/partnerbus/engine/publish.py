"""Publishing: accepted entries go to the logs of their buses, durably, before anybody is answered."""

import uuid
from collections.abc import Callable, Sequence
from hashlib import blake2b

import msgspec

from partnerbus.model import arns
from partnerbus.model.delivery import NewRecord, Record
from partnerbus.model.resources import EventBus
from partnerbus.store.protocol import LogStore
from partnerbus.targets.invoker import Invocation

DEDUP_ID_BYTES = 16

News = Callable[[str, int], None]
"""Called with a log and the position of a record that was stored in it."""


class Publisher:
    """The only way into a log; it tells the routers of each record that was stored."""

    def __init__(self, store: LogStore, news: News = lambda _log, _position: None) -> None:
        self._store = store
        self._news = news

    async def publish(self, records: Sequence[NewRecord]) -> Sequence[Record]:
        """Store the records, all or none; they are on disk when this returns."""
        stored = await self._store.append(records)
        for record in stored:
            self._news(record.log, record.position)
        return stored

    async def forward(self, invocation: Invocation, bus: EventBus) -> None:
        """Put the event of a delivery into `bus`, once however often this is called.

        Account, region and source stay the sender's. The id is kept within a region, and another one across
        regions (recorded), derived so that a repeat has it too.
        """
        rule, event = invocation.rule, invocation.record.event
        dedup_id = derived_id(invocation.delivery_id, bus.log)
        if rule.region != bus.region:
            event = msgspec.structs.replace(event, id=str(uuid.UUID(bytes=dedup_id, version=4)))
        via = arns.bus_arn(rule.region, rule.account, rule.bus)
        await self.publish([NewRecord(log=bus.log, dedup_id=dedup_id, event=event, via=via)])


def derived_id(*parts: str) -> bytes:
    """What tells a repeated append, made of what it is about."""
    return blake2b("\0".join(parts).encode(), digest_size=DEDUP_ID_BYTES).digest()
