"""What may be forgotten, what may not, and what only leaves its log."""

import msgspec
import pytest

from partnerbus.model.delivery import (
    DeliveryState,
    NewDelivery,
)
from partnerbus.store.protocol import LIVE, START, DeliveryQuery, Store
from partnerbus.testing.store_contract.world import (
    DEAD,
    DELIVERED,
    LEASE,
    SECOND,
    StoreMaker,
    deliver_all,
    fill,
    new_record,
    owe,
    trimmed_behind_dead_letters,
)


class TrimContract:
    """What may be forgotten, and what may not."""

    async def test_trim_forgets_records_and_their_settled_deliveries(
        self, store: Store, maker: StoreMaker
    ) -> None:
        stored = await fill(store, 5)
        await owe(store, stored)
        await deliver_all(store)
        assert await store.trim("log", stored[3].position) == 3
        for _ in range(2):
            assert list(await store.read("log", START)) == stored[3:]
            assert {delivery.position for delivery in await store.deliveries(DeliveryQuery())} == {
                record.position for record in stored[3:]
            }
            store = await maker.reopen()
        assert (await store.ledger("log")).delivered == 5

    async def test_trim_is_bounded(self, store: Store) -> None:
        stored = await fill(store, 5)
        await store.advance("log", LIVE, stored[-1].position, owed=[], unmatched=5)
        assert await store.trim("log", stored[-1].position + 1, limit=2) == 2
        assert await store.trim("log", stored[-1].position + 1, limit=10) == 3
        assert await store.trim("log", stored[-1].position + 1, limit=10) == 0
        assert await store.trim("nothing", 10) == 0

    async def test_trim_stops_at_every_cursor(self, store: Store) -> None:
        stored = await fill(store, 5)
        await store.advance("log", LIVE, stored[3].position, owed=[], unmatched=4)
        await store.advance("log", "replay", stored[1].position, owed=[], unmatched=0)
        assert await store.trim("log", stored[-1].position + 1) == 2
        assert list(await store.read("log", START)) == stored[2:]

    async def test_nothing_of_a_log_that_was_never_routed_is_trimmed(self, store: Store) -> None:
        stored = await fill(store, 2)
        await store.advance("log", "replay", stored[1].position, owed=[], unmatched=0)
        assert await store.trim("log", stored[-1].position + 1) == 0

    @pytest.mark.parametrize("state", ["owed", "claimed"])
    async def test_trim_stops_at_what_a_delivery_needs(self, store: Store, state: str) -> None:
        stored = await fill(store, 4)
        await owe(store, stored)
        claims = (await store.claim("lane", 2 if state == "owed" else 3, LEASE)).claims
        for claim in claims[:2]:
            await store.settle(claim, DELIVERED)
        assert await store.trim("log", stored[-1].position + 1) == 2
        assert list(await store.read("log", START)) == stored[2:]

    async def test_a_dead_letter_holds_up_no_trim_and_keeps_its_record(
        self, store: Store, maker: StoreMaker
    ) -> None:
        stored = await trimmed_behind_dead_letters(store)
        for _ in range(2):
            assert list(await store.read("log", START)) == stored[3:]
            assert list(await store.read("log", START, until=stored[2].position)) == []
            (info,) = await store.logs()
            assert info.horizon == stored[3].position
            for query in (
                DeliveryQuery(states=[DeliveryState.DEAD]),
                DeliveryQuery(states=[DeliveryState.DEAD], logs=["log"]),
                DeliveryQuery(logs=["log"]),
                DeliveryQuery(subscriptions=["sub"]),
                DeliveryQuery(ids=[("sub", stored[0].position), ("sub", stored[2].position)]),
                DeliveryQuery(),
            ):
                found = await store.deliveries(query)
                assert [each.record for each in found if each.state is DeliveryState.DEAD] == [
                    stored[2],
                    stored[0],
                ]
            assert await store.trim("log", stored[3].position) == 0
            store = await maker.reopen()
        assert await store.append([new_record(1)]) == [stored[0]]
        assert (await store.ledger("log")).accepted == 4

    async def test_redriving_puts_a_trimmed_record_back_until_it_is_trimmed_again(
        self, store: Store, maker: StoreMaker
    ) -> None:
        stored = await trimmed_behind_dead_letters(store)
        before = await store.ledger("log")
        assert await store.redrive([("sub", stored[0].position)]) == 1
        after = await store.ledger("log")
        assert after == msgspec.structs.replace(before, dead=1, pending=before.pending + 1)
        for _ in range(2):
            assert list(await store.read("log", START)) == [stored[0], stored[3]]
            (info,) = await store.logs()
            assert (info.horizon, info.head) == (stored[0].position, stored[3].position)
            assert await store.cursor("log", LIVE) == stored[3].position
            assert await store.trim("log", stored[3].position) == 0
            store = await maker.reopen()
        claim, _ = (await store.claim("lane", 9, LEASE)).claims
        assert claim.record == stored[0]
        assert await store.settle(claim, DELIVERED)
        assert await store.trim("log", stored[3].position) == 1
        assert list(await store.read("log", START)) == stored[3:]
        (again,) = await store.append([new_record(1)])
        assert again.position > stored[3].position

    async def test_a_dropped_dead_letter_goes_with_its_trimmed_record(
        self, store: Store, maker: StoreMaker
    ) -> None:
        stored = await trimmed_behind_dead_letters(store)
        await maker.clock.advance(SECOND)
        assert await store.drop_dead(maker.clock.now(), limit=1) == 1
        assert await store.drop_dead(maker.clock.now()) == 1
        assert [each.position for each in await store.deliveries(DeliveryQuery())] == [stored[3].position]
        again = await fill(store, 3)
        assert again[0].position > stored[3].position
        ledger = await store.ledger("log")
        assert (ledger.dead, ledger.dropped, ledger.accepted) == (0, 2, 7)

    async def test_a_record_goes_with_its_last_dead_letter(self, store: Store, maker: StoreMaker) -> None:
        (stored,) = await fill(store, 1)
        subscriptions = ("a", "b", "c")
        owed = [
            NewDelivery(subscription=name, lane="lane", position=stored.position) for name in subscriptions
        ]
        await store.advance("log", LIVE, stored.position, owed=owed, unmatched=0)
        claims = {claim.subscription: claim for claim in (await store.claim("lane", 3, LEASE)).claims}
        for name, settlement in zip(subscriptions, (DEAD, DEAD, DELIVERED), strict=True):
            await store.settle(claims[name], settlement)
            await maker.clock.advance(SECOND)
        assert await store.trim("log", stored.position + 1) == 1
        assert [each.subscription for each in await store.deliveries(DeliveryQuery())] == ["b", "a"]
        assert await store.drop_dead(maker.clock.now(), limit=1) == 1
        (left,) = await store.deliveries(DeliveryQuery())
        assert (left.subscription, left.record) == ("b", stored)
        assert await store.redrive([("b", stored.position)]) == 1
        assert list(await store.read("log", START)) == [stored]

    async def test_positions_are_never_used_again(self, store: Store, maker: StoreMaker) -> None:
        stored = await fill(store, 3)
        await store.advance("log", LIVE, stored[-1].position, owed=[], unmatched=3)
        assert await store.trim("log", stored[-1].position + 1) == 3
        store = await maker.reopen()
        (later,) = await fill(store, 1, first=4)
        assert later.position > stored[-1].position
        assert list(await store.read("log", START)) == [later]
