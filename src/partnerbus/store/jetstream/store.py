"""The store of many nodes: its parts, and how it is opened.

A node catches up with the stream and then says in it that it is there (`nodes.Opening`): from then on
whatever an earlier process of the same node still has under way counts no more.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import StoreUnavailable
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.telemetry import Log
from partnerbus.store.embedded.database import SHARED_TABLES, FolderLock, check_only, make_folder
from partnerbus.store.embedded.table_store import PENDING_BYTES, TableStore
from partnerbus.store.jetstream.address import ClusterSettings, parse_cluster
from partnerbus.store.jetstream.catching_up import current_tables, node_name
from partnerbus.store.jetstream.copies import Copier
from partnerbus.store.jetstream.nodes import RELEASE, Releasing
from partnerbus.store.jetstream.publisher import Publisher
from partnerbus.store.jetstream.replica import Replica
from partnerbus.store.jetstream.session import Session
from partnerbus.store.jetstream.stream import Stream
from partnerbus.store.protocol import News


class JetStreamStore(TableStore):
    """A store that this node shares with others. Make it with `open`."""

    def __init__(
        self,
        node: str,
        replica: Replica,
        publisher: Publisher,
        clock: Clock,
        room: int,
        stack: AsyncExitStack,
    ) -> None:
        self.node = node
        self._replica = replica
        self._publisher = publisher
        self._stack = stack
        super().__init__(replica.model.path, replica.seen, clock, publisher, room, damaged=replica.condemn)

    @classmethod
    async def open(
        cls,
        settings: ClusterSettings,
        folder: Path,
        clock: Clock,
        failpoints: Failpoints,
        log: Log,
        *,
        pending_bytes: int = PENDING_BYTES,
    ) -> "JetStreamStore":
        """Open the store of a cluster, with this node's tables in `folder`.

        Folder and stream are made if there are none. `pending_bytes` bounds the bytes of events that wait for
        the cluster. Raises `StoreLocked` if another process has the folder, `ConfigurationError` if the
        cluster or its stream cannot be used, `StoreUnavailable` if it cannot be reached.
        """
        cluster = parse_cluster(settings)
        async with AsyncExitStack() as stack:
            make_folder(folder)
            stack.callback(FolderLock(folder).release)
            check_only(folder, SHARED_TABLES)
            session = await Session.open(cluster)
            stack.push_async_callback(session.close)
            stream = await Stream.open(session, log)
            model = await current_tables(session, stream, folder / SHARED_TABLES, log)
            stack.callback(model.connection.close)
            replica = Replica(session, stream, model, clock)
            stack.push_async_callback(replica.close)
            node = node_name(folder)
            publisher = await replica.start(node, failpoints)
            replica.run_beside(Copier(session, stream, model.path, publisher, clock, log).run())
            return cls(node, replica, publisher, clock, pending_bytes, stack.pop_all())

    def listen(self, news: News) -> None:
        """See `SharedStore.listen`."""
        self._replica.listen(news)

    async def release(self, node: str, key: str, revision: int) -> Sequence[str]:
        """See `SharedStore.release`."""
        return await self._publisher.submit(RELEASE, Releasing(node, key, revision, self._now()))

    async def catch_up(self) -> None:
        """See `SharedStore.catch_up`."""
        await self._replica.catch_up()

    async def close(self) -> None:
        """Finish what was accepted, then let go of the cluster and the folder."""
        if self._closed:
            return
        self._closed = True
        await self._publisher.close()
        await self._stop_reading()
        await self._stack.aclose()

    async def lost(self) -> str:
        """Wait until the store has failed; why."""
        return await self._replica.lost()

    def _check_open(self) -> None:
        if self._replica.failure is not None:
            raise StoreUnavailable(str(self._replica.failure))
        super()._check_open()
