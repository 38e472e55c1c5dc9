"""Forgetting everything."""

import asyncio

import pytest

from partnerbus.kernel.errors import CursorMoved, RevisionConflict
from partnerbus.store.protocol import LIVE, START, DeliveryQuery, Kept, Ledger, Store
from partnerbus.testing.store_contract.world import (
    DEAD,
    DELIVERED,
    LEASE,
    StoreMaker,
    claim_one,
    fill,
    new_record,
    owe,
)


async def use(store: Store) -> None:
    """Something in every corner: logs, cursors, an archive, deliveries in several states, values."""
    records = await fill(store, 5)
    await owe(store, records)
    assert await store.settle(await claim_one(store), DELIVERED)
    assert await store.settle(await claim_one(store), DEAD)
    await claim_one(store)
    await fill(store, 2, log="other", first=10)
    kept = [Kept(log="archive", record=record) for record in records]
    await store.advance("log", "replay", records[-1].position, owed=[], unmatched=0, kept=kept)
    for key in ("account:1", "bus:1", "rule:1"):
        await store.put(key, b"v", 0)


async def is_empty(store: Store) -> bool:
    """Whether nothing of `use` is left but its accounts."""
    logs = ("log", "other", "archive")
    return (
        list(await store.logs()) == []
        and list(await store.lanes()) == []
        and list(await store.deliveries(DeliveryQuery())) == []
        and [list(await store.read(log, START)) for log in logs] == [[], [], []]
        and [await store.cursor("log", name) for name in (LIVE, "replay")] == [START, START]
        and [await store.ledger(log) for log in logs] == [Ledger(log=log) for log in logs]
        and [await store.seek(log) for log in logs] == [START] * 3
        and [found.key for found in await store.list("")] == ["account:1"]
    )


class ResetContract:
    """Everything or nothing."""

    async def test_nothing_is_left_but_what_is_kept(self, store: Store, maker: StoreMaker) -> None:
        await use(store)
        assert not await is_empty(store)
        await store.reset(["account:", "access-key:"])
        assert await is_empty(store)
        assert await is_empty(await maker.reopen())

    async def test_a_store_that_was_never_used(self, store: Store) -> None:
        await store.reset([])
        assert list(await store.list("")) == []

    async def test_what_comes_after_it_is_as_in_a_new_store(self, store: Store, maker: StoreMaker) -> None:
        await use(store)
        await store.reset(["account:"])
        for number in range(2):
            await use_again(store, f"key{number}")
            store = await maker.reopen()
            await store.reset(["account:"])

    async def test_positions_and_revisions_go_on(self, store: Store) -> None:
        before = await fill(store, 3)
        revision = await store.put("bus:1", b"v", 0)
        await store.reset([])
        after = await fill(store, 1)  # the same record as the first of before
        assert after[0].position > before[-1].position
        assert await store.put("bus:1", b"v", 0) > revision + 1
        with pytest.raises(RevisionConflict):
            await store.put("bus:1", b"w", revision)

    async def test_positions_go_on_over_a_restart(self, store: Store, maker: StoreMaker) -> None:
        before = await fill(store, 3)
        await store.reset([])
        after = await fill(await maker.reopen(), 1)
        assert after[0].position > before[-1].position

    async def test_one_that_was_noted_is_done_once(self, store: Store) -> None:
        noted = ("note", await store.put("note", b"", 0))
        with pytest.raises(RevisionConflict):
            await store.reset([], ("note", noted[1] + 1))
        assert await store.get("note") is not None
        await store.reset([], noted)
        after = await fill(store, 1)
        with pytest.raises(RevisionConflict):
            await store.reset([], noted)
        assert await store.read("log", START) == after

    async def test_a_claim_from_before_is_held_no_more(self, store: Store) -> None:
        records = await fill(store, 1)
        [claim] = await owe(store, records, born=True)
        await store.reset([])
        assert list(await store.extend([claim], LEASE)) == [False]
        assert await store.settle(claim, DELIVERED) is False
        await owe(store, await fill(store, 1), born=True)
        assert await store.settle(claim, DELIVERED) is False
        assert (await store.ledger("log")).delivered == 0

    async def test_what_was_read_before_it_is_routed_no_more(self, store: Store) -> None:
        [record] = await fill(store, 1)
        await store.reset([])
        with pytest.raises(CursorMoved):
            await store.advance("log", LIVE, record.position, owed=[], unmatched=1, after=START)
        assert await store.ledger("log") == Ledger(log="log")

    async def test_watchers_are_told(self, store: Store) -> None:
        for key in ("a:1", "b:1", "b:2"):
            await store.put(key, b"v", 0)
        changes = store.watch()
        await store.reset(["a:"])
        last = await store.put("b:1", b"w", 0)
        seen = [await anext(changes) for _ in range(3)]
        assert [(change.key, change.value) for change in seen] == [
            ("b:1", None),
            ("b:2", None),
            ("b:1", b"w"),
        ]
        revisions = [change.revision for change in seen]
        assert revisions == sorted(set(revisions))
        assert revisions[-1] == last

    async def test_who_waits_for_a_record_gets_the_next(self, store: Store) -> None:
        await fill(store, 2)
        waiting = asyncio.create_task(store.read("empty", START, wait=True))
        await asyncio.sleep(0)
        await store.reset([])
        [record] = await store.append([new_record(7, "empty")])
        assert [found.position for found in await waiting] == [record.position]

    async def test_appends_under_way_come_before_or_after_it(self, store: Store) -> None:
        appending = [fill(store, 1, log=f"log{n}", first=n + 1) for n in range(20)]
        await asyncio.gather(*appending[:10], store.reset([]), *appending[10:])
        for info in await store.logs():
            assert len(await store.read(info.log, START)) == 1
            assert (await store.ledger(info.log)).accepted == 1


async def use_again(store: Store, key: str) -> None:
    """Store, owe and deliver, and change a value: each as if for the first time."""
    records = await fill(store, 3)
    assert [found.position for found in await store.read("log", START)] == [r.position for r in records]
    await owe(store, records)
    for record in records:
        claim = await claim_one(store)
        assert (claim.record, claim.attempt) == (record, 1)
        assert await store.settle(claim, DELIVERED)
    assert await store.ledger("log") == Ledger(log="log", accepted=3, matched=3, owed=3, delivered=3)
    assert await store.delete(key, await store.put(key, b"v", 0))
