"""Which node does what: the logs, lanes and duties of a cluster, shared among the nodes that live.

Each node has a lease: it writes into the registry that it is there, and until when. Whatever there is to do
(routing a log, making the attempts of a lane, a duty that one node has for all) belongs to one of the nodes
whose leases run, the one with the highest hash of its name and the work's. So a node that comes or goes moves
only its own share, and nobody has to be asked.

Nodes may disagree for a moment: a change is on its way, or a node was stopped and does not know that its
lease has ended. Then two of them do the same work, and the order of the store decides: of two that advance
one cursor the second is refused (`CursorMoved`), a delivery is claimed by one, a settlement of a claim that
another has taken over comes to nothing, and what fires has an id that is derived. That costs work, never an
invariant. What no order guards, the rate and the window of a lane, may then be had twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Protocol

import msgspec

from partnerbus.engine.catalog import Catalog
from partnerbus.engine.supervisor import Sweep
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import RevisionConflict, StoreError
from partnerbus.kernel.telemetry import Log
from partnerbus.model.resources import AnyResource, ClusterNode, Role, node_key

LEASE = timedelta(seconds=10)
RENEW_EVERY = LEASE / 5

REMEMBERED = timedelta(hours=1)
"""How long a node that is gone is still shown."""

OWNERS_REMEMBERED = 100_000
ALL_NODES = node_key("")


class Shares(Protocol):
    """What this node has to do. `listen` tells when that may be something else."""

    def routes(self, log: str) -> bool:
        """Whether it routes `log`."""

    def delivers(self, lane: str) -> bool:
        """Whether it makes the attempts of `lane`."""

    def listen(self, changed: Callable[[], None]) -> None:
        """Call `changed`, in the event loop, whenever the shares change."""

    def alone(self, duty: str, run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """`run`, for as long and as often as `duty` is this node's."""

    def sweep(self, sweep: Sweep) -> Sweep:
        """`sweep`, of which nothing is done while it is another node's."""

    async def run(self) -> None:
        """Keep this node's share, until cancelled."""

    async def leave(self) -> None:
        """Give it up, so that the others need not wait."""


class Everything:
    """The share of a node that is the only one."""

    def routes(self, _log: str) -> bool:
        return True

    def delivers(self, _lane: str) -> bool:
        return True

    def listen(self, changed: Callable[[], None]) -> None:
        """Nothing ever changes."""

    def alone(self, _duty: str, run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        return run

    def sweep(self, sweep: Sweep) -> Sweep:
        return sweep

    async def run(self) -> None:
        """There is nothing to keep."""

    async def leave(self) -> None:
        """There is nobody to tell."""


class Share:
    """The share of one node of several. `me` is what it says of itself; its lease is set here.

    `release` is the store's (`SharedStore.release`).
    """

    def __init__(
        self,
        catalog: Catalog,
        clock: Clock,
        log: Log,
        me: Callable[[], ClusterNode],
        release: Callable[[str, str, int], Awaitable[Sequence[str]]],
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._log = log
        self._me = me
        self._release = release
        self._name = me().name
        self._living: Sequence[ClusterNode] = ()
        self._valid_until: datetime | None = None
        self._is_mine: dict[tuple[Role, str], bool] = {}
        self._gone: dict[str, int] = {}
        self._released: set[tuple[str, int]] = set()
        self._listeners: list[Callable[[], None]] = []
        catalog.listen(self._changed)

    # -- whose it is -----------------------------------------------------------------------------------

    def routes(self, log: str) -> bool:
        return self._has(Role.ROUTE, log)

    def delivers(self, lane: str) -> bool:
        return self._has(Role.DELIVER, lane)

    def _has(self, role: Role, work: str) -> bool:
        self._look()
        found = self._is_mine.get((role, work))
        if found is None:
            if len(self._is_mine) >= OWNERS_REMEMBERED:
                self._is_mine.clear()
            found = self._is_mine[role, work] = owner(self._living, role, work) == self._name
        return found

    def _look(self) -> None:
        """See who lives, if that may have changed."""
        now = self._clock.now()
        if self._valid_until is not None and now < self._valid_until:
            return
        before = self._living
        nodes = self._catalog.list(ClusterNode, ALL_NODES)
        self._living = [node for node in nodes if node.leased_until > now]
        self._valid_until = min((node.leased_until for node in self._living), default=None)
        if _shares_of(self._living) != _shares_of(before):
            self._is_mine.clear()
            self._log.info("nodes", living=[node.name for node in self._living])
            self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    # -- following -------------------------------------------------------------------------------------

    def listen(self, changed: Callable[[], None]) -> None:
        self._listeners.append(changed)

    def _changed(self, key: str, _before: AnyResource | None, _after: AnyResource | None) -> None:
        if key.startswith(ALL_NODES):
            self._valid_until = None
            self._look()

    def alone(self, duty: str, run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        changed = asyncio.Event()
        self.listen(changed.set)

        async def run_while_mine() -> None:
            while True:
                while not self.routes(duty):
                    changed.clear()
                    await changed.wait()
                await self._run_until(run, changed, duty)

        return run_while_mine

    async def _run_until(self, run: Callable[[], Awaitable[None]], changed: asyncio.Event, duty: str) -> None:
        """Run until `duty` is another node's; what it raises is raised."""
        task = asyncio.ensure_future(run())
        try:
            while not task.done() and self.routes(duty):
                changed.clear()
                waiting = asyncio.ensure_future(changed.wait())
                await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
        finally:
            if not task.done():
                task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    def sweep(self, sweep: Sweep) -> Sweep:
        async def run() -> None:
            if self.routes(f"sweep {sweep.name}"):
                await sweep.run()

        return msgspec.structs.replace(sweep, run=run)

    # -- this node's lease -----------------------------------------------------------------------------

    async def run(self) -> None:
        while True:
            try:
                await self._renew()
                await self._take_over()
                await self._forget_old()
            except RevisionConflict:
                await asyncio.sleep(0)
                continue  # somebody forgot us in the meantime
            except StoreError as error:
                self._log.warning("leases of nodes not kept", error=str(error))
            await self._clock.sleep(RENEW_EVERY)
            self._look()

    async def _renew(self) -> None:
        mine = msgspec.structs.replace(self._me(), leased_until=self._clock.now() + LEASE)
        before = self._catalog.get(ClusterNode, mine.key)
        if before is None:
            await self._catalog.create(mine)
        else:
            await self._catalog.replace(before, mine)

    async def _take_over(self) -> None:
        """Release what nodes have claimed that are gone: an attempt of theirs would never be settled.

        Whose lease has only just been seen to have ended gets until our next renewal to renew it, too: if the
        store was away for long, all leases have ended, and one node is the first to renew its own.
        """
        now = self._clock.now()
        nodes = self._catalog.list(ClusterNode, ALL_NODES)
        gone = {node.name: self._catalog.revision(node.key) for node in nodes if node.leased_until <= now}
        self._released.intersection_update(gone.items())
        for name, revision in (gone.items() & self._gone.items()) - self._released:
            if self.routes(f"claims of {name}"):
                lanes = await self._release(name, node_key(name), revision)
                self._released.add((name, revision))
                self._log.info("took over what a node had claimed", node=name, lanes=len(lanes))
                self._tell()
        self._gone = gone

    async def _forget_old(self) -> None:
        before = self._clock.now() - REMEMBERED
        for node in list(self._catalog.list(ClusterNode, ALL_NODES)):
            if node.leased_until < before:
                await self._catalog.remove(node)

    async def leave(self) -> None:
        found = self._catalog.get(ClusterNode, node_key(self._name))
        if found is not None:
            try:
                await self._catalog.remove(found)
            except StoreError as error:
                self._log.warning("this node's lease was not given up", error=str(error))


def owner(nodes: Sequence[ClusterNode], role: Role, work: str) -> str | None:
    """The name of the node that has that work, None if nobody is there for it."""
    able = [node.name for node in nodes if role in node.roles]
    return max(able, key=lambda name: (_weight(name, work), name), default=None)


def _weight(node: str, work: str) -> bytes:
    return blake2b(f"{node}\0{work}".encode(), digest_size=8).digest()


def _shares_of(nodes: Sequence[ClusterNode]) -> Sequence[tuple[str, Sequence[Role]]]:
    return [(node.name, node.roles) for node in nodes]
