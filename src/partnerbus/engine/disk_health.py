"""Whether the store takes events, for those who ask whether this node is ready.

What was put last says so. Nobody puts anything to a node that is not ready, so while it is not, each question
lets the store try the disk anew: the answer after is true again.
"""

import asyncio

from partnerbus.kernel.errors import StoreError
from partnerbus.store.protocol import Store


class DiskHealth:
    """Why the store takes nothing; None while it does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._trouble: str | None = None
        self._probe: asyncio.Task[None] | None = None

    def took(self) -> None:
        """Events were stored."""
        self._trouble = None

    def refused(self, why: str) -> None:
        """The disk did not take events."""
        self._trouble = why

    def ask(self) -> str | None:
        """What is known; if it is trouble, something newer is known soon."""
        if self._trouble is not None and self._probe is None:
            self._probe = asyncio.create_task(self._try())
        return self._trouble

    async def finish(self) -> None:
        """Wait for the try that is under way."""
        if self._probe is not None:
            await self._probe

    async def _try(self) -> None:
        try:
            await self._store.probe()
        except StoreError as error:
            self.refused(str(error))
        else:
            self.took()
        finally:
            self._probe = None
