"""Opens embedded stores for tests."""

from pathlib import Path

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.store.embedded import EmbeddedStore


class EmbeddedMaker:
    """A folder, a clock that stands still, and the store that is open there."""

    def __init__(self, folder: Path, failpoints: Failpoints | None = None) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.failpoints = failpoints or Failpoints()
        self._open: EmbeddedStore | None = None

    async def open(self) -> EmbeddedStore:
        self._open = await EmbeddedStore.open(self.folder, self.clock, self.failpoints)
        return self._open

    async def reopen(self) -> EmbeddedStore:
        await self.close()
        return await self.open()

    async def close(self) -> None:
        if self._open is not None:
            await self._open.close()
