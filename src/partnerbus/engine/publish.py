"""Publishing: accepted entries go to the logs of their buses, durably, before anybody is answered."""

from collections.abc import Sequence

from partnerbus.model.delivery import NewRecord, Record
from partnerbus.store.protocol import LogStore


class Publisher:
    """The only way into a log."""

    def __init__(self, store: LogStore) -> None:
        self._store = store

    async def publish(self, records: Sequence[NewRecord]) -> Sequence[Record]:
        """Store the records, all or none; they are on disk when this returns."""
        return await self._store.append(records)
