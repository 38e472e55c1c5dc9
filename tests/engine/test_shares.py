"""Work belongs to one of the nodes whose leases run; a node that comes or goes moves only its own share."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from partnerbus.engine.catalog import Catalog
from partnerbus.engine.shares import LEASE, RENEW_EVERY, Share, owner
from partnerbus.engine.supervisor import Sweep
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.telemetry import make_log
from partnerbus.model.resources import ClusterNode, Role, node_key
from partnerbus.store.embedded import EmbeddedStore

WORK = [f"log{number}" for number in range(200)]


def node(name: str, *roles: Role) -> ClusterNode:
    now = ManualClock().now()
    return ClusterNode(
        name=name, url="", roles=roles or tuple(Role), started_at=now, leased_until=now + LEASE
    )


def owners(*nodes: ClusterNode) -> dict[str, str | None]:
    return {work: owner(nodes, Role.ROUTE, work) for work in WORK}


def test_all_have_a_share() -> None:
    found = list(owners(node("a"), node("b"), node("c")).values())
    assert all(found.count(name) > len(WORK) / 6 for name in "abc")


def test_who_goes_moves_only_its_own_share() -> None:
    before, after = owners(node("a"), node("b"), node("c")), owners(node("a"), node("c"))
    assert all(after[work] == before[work] for work in WORK if before[work] != "b")


def test_only_who_has_the_role_is_asked() -> None:
    edge, router = node("a", Role.EDGE), node("b", Role.ROUTE)
    assert set(owners(edge, router).values()) == {"b"}
    assert set(owners(edge).values()) == {None}


class World:
    """One node among others, whose words are put into its registry."""

    def __init__(self, store: EmbeddedStore, clock: ManualClock) -> None:
        self.clock = clock
        self.catalog = Catalog(store, clock)
        self.share = Share(self.catalog, clock, make_log("error"), lambda: node("a"), self._release)
        self.released: list[tuple[str, int]] = []
        self._renewing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.catalog.load()
        self._renewing = asyncio.create_task(self.share.run())
        while not self.share.routes("anything"):  # noqa: ASYNC110 (each step lets the store answer)
            await asyncio.sleep(0.001)

    async def renewed(self) -> None:
        """Wait until its lease is as long as it can be."""
        while (found := self.catalog.get(ClusterNode, node_key("a"))) is None or (  # noqa: ASYNC110
            found.leased_until < self.clock.now() + LEASE
        ):
            await asyncio.sleep(0.001)

    async def _release(self, name: str, key: str, revision: int) -> Sequence[str]:
        assert key == node_key(name)
        self.released.append((name, revision))
        return ["lane"]

    async def rounds(self, count: int) -> None:
        """Let it renew its lease so often."""
        for _ in range(count):
            await self.clock.advance(RENEW_EVERY)
            await self.renewed()

    async def stop(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])

    async def other(self, name: str) -> ClusterNode:
        found = msgspec.structs.replace(node(name), leased_until=self.clock.now() + LEASE)
        await self.catalog.create(found)
        return found

    @property
    def mine(self) -> int:
        return sum(map(self.share.routes, WORK))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock = ManualClock()
    store = await EmbeddedStore.open(tmp_path, clock, Failpoints())
    world = World(store, clock)
    await world.start()
    yield world
    await world.stop()
    await store.close()


async def test_what_another_node_leaves_is_taken_over(world: World) -> None:
    changes: list[int] = []
    world.share.listen(lambda: changes.append(world.mine))
    assert world.mine == len(WORK)
    other = await world.other("b")
    assert 0 < world.mine < len(WORK)
    await world.catalog.remove(other)
    assert world.mine == len(WORK)
    assert len(changes) == 2


async def test_a_node_that_is_silent_for_a_lease_has_no_share(world: World) -> None:
    await world.other("b")
    await world.rounds(6)
    assert world.mine == len(WORK)


async def test_what_a_node_that_is_gone_had_claimed_is_released_once(world: World) -> None:
    changes: list[int] = []
    other = await world.other("b")
    revision = world.catalog.revision(other.key)
    await world.rounds(5)
    world.share.listen(lambda: changes.append(world.mine))
    assert not world.released
    await world.rounds(4)
    assert world.released == [("b", revision)]
    assert len(changes) == 1


async def test_whoever_comes_back_at_once_keeps_its_claims(world: World) -> None:
    """After the store was away for longer than the leases, one is the first to have its own again."""
    other = await world.other("b")
    await world.rounds(5)
    back = msgspec.structs.replace(other, leased_until=world.clock.now() + 2 * LEASE)
    await world.catalog.replace(other, back)
    await world.rounds(4)
    assert not world.released


async def test_one_node_releases_what_another_had_claimed(world: World) -> None:
    """If this one is not asked to, a third one is."""
    names = [f"n{number}" for number in range(50)]
    third = await world.other("third")
    for name in names:
        await world.other(name)
    for _ in range(8):
        await world.rounds(1)
        now = world.catalog.get(ClusterNode, third.key)
        assert now is not None
        await world.catalog.replace(
            now, msgspec.structs.replace(now, leased_until=world.clock.now() + 2 * LEASE)
        )
    released = {name for name, _ in world.released}
    assert released == {
        name for name in names if owner([node("a"), third], Role.ROUTE, f"claims of {name}") == "a"
    }
    assert 0 < len(released) < len(names)


async def test_a_node_that_cannot_renew_its_lease_does_nothing(world: World) -> None:
    await world.stop()
    await world.clock.advance(LEASE + timedelta(seconds=1))
    assert world.mine == 0


async def test_a_duty_is_done_while_it_is_this_nodes(world: World) -> None:
    began: list[int] = []
    ended: list[int] = []
    swept: list[int] = []

    async def work() -> None:
        began.append(1)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    async def sweep() -> None:
        swept.append(1)

    others = [node(f"n{number}") for number in range(50)]
    rival = next(each for each in others if owner([node("a"), each], Role.ROUTE, "duty") != "a")
    task = asyncio.ensure_future(world.share.alone("duty", work)())
    while not began:  # noqa: ASYNC110 (a step of the loop)
        await asyncio.sleep(0)
    there = await world.other(rival.name)
    while not ended:  # noqa: ASYNC110 (a step of the loop)
        await asyncio.sleep(0)
    assert not world.share.routes("duty")
    await world.catalog.remove(there)
    while len(began) < 2:  # noqa: ASYNC110 (a step of the loop)
        await asyncio.sleep(0)
    await world.share.sweep(Sweep("any", LEASE, sweep)).run()  # it is alone now
    assert swept == [1]
    task.cancel()
    await asyncio.wait([task])
    assert len(ended) == 2
