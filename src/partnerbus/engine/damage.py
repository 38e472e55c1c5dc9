"""Events that the disk has changed before any rule was asked: routers pass them over, and people are told."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import EventDamaged, RevisionConflict
from partnerbus.kernel.telemetry import Log
from partnerbus.model.resources import DAMAGED_EVENTS, DamagedEvent

TOLD_FOR = timedelta(days=14)
"""How long health names one: as long as a dead letter is kept."""

TOLD_AT_MOST = 100
"""How many are named at once; of a disk that has changed more the log has all."""

SWEEP_EVERY = timedelta(hours=1)


class Damage:
    """Writes down which events were passed over."""

    def __init__(self, catalog: Catalog, clock: Clock, log: Log) -> None:
        self._catalog = catalog
        self._clock = clock
        self._log = log

    async def note(self, found: EventDamaged) -> None:
        """One is about to be passed over. That may be said again."""
        self._log.error(
            "stored event damaged, not routed",
            log=found.log,
            position=found.position,
            event_id=found.event_id,
        )
        if sum(1 for _ in damaged_events(self._catalog)) >= TOLD_AT_MOST:
            return
        noted = DamagedEvent(
            log=found.log, position=found.position, event_id=found.event_id, found_at=self._clock.now()
        )
        with suppress(RevisionConflict):
            await self._catalog.create(noted)

    async def sweep(self) -> None:
        """Forget those that were told of for long."""
        before = self._clock.now() - TOLD_FOR
        for each in list(damaged_events(self._catalog)):
            if each.found_at < before:
                with suppress(RevisionConflict):
                    await self._catalog.remove(each)


def damaged_events(catalog: Catalog) -> Iterator[DamagedEvent]:
    """Those that are told of."""
    return catalog.list(DamagedEvent, DAMAGED_EVENTS)
