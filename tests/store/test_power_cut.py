"""A power cut may forget a tail of the WAL. Every tail that it may forget is tried."""

import shutil
from pathlib import Path

import msgspec

from partnerbus.model.delivery import Delivery, DeliveryState, Record
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.store.protocol import START, DeliveryQuery, Kept, Ledger, Revised
from partnerbus.testing.store_contract.world import DEAD, DELIVERED, LEASE, fill, new_record, owe
from tests.store.maker import EmbeddedMaker

WAL = "partnerbus.db-wal"


class Snapshot(msgspec.Struct):
    """Everything that can be read of a store."""

    records: list[Record]
    kept: list[Record]
    copies: list[Record]
    cursor: int
    deliveries: list[Delivery]
    ledger: Ledger
    registry: list[Revised]


async def snapshot(store: EmbeddedStore) -> Snapshot:
    return Snapshot(
        records=list(await store.read("log", START, limit=1000)),
        kept=list(await store.read("archive", START, limit=1000)),
        copies=list(await store.read("copies", START, limit=1000)),
        cursor=await store.cursor("log", "live"),
        deliveries=list(await store.deliveries(DeliveryQuery(limit=1000))),
        ledger=await store.ledger("log"),
        registry=list(await store.list("")),
    )


def freed(seen: Snapshot, maker: EmbeddedMaker) -> Snapshot:
    """What opening makes of it: claims of the process that is gone are owed at once."""
    deliveries = [
        msgspec.structs.replace(delivery, state=DeliveryState.OWED, due_at=maker.clock.now())
        if delivery.state is DeliveryState.CLAIMED
        else delivery
        for delivery in seen.deliveries
    ]
    return msgspec.structs.replace(seen, deliveries=deliveries)


async def opened_with(maker: EmbeddedMaker, folder: Path, size: int) -> Snapshot:
    """What a store finds whose WAL ends after `size` bytes."""
    shutil.copytree(maker.folder, folder)
    with (folder / WAL).open("r+b") as wal:
        wal.truncate(size)
    store = await EmbeddedStore.open(folder, maker.clock, maker.failpoints)
    try:
        return await snapshot(store)
    finally:
        await store.close()
        shutil.rmtree(folder)


class History:
    """The store after each commit, and where the WAL ended then."""

    def __init__(self, maker: EmbeddedMaker, store: EmbeddedStore) -> None:
        self._maker = maker
        self._store = store
        self.steps: list[tuple[int, Snapshot]] = []
        self.last_on_disk = 0

    async def took_place(self, *, on_disk: bool) -> None:
        size = (self._maker.folder / WAL).stat().st_size
        self.steps.append((size, await snapshot(self._store)))
        if on_disk:
            self.last_on_disk = len(self.steps) - 1


async def busy_life(maker: EmbeddedMaker, store: EmbeddedStore) -> History:
    """Two commits that are on disk, then a tail that need not be."""
    history = History(maker, store)
    stored = await fill(store, 6)
    await history.took_place(on_disk=True)
    await owe(store, stored[:2])
    await history.took_place(on_disk=False)
    await store.put("k", b"v", 0)
    await history.took_place(on_disk=True)
    kept = [Kept(log="archive", record=stored[2])]
    await store.advance("log", "live", stored[2].position, owed=[], unmatched=0, kept=kept)
    await history.took_place(on_disk=False)
    claims = [*(await store.claim("lane", 1, LEASE)).claims]
    await history.took_place(on_disk=False)
    claims += await owe(store, stored[3:5], born=True)
    await history.took_place(on_disk=False)
    for claim, settlement in zip(claims, (DELIVERED, DEAD, DELIVERED), strict=True):
        assert await store.settle(claim, settlement)
        await history.took_place(on_disk=False)
    await store.redrive([("sub", stored[3].position)])
    await history.took_place(on_disk=False)
    await store.append([new_record(50, "copies")], ordered=True)
    await history.took_place(on_disk=False)
    assert await store.trim("log", stored[5].position) == 1
    await history.took_place(on_disk=False)
    return history


async def test_a_lost_tail_takes_whole_commits_from_the_end(maker: EmbeddedMaker, tmp_path: Path) -> None:
    store = await maker.open()
    history = await busy_life(maker, store)
    assert history.last_on_disk == 2
    for index, (size, seen) in enumerate(history.steps):
        found = await opened_with(maker, tmp_path / "cut", size)
        assert found == freed(seen, maker), f"cut after step {index}"
        if index >= history.last_on_disk:
            assert len(found.records) >= 5
            assert [each.value for each in found.registry] == [b"v"]


async def test_a_torn_commit_never_was(maker: EmbeddedMaker, tmp_path: Path) -> None:
    store = await maker.open()
    history = await busy_life(maker, store)
    for (before, seen), (after, _) in zip(history.steps, history.steps[1:], strict=False):
        for size in (before + 1, (before + after) // 2, after - 1):
            assert await opened_with(maker, tmp_path / "cut", size) == freed(seen, maker)


async def test_what_was_forgotten_can_be_repeated(maker: EmbeddedMaker, tmp_path: Path) -> None:
    """From every tail the engine comes to the same end: each record's delivery, once."""
    store = await maker.open()
    history = await busy_life(maker, store)
    for size, _ in history.steps[history.last_on_disk :]:
        shutil.copytree(maker.folder, tmp_path / "cut")
        with (tmp_path / "cut" / WAL).open("r+b") as wal:
            wal.truncate(size)
        again = await EmbeddedStore.open(tmp_path / "cut", maker.clock, maker.failpoints)
        cursor = await again.cursor("log", "live")
        left = await again.read("log", cursor)
        if left:
            await owe(again, left)
        ids = [
            ("sub", d.position) for d in await again.deliveries(DeliveryQuery(states=[DeliveryState.DEAD]))
        ]
        await again.redrive(ids)
        for claim in (await again.claim("lane", 100, LEASE)).claims:
            assert await again.settle(claim, DELIVERED)
        ledger = await again.ledger("log")
        assert (ledger.accepted, ledger.unrouted, ledger.pending, ledger.dead) == (6, 0, 0, 0)
        assert ledger.matched + ledger.unmatched == 6
        assert ledger.delivered == ledger.owed
        await again.close()
        shutil.rmtree(tmp_path / "cut")
