"""Which logs take no more, because too much of them waits to be routed or delivered.

What routers and targets are behind with waits on the disk, not in memory, and may wait there for long: a
target can be down for a day. But a publisher that is faster than they are for good would fill the disk, and
then nobody could publish. So a log that has more unrouted events, or more pending deliveries, than `Bounds`
allow is *behind*, and its publishers are told to try again later; those of other logs notice nothing.

The store knows the numbers. It is asked now and then: after every so many events of a log, and, while
it is behind, whenever one was refused. So a log may go beyond its bounds by what is put meanwhile.
"""

import asyncio

import msgspec

from partnerbus.kernel.errors import StoreError
from partnerbus.kernel.telemetry import Log
from partnerbus.store.protocol import DeliveryStore, Ledger

LOOK_AFTER = 1_000
"""After so many events of a log, or a tenth of what it may have, its ledger is looked at."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one log may wait; 0 is any number."""

    unrouted_events: int = 1_000_000
    pending_deliveries: int = 10_000_000

    def exceeded_by(self, ledger: Ledger) -> str | None:
        """What of it is too much, in words."""
        if self.unrouted_events and ledger.unrouted > self.unrouted_events:
            return f"{ledger.unrouted} events wait to be matched"
        if self.pending_deliveries and ledger.pending > self.pending_deliveries:
            return f"{ledger.pending} deliveries wait for their targets"
        return None

    @property
    def look_after(self) -> int:
        """After how many events of a log to look again."""
        least = min(filter(None, (self.unrouted_events, self.pending_deliveries)), default=LOOK_AFTER)
        return min(LOOK_AFTER, max(1, least // 10))


class Backpressure:
    """Tells which logs are behind. It never waits for the store: it goes by what it saw last."""

    def __init__(self, store: DeliveryStore, log: Log, bounds: Bounds) -> None:
        self._store = store
        self._log = log
        self._bounds = bounds
        self._since_look: dict[str, int] = {}
        self._behind: dict[str, str] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}

    @property
    def behind(self) -> frozenset[str]:
        """The logs that take no more."""
        return frozenset(self._behind)

    def stored(self, log: str) -> None:
        """An event was stored in `log`."""
        count = self._since_look.get(log, self._bounds.look_after) + 1
        self._since_look[log] = count
        if count > self._bounds.look_after:
            self._look_soon(log)

    def is_behind(self, log: str) -> bool:
        """Whether `log` takes no more for now. Who was refused may try again in a moment."""
        if log not in self._behind:
            return False
        self._look_soon(log)
        return True

    async def finish(self) -> None:
        """Wait for the looks that are under way."""
        await asyncio.gather(*self._looking.values())

    def _look_soon(self, log: str) -> None:
        if log not in self._looking:
            self._looking[log] = asyncio.create_task(self._look(log))

    async def _look(self, log: str) -> None:
        self._since_look[log] = 0
        try:
            why = self._bounds.exceeded_by(await self._store.ledger(log))
        except StoreError as error:
            self._log.warning("ledger not read", log=log, error=str(error))
        else:
            self._note(log, why)
        finally:
            del self._looking[log]

    def _note(self, log: str, why: str | None) -> None:
        if why is None:
            if self._behind.pop(log, None) is not None:
                self._log.info("takes events again", log=log)
        else:
            if log not in self._behind:
                self._log.warning("takes no more events", log=log, why=why)
            self._behind[log] = why
