"""What the writer promises: groups, isolation, bounds, and readers that do not wait for it."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from partnerbus.kernel.errors import RevisionConflict, StoreOverloaded, StoreUnavailable
from partnerbus.model.delivery import NewDelivery, NewRecord
from partnerbus.store.embedded import tables
from partnerbus.store.embedded.database import END
from partnerbus.store.embedded.reader import Reader
from partnerbus.store.protocol import LIVE, START, DeliveryQuery, Kept
from partnerbus.testing.store_contract.world import LEASE, fill, make_event, new_record, owe
from tests.store.maker import EmbeddedMaker
from tests.store.traces import commits

Hold = Callable[[], AbstractContextManager[None]]

ENDLESS = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n"

UNWRITABLE = [("a lone surrogate \ud800", 1)]
"""SQLite's text cannot hold it, so the command that carries it fails in the middle of its group."""


async def submitted() -> None:
    """Let tasks that were just made run until they wait for the writer."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_what_waits_together_is_one_commit(maker: EmbeddedMaker, held_up: Hold) -> None:
    store = await maker.open()
    seen = commits(store)
    with held_up():
        first = asyncio.create_task(fill(store, 1))
        await asyncio.to_thread(seen.began.wait, 60)  # the writer waits for the lock, with the first one only
        others = [asyncio.create_task(fill(store, 10, first=10 * n)) for n in range(1, 21)]
        await submitted()
    await asyncio.gather(first, *others)
    assert len(seen.levels) == 2


async def test_one_that_fails_fails_alone(maker: EmbeddedMaker, held_up: Hold) -> None:
    store = await maker.open()
    revision = await store.put("k", b"", 0)
    with held_up():
        calls = [
            store.append([new_record(1)]),
            store.redrive(UNWRITABLE),
            store.put("k", b"", revision + 1),
            store.append([new_record(2)]),
            store.put("k", b"new", revision),
        ]
        waiting = [asyncio.ensure_future(call) for call in calls]
        await submitted()
    one, broken, conflict, two, put = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(broken, UnicodeEncodeError)
    assert isinstance(conflict, RevisionConflict)
    assert isinstance(put, int)
    assert not isinstance(one, BaseException)
    assert not isinstance(two, BaseException)
    store = await maker.reopen()
    assert [record.event for record in await store.read("log", START)] == [make_event(1), make_event(2)]
    assert (await store.ledger("log")).accepted == 2


async def test_overload_is_said_at_once_and_passes(maker: EmbeddedMaker, held_up: Hold) -> None:
    store = await maker.open(pending_bytes=10_000)
    with held_up():
        accepted = []
        for number in range(1, 100):
            task = asyncio.ensure_future(store.append([new_record(number)]))
            await submitted()
            if task.done():
                assert isinstance(task.exception(), StoreOverloaded)
                break
            accepted.append(task)
        assert 5 <= len(accepted) <= 10
    await asyncio.gather(*accepted)
    assert len(await store.read("log", START)) == len(accepted)
    await fill(store, 5, first=1000)
    big = NewRecord(log="log", dedup_id=b"b" * 16, event=make_event(1, b'{"a":"' + b"x" * 20_000 + b'"}'))
    assert len(await store.append([big])) == 1  # alone it may be larger than the bound


async def test_a_caller_that_gave_up_harms_nobody(maker: EmbeddedMaker, held_up: Hold) -> None:
    store = await maker.open()
    waiting = asyncio.create_task(store.read("log", START, wait=True))
    with held_up():
        appending = [asyncio.create_task(fill(store, 1, first=n)) for n in (1, 2, 3)]
        await submitted()
        appending[1].cancel()
        await submitted()
        assert appending[1].cancelled()
    await asyncio.gather(appending[0], appending[2])
    assert (await waiting)[0].event == make_event(1)
    assert len(await store.read("log", START)) == 3
    assert store._writer.pending_bytes == 0


async def test_readers_do_not_wait_for_the_writer(maker: EmbeddedMaker, held_up: Hold) -> None:
    store = await maker.open()
    await owe(store, await fill(store, 3))
    store = await maker.reopen()
    seen = commits(store)
    with held_up():
        writing = asyncio.create_task(fill(store, 1, first=4))
        await asyncio.to_thread(seen.began.wait, 60)
        assert len(await store.read("log", START)) == 3
        assert len(await store.deliveries(DeliveryQuery())) == 3
        await store.seek("log", maker.clock.now())
        await store.lanes()
        await store.logs()
        await store.list("")
        assert not writing.done()
    await writing


async def test_append_and_the_registry_are_on_disk_and_the_rest_is_ordered(maker: EmbeddedMaker) -> None:
    """The level of SQLite's `synchronous` that was in force at each commit."""
    store = await maker.open()
    seen = commits(store)

    async def level_of(call: object) -> str:
        seen.levels.clear()
        await call  # type: ignore[misc]
        assert len(seen.levels) == 1
        return seen.levels[0]

    assert await level_of(fill(store, 1)) == "FULL"
    (record,) = await store.read("log", START)
    assert await level_of(owe(store, [record])) == "NORMAL"
    assert await level_of(store.put("k", b"", 0)) == "FULL"
    assert await level_of(store.claim("lane", 1, LEASE)) == "NORMAL"
    assert await level_of(store.delete("k", 1)) == "FULL"
    assert await level_of(store.trim("log", 1)) == "NORMAL"
    assert await level_of(store.append([new_record(9)], ordered=True)) == "NORMAL"
    assert await level_of(fill(store, 1, first=2)) == "FULL"


async def test_a_group_is_on_disk_if_one_of_it_must_be(maker: EmbeddedMaker, held_up: Hold) -> None:
    store = await maker.open()
    await owe(store, await fill(store, 2))
    seen = commits(store)
    with held_up():
        claiming = [asyncio.create_task(store.claim("lane", 1, LEASE))]
        await asyncio.to_thread(seen.began.wait, 60)
        claiming.append(asyncio.create_task(store.claim("lane", 1, LEASE)))
        appending = asyncio.create_task(fill(store, 1, first=5))
        await submitted()
    await asyncio.gather(*claiming, appending)
    assert seen.levels == ["NORMAL", "FULL"]


async def test_a_batch_larger_than_any_statement_or_group(maker: EmbeddedMaker) -> None:
    store = await maker.open()
    stored = await fill(store, 5_003)
    assert [record.event for record in stored] == [make_event(n) for n in range(1, 5_004)]
    await owe(store, stored)
    assert (await store.ledger("log")).pending == 5_003
    store = await maker.reopen()
    assert list(await store.read("log", START, limit=10_000)) == stored
    assert await store.cursor("log", LIVE) == stored[-1].position


async def test_memory_has_a_group_in_the_order_of_its_positions(maker: EmbeddedMaker, held_up: Hold) -> None:
    """Kept records come after the appended ones of their group, whoever called first."""
    store = await maker.open()
    stored = await fill(store, 1)
    kept = [Kept(log="both", record=stored[0])]
    with held_up():
        first = asyncio.create_task(fill(store, 1, "both", first=2))
        await submitted()
        calls = [
            fill(store, 1, "both", first=3),
            store.advance("log", LIVE, stored[0].position, owed=[], unmatched=0, kept=kept),
            fill(store, 1, "both", first=4),
        ]
        waiting = [asyncio.create_task(call) for call in calls]
        await submitted()
    await asyncio.gather(first, *waiting)
    in_memory = await store.read("both", START)
    assert [record.event.id for record in in_memory] == [make_event(n).id for n in (2, 3, 4, 1)]
    store = await maker.reopen()
    assert list(await store.read("both", START)) == list(in_memory)


async def test_there_is_no_delivery_without_a_record(maker: EmbeddedMaker) -> None:
    store = await maker.open()
    stored = await fill(store, 1)
    owed = [NewDelivery(subscription="sub", lane="lane", position=stored[0].position + 1)]
    with pytest.raises(ValueError, match="forbid"):
        await store.advance("log", LIVE, stored[0].position, owed=owed, unmatched=0)
    assert await store.cursor("log", LIVE) == START
    assert list(await store.deliveries(DeliveryQuery())) == []


async def test_only_so_many_numbers_of_names_are_remembered(
    maker: EmbeddedMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "NAMES_KEPT", 3)
    store = await maker.open()
    stored = await fill(store, 10)
    owed = [
        NewDelivery(subscription=f"s{n % 5}", lane=f"l{n % 4}", position=record.position)
        for n, record in enumerate(stored)
    ]
    await store.advance("log", LIVE, stored[-1].position, owed=owed, unmatched=0)
    assert len(store._tables._names) <= 3
    found = await store.deliveries(DeliveryQuery())
    assert [(each.subscription, each.lane) for each in found] == [
        (new.subscription, new.lane) for new in reversed(owed)
    ]
    claimed = [await store.claim(f"l{n}", 10, LEASE) for n in range(4)]
    assert sum(len(each.claims) for each in claimed) == 10


async def test_a_sweep_goes_in_steps_that_follow_what_is_appended(maker: EmbeddedMaker) -> None:
    for appended_meanwhile, steps in ((0, 6), (300, 1)):
        store = await maker.open()
        records = await fill(store, 300, first=1 + appended_meanwhile)
        await store.advance("log", LIVE, records[-1].position, owed=(), unmatched=300)
        if not appended_meanwhile:
            store = await maker.reopen()
        seen = commits(store)
        assert await store.trim("log", END, limit=300) == 300
        assert len(seen.levels) == steps
        await maker.close()


async def test_a_read_that_lasts_too_long_is_given_up(maker: EmbeddedMaker) -> None:
    await maker.open()
    reader = Reader(maker.folder / "partnerbus.db", "hasty", most_seconds=0.0)
    with pytest.raises(StoreUnavailable, match="took too long"):
        await reader.run(lambda connection: connection.execute(ENDLESS).fetchone())
    assert await reader.run(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
    await reader.close()


async def test_room_that_became_free_is_used_again(maker: EmbeddedMaker) -> None:
    store = await maker.open()
    sizes = []
    for lap in range(4):
        records = await fill(store, 2_000, first=1 + 2_000 * lap)
        await store.advance("log", LIVE, records[-1].position, owed=(), unmatched=2_000)
        assert await store.trim("log", END) == 2_000
        await maker.close()  # moves the write-ahead log into the file
        sizes.append((maker.folder / "partnerbus.db").stat().st_size)
        store = await maker.open()
    assert sizes[-1] <= 1.1 * sizes[0]
