"""What is forgotten: records that nothing needs, copies that archives keep no longer, old dead letters."""

from datetime import timedelta

from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.telemetry import Log
from partnerbus.model.resources import ARCHIVE_LOGS, Archive, Replay
from partnerbus.store.protocol import START, LogInfo, Store

KEEP_RECORDS = timedelta(hours=1)
"""How long a record stays after it was stored, even if nothing needs it: for people, and for repeats."""

KEEP_DEAD_LETTERS = timedelta(days=14)
"""As long as an SQS queue can keep its own (documented for SQS)."""

SWEEP_EVERY = timedelta(minutes=5)
CHUNK = 1_000
"""How many are forgotten in one call; the store sees to it that a sweep never holds up publishers."""


class Retention:
    """Forgets what is older than `keep`, in an archive what is older than that archive says.

    The store stops short of what is still needed.
    """

    def __init__(
        self, store: Store, catalog: Catalog, clock: Clock, log: Log, keep: timedelta = KEEP_RECORDS
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._log = log
        self._keep = keep

    async def sweep(self) -> None:
        """Drop old dead letters, then trim every log, those of deleted buses and archives too.

        An archive that is being replayed waits: the replay has a cursor on it.
        """
        dropped = await self._drop_dead_letters()
        logs = await self._store.logs()  # first: the archive of a log that is there by then is known
        archives = {archive.log: archive for archive in self._catalog.list(Archive, "archive:")}
        trimmed = 0
        replayed = {each.archive_log for each in self._catalog.list(Replay, "replay:") if each.is_active}
        for info in logs:
            if info.log in replayed and info.log in archives:
                continue
            last = await self._last_to_forget(info, archives.get(info.log))
            trimmed += await self._trim(info, last)
        if dropped or trimmed:
            self._log.info("retention", records_trimmed=trimmed, dead_letters_dropped=dropped)

    async def _drop_dead_letters(self) -> int:
        before = self._clock.now() - KEEP_DEAD_LETTERS
        dropped = chunk = await self._store.drop_dead(before, CHUNK)
        while chunk == CHUNK:
            chunk = await self._store.drop_dead(before, CHUNK)
            dropped += chunk
        return dropped

    async def _last_to_forget(self, info: LogInfo, archive: Archive | None) -> int:
        """The position up to which a log is too old; that of its head if its archive was deleted."""
        keep: timedelta | None = self._keep
        if info.log.startswith(ARCHIVE_LOGS):
            keep = timedelta(0) if archive is None else archive.retention
        if keep is None or info.horizon > info.head:
            return START
        return info.head if not keep else await self._store.seek(info.log, self._clock.now() - keep)

    async def _trim(self, info: LogInfo, last: int) -> int:
        if last < info.horizon:
            return 0
        trimmed = chunk = await self._store.trim(info.log, last + 1, CHUNK)
        while chunk == CHUNK:
            chunk = await self._store.trim(info.log, last + 1, CHUNK)
            trimmed += chunk
        return trimmed
