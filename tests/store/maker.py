"""Opens embedded stores for tests."""

from pathlib import Path

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.store.embedded import EmbeddedStore

PATIENCE_MILLISECONDS = 120_000
"""How long a writer that a test holds up waits; longer than the test does on any machine."""


class EmbeddedMaker:
    """A folder, a clock that stands still, and the store that is open there."""

    def __init__(self, folder: Path, failpoints: Failpoints | None = None) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.failpoints = failpoints or Failpoints()
        self._open: EmbeddedStore | None = None

    async def open(self, **options: int) -> EmbeddedStore:
        self._open = await EmbeddedStore.open(self.folder, self.clock, self.failpoints, **options)
        self._open._tables.connection.execute(f"PRAGMA busy_timeout = {PATIENCE_MILLISECONDS}")
        return self._open

    async def reopen(self) -> EmbeddedStore:
        await self.close()
        return await self.open()

    async def close(self) -> None:
        if self._open is not None:
            await self._open.close()
