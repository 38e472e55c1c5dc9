"""Logs and cursors: appending, reading, seeking, trimming, routing."""

import asyncio
from datetime import timedelta

from partnerbus.model.delivery import (
    DeliveryState,
    NewDelivery,
    Record,
)
from partnerbus.store.protocol import LIVE, START, DeliveryQuery, Kept, Store
from partnerbus.testing.store_contract.world import (
    DELIVERED,
    LEASE,
    SECOND,
    StoreMaker,
    deliver_all,
    fill,
    fill_large,
    make_event,
    new_record,
    owe,
)


class LogContract:
    """Logs of records."""

    async def test_append_gives_the_records_back_with_growing_positions(self, store: Store) -> None:
        first = await fill(store, 3)
        second = await fill(store, 3, first=4)
        positions = [record.position for record in [*first, *second]]
        assert positions == sorted(set(positions))
        assert positions[0] > START
        assert [record.event for record in first] == [make_event(number) for number in (1, 2, 3)]

    async def test_what_was_appended_is_read_after_a_restart(self, store: Store, maker: StoreMaker) -> None:
        stored = await store.append([new_record(1, via="arn:bus"), new_record(2)])
        store = await maker.reopen()
        assert list(await store.read("log", START)) == list(stored)
        assert stored[0].via == "arn:bus"

    async def test_an_ordered_append_is_an_append(self, store: Store, maker: StoreMaker) -> None:
        stored = await store.append([new_record(1), new_record(2)], ordered=True)
        assert await store.append([new_record(2), new_record(1)], ordered=True) == stored[::-1]
        assert await store.append([new_record(1)]) == stored[:1]
        store = await maker.reopen()
        assert list(await store.read("log", START)) == list(stored)

    async def test_append_to_two_logs_at_once(self, store: Store) -> None:
        stored = await store.append([new_record(1, "a"), new_record(2, "b"), new_record(3, "a")])
        assert list(await store.read("a", START)) == [stored[0], stored[2]]
        assert list(await store.read("b", START)) == [stored[1]]

    async def test_append_of_nothing(self, store: Store) -> None:
        assert list(await store.append([])) == []

    async def test_the_same_dedup_id_changes_nothing(self, store: Store, maker: StoreMaker) -> None:
        stored = await fill(store, 2)
        await maker.clock.advance(SECOND)
        again = await store.append([new_record(2), new_record(3), new_record(1)])
        assert [again[0], again[2]] == [stored[1], stored[0]]
        assert list(await store.read("log", START)) == [*stored, again[1]]
        store = await maker.reopen()
        assert await fill(store, 3) == [*stored, again[1]]
        assert (await store.ledger("log")).accepted == 3

    async def test_the_same_dedup_id_twice_in_one_append(self, store: Store) -> None:
        stored = await store.append([new_record(1), new_record(1), new_record(2)])
        assert stored[0] == stored[1]
        assert list(await store.read("log", START)) == [stored[0], stored[2]]
        assert (await store.ledger("log")).accepted == 2

    async def test_concurrent_appends_of_one_dedup_id_store_one(self, store: Store) -> None:
        answers = await asyncio.gather(*(store.append([new_record(1), new_record(n)]) for n in range(2, 12)))
        assert len({answer[0].position for answer in answers}) == 1
        assert len(await store.read("log", START)) == 11

    async def test_read_is_between_after_and_until_and_at_most_limit(
        self, store: Store, maker: StoreMaker
    ) -> None:
        stored = await fill(store, 10)
        await fill(store, 10, "other", first=11)
        for _ in range(2):  # from memory, then from the disk
            third, eighth = stored[2].position, stored[7].position
            assert list(await store.read("log", third, until=eighth)) == stored[3:8]
            assert list(await store.read("log", third, until=eighth, limit=2)) == stored[3:5]
            assert list(await store.read("log", stored[9].position)) == []
            assert list(await store.read("nothing", START)) == []
            store = await maker.reopen()

    async def test_large_records_are_read_in_small_numbers(self, store: Store, maker: StoreMaker) -> None:
        stored = await fill_large(store, 4)
        for _ in range(2):  # from memory, then from the disk
            assert list(await store.read("log", START)) == stored[:3]
            assert list(await store.read("log", stored[2].position)) == stored[3:]
            store = await maker.reopen()

    async def test_read_waits_for_a_record(self, store: Store) -> None:
        waiting = asyncio.create_task(store.read("log", START, wait=True))
        await fill(store, 1, "other")
        await asyncio.sleep(0)
        assert not waiting.done()
        stored = await fill(store, 1, first=2)
        assert list(await waiting) == stored

    async def test_read_does_not_wait_for_what_cannot_come(self, store: Store) -> None:
        stored = await fill(store, 2)
        last = stored[1].position
        assert list(await store.read("log", last, until=last, wait=True)) == []

    async def test_a_waiting_read_can_be_cancelled(self, store: Store) -> None:
        waiting = asyncio.create_task(store.read("log", START, wait=True))
        await asyncio.sleep(0)
        waiting.cancel()
        stored = await fill(store, 1)
        assert list(await store.read("log", START, wait=True)) == stored

    async def test_no_record_appears_behind_a_reader(self, store: Store) -> None:
        async def follow() -> list[Record]:
            seen: list[Record] = []
            while len(seen) < 200:
                seen += await store.read("log", seen[-1].position if seen else START, limit=7, wait=True)
            return seen

        following = asyncio.create_task(follow())
        await asyncio.gather(*(fill(store, 10, first=10 * n + 1) for n in range(20)))
        assert [record.position for record in await following] == [
            record.position for record in await store.read("log", START)
        ]

    async def test_seek_finds_what_was_stored_since(self, store: Store, maker: StoreMaker) -> None:
        instants = []
        for number in range(1, 30):
            instants.append(maker.clock.now())
            await fill(store, 1, first=number)
            await fill(store, 1, "other", first=1000 + number)
            await maker.clock.advance(SECOND)
        for _ in range(2):
            for index, instant in enumerate(instants):
                assert len(await store.read("log", await store.seek("log", instant))) == 29 - index
                just_after = await store.seek("log", instant + SECOND / 2)
                assert len(await store.read("log", just_after)) == 28 - index
            store = await maker.reopen()

    async def test_seek_without_an_instant_is_the_head(self, store: Store) -> None:
        assert await store.seek("log") == START
        stored = await fill(store, 3)
        await fill(store, 1, "other", first=4)
        assert await store.seek("log") == stored[-1].position
        assert list(await store.read("log", await store.seek("log"))) == []

    async def test_stored_at_is_the_clock_and_never_goes_back(self, store: Store, maker: StoreMaker) -> None:
        first = (await fill(store, 1))[0]
        assert first.stored_at == maker.clock.now()
        maker.clock._now -= timedelta(hours=1)  # a clock that was set back
        second = (await fill(store, 1, first=2))[0]
        store = await maker.reopen()
        third = (await fill(store, 1, first=3))[0]
        assert first.stored_at <= second.stored_at <= third.stored_at

    async def test_logs_tell_their_ends(self, store: Store, maker: StoreMaker) -> None:
        assert list(await store.logs()) == []
        stored = await fill(store, 3)
        await owe(store, stored)
        (info,) = await store.logs()
        assert (info.log, info.horizon, info.head) == ("log", stored[0].position, stored[2].position)
        await deliver_all(store)
        await store.trim("log", stored[2].position)
        store = await maker.reopen()
        (info,) = await store.logs()
        assert (info.horizon, info.head) == (stored[2].position, stored[2].position)
        await store.trim("log", stored[2].position + 1)
        (info,) = await store.logs()
        assert info.horizon > info.head == stored[2].position


class CursorContract:
    """Routing: the owed deliveries and the cursor move together."""

    async def test_a_cursor_starts_at_the_start(self, store: Store) -> None:
        assert await store.cursor("log", LIVE) == START

    async def test_advance_moves_the_cursor_and_owes(self, store: Store, maker: StoreMaker) -> None:
        stored = await fill(store, 2)
        assert await owe(store, stored) == []
        for _ in range(2):
            assert await store.cursor("log", LIVE) == stored[-1].position
            assert await store.cursor("log", "other") == START
            found = await store.deliveries(DeliveryQuery())
            assert [delivery.state for delivery in found] == [DeliveryState.OWED] * 2
            assert [delivery.record for delivery in found] == stored[::-1]
            store = await maker.reopen()

    async def test_advancing_again_changes_nothing(self, store: Store) -> None:
        stored = await fill(store, 2)
        await owe(store, stored, born=True)
        before = await store.ledger("log"), await store.deliveries(DeliveryQuery())
        assert await owe(store, stored, subscription="late", born=True) == []
        assert await owe(store, stored[:1], subscription="late", born=True) == []
        assert (await store.ledger("log"), await store.deliveries(DeliveryQuery())) == before
        assert await store.cursor("log", LIVE) == stored[-1].position

    async def test_the_same_delivery_by_another_cursor_is_the_same(self, store: Store) -> None:
        stored = await fill(store, 3)
        first = await owe(store, stored[:2], born=True)
        owed = [
            NewDelivery(subscription="sub", lane="lane", position=record.position, claimed=True)
            for record in stored
        ]
        again = await store.advance("log", "replay", stored[-1].position, owed=owed, unmatched=0)
        assert [claim.record for claim in again] == stored[2:]
        assert (await store.ledger("log")).owed == 3
        assert await store.settle(first[0], DELIVERED)

    async def test_born_claimed_is_claimed(self, store: Store, maker: StoreMaker) -> None:
        stored = await fill(store, 2)
        claims = await owe(store, stored, born=True)
        assert [(claim.record, claim.attempt, claim.lane) for claim in claims] == [
            (record, 1, "lane") for record in stored
        ]
        assert list((await store.claim("lane", 10, LEASE)).claims) == []
        (lane,) = await store.lanes()
        assert lane.due_at == maker.clock.now() + LEASE
        assert await store.settle(claims[0], DELIVERED)

    async def test_kept_records_are_copied_once(self, store: Store, maker: StoreMaker) -> None:
        (stored,) = await fill(store, 1)
        kept = [Kept(log="archive", record=stored)]
        await maker.clock.advance(SECOND)
        await store.advance("log", LIVE, stored.position, owed=[], unmatched=0, kept=kept)
        await store.advance("log", "other", stored.position, owed=[], unmatched=0, kept=kept)
        for _ in range(2):
            (copy,) = await store.read("archive", START)
            assert (copy.event, copy.via, copy.stored_at) == (stored.event, stored.via, stored.stored_at)
            assert copy.position > stored.position
            store = await maker.reopen()

    async def test_a_reader_waits_for_kept_records_too(self, store: Store) -> None:
        (stored,) = await fill(store, 1)
        waiting = asyncio.create_task(store.read("archive", START, wait=True))
        await asyncio.sleep(0)
        kept = [Kept(log="archive", record=stored)]
        await store.advance("log", LIVE, stored.position, owed=[], unmatched=0, kept=kept)
        assert [record.event for record in await waiting] == [stored.event]

    async def test_a_log_of_kept_records_can_be_trimmed(self, store: Store) -> None:
        (stored,) = await fill(store, 1)
        kept = [Kept(log="archive", record=stored)]
        await store.advance("log", LIVE, stored.position, owed=[], unmatched=0, kept=kept)
        (copy,) = await store.read("archive", START)
        assert await store.trim("archive", copy.position + 1) == 1
