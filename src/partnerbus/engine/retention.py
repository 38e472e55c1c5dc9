"""What is forgotten: old records that nothing needs, and dead letters that nobody redrove."""

from datetime import timedelta

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.telemetry import Log
from partnerbus.store.protocol import LogInfo, Store

KEEP_RECORDS = timedelta(hours=1)
"""How long a record stays after it was stored, even if nothing needs it: for people, and for repeats."""

KEEP_DEAD_LETTERS = timedelta(days=14)
"""As long as an SQS queue can keep its own (documented for SQS)."""

SWEEP_EVERY = timedelta(minutes=5)
CHUNK = 1_000
"""How many are forgotten in one commit, so that a sweep never holds up publishers."""


class Retention:
    """Forgets what is older than `keep`. The store stops short of what is still needed."""

    def __init__(self, store: Store, clock: Clock, log: Log, keep: timedelta = KEEP_RECORDS) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._keep = keep

    async def sweep(self) -> None:
        """Drop old dead letters, then trim every log, those of deleted buses too."""
        dropped = await self._drop_dead_letters()
        trimmed = 0
        for info in await self._store.logs():
            trimmed += await self._trim(info)
        if dropped or trimmed:
            self._log.info("retention", records_trimmed=trimmed, dead_letters_dropped=dropped)

    async def _drop_dead_letters(self) -> int:
        before = self._clock.now() - KEEP_DEAD_LETTERS
        dropped = chunk = await self._store.drop_dead(before, CHUNK)
        while chunk == CHUNK:
            chunk = await self._store.drop_dead(before, CHUNK)
            dropped += chunk
        return dropped

    async def _trim(self, info: LogInfo) -> int:
        if info.horizon > info.head:
            return 0
        last = await self._store.seek(info.log, self._clock.now() - self._keep)
        if last < info.horizon:
            return 0
        trimmed = chunk = await self._store.trim(info.log, last + 1, CHUNK)
        while chunk == CHUNK:
            chunk = await self._store.trim(info.log, last + 1, CHUNK)
            trimmed += chunk
        return trimmed
