"""The registry, and letting go of a store."""

import asyncio

import pytest

from partnerbus.kernel.errors import RevisionConflict, StoreUnavailable
from partnerbus.store.protocol import LIVE, START, DeliveryQuery, Revised, Store
from partnerbus.testing.store_contract.world import (
    LEASE,
    StoreMaker,
    fill,
    new_record,
)


class RegistryContract:
    """Small values by key."""

    async def test_put_get_delete(self, store: Store, maker: StoreMaker) -> None:
        assert await store.get("k") is None
        first = await store.put("k", b"\x00one", 0)
        second = await store.put("k", b"two", first)
        assert second > first > 0
        store = await maker.reopen()
        found = await store.get("k")
        assert found is not None
        assert (found.key, found.value, found.revision) == ("k", b"two", second)
        third = await store.delete("k", second)
        assert third > second
        assert await store.get("k") is None

    async def test_revisions_never_go_back(self, store: Store, maker: StoreMaker) -> None:
        revision = await store.delete("k", await store.put("k", b"", 0))
        store = await maker.reopen()
        assert await store.put("other", b"", 0) > revision

    async def test_a_wrong_revision_is_refused(self, store: Store) -> None:
        revision = await store.put("k", b"one", 0)
        for expected in (0, revision + 1):
            with pytest.raises(RevisionConflict):
                await store.put("k", b"two", expected)
            with pytest.raises(RevisionConflict):
                await store.delete("k", expected)
        with pytest.raises(RevisionConflict):
            await store.put("missing", b"", revision)
        with pytest.raises(RevisionConflict):
            await store.delete("missing", 0)
        found = await store.get("k")
        assert found is not None
        assert found.value == b"one"

    async def test_one_of_many_wins(self, store: Store) -> None:
        answers = await asyncio.gather(
            *(store.put("k", b"%d" % n, 0) for n in range(20)), return_exceptions=True
        )
        assert sum(isinstance(answer, int) for answer in answers) == 1
        assert sum(isinstance(answer, RevisionConflict) for answer in answers) == 19

    async def test_list_is_by_prefix_and_in_order(self, store: Store) -> None:
        keys = ["b:2", "a:\U0001f600", "b:", "a:1", "a:\u00fc", "ab", "b:10", "a%", "a_"]
        for key in keys:
            await store.put(key, key.encode(), 0)
        assert [found.key for found in await store.list("")] == sorted(keys)
        assert [found.key for found in await store.list("a:")] == sorted(
            k for k in keys if k.startswith("a:")
        )
        assert [found.key for found in await store.list("b:")] == ["b:", "b:10", "b:2"]
        assert list(await store.list("c")) == []

    async def test_watch_tells_every_change_from_its_call_on(self, store: Store) -> None:
        await store.put("before", b"", 0)
        changes = store.watch()
        first = await store.put("k", b"v", 0)
        second = await store.delete("k", first)
        with pytest.raises(RevisionConflict):
            await store.delete("k", first)
        third = await store.put("l", b"w", 0)
        seen = [await anext(changes) for _ in range(3)]
        assert [(change.key, change.value, change.revision) for change in seen] == [
            ("k", b"v", first),
            ("k", None, second),
            ("l", b"w", third),
        ]

    async def test_each_watcher_sees_revisions_in_order(self, store: Store) -> None:
        watchers = [store.watch(), store.watch()]
        await asyncio.gather(*(store.put(f"k{n}", b"", 0) for n in range(50)))
        for changes in watchers:
            revisions = [(await anext(changes)).revision for _ in range(50)]
            assert revisions == sorted(set(revisions))


class ProbeContract:
    """Whether the store takes anything."""

    async def test_a_probe_changes_nothing_that_can_be_read(self, store: Store) -> None:
        before = await store.put("k", b"v", 0)
        (stored,) = await store.append([new_record(1)])
        await store.probe()
        assert list(await store.read("log", START)) == [stored]
        assert await store.list("") == [Revised(key="k", value=b"v", revision=before)]
        assert await store.put("k", b"w", before) > before


class CloseContract:
    """Letting go."""

    async def test_verbs_of_a_closed_store_say_so(self, store: Store) -> None:
        changes = store.watch()
        waiting = asyncio.create_task(store.read("log", START, wait=True))
        await asyncio.sleep(0)
        await store.close()
        await store.close()
        calls = [
            waiting,
            store.append([new_record(1)]),
            store.read("log", START),
            store.seek("log"),
            store.cursor("log", LIVE),
            store.advance("log", LIVE, 1, owed=[], unmatched=0),
            store.trim("log", 1),
            store.logs(),
            store.lanes(),
            store.claim("lane", 1, LEASE),
            store.extend([], LEASE),
            store.redrive([]),
            store.deliveries(DeliveryQuery()),
            store.ledger("log"),
            store.get("k"),
            store.put("k", b"", 0),
            store.list(""),
            store.probe(),
            store.reset([]),
            anext(changes),
        ]
        for call in calls:
            with pytest.raises(StoreUnavailable):
                await call

    async def test_close_finishes_what_was_accepted(self, store: Store, maker: StoreMaker) -> None:
        appending = [asyncio.create_task(fill(store, 5, first=5 * n + 1)) for n in range(20)]
        await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*appending)
        store = await maker.reopen()
        assert len(await store.read("log", START)) == 100
