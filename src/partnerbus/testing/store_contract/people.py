"""What people look for: records by the id they were appended with, and what is owed and not got."""

from datetime import timedelta

from partnerbus.model.delivery import DeliveryState, NewDelivery, Redrive, Settlement
from partnerbus.store.protocol import LIVE, Backlog, DeliveryQuery, Kept, Store
from partnerbus.testing.store_contract.ordering import A, owe_keyed
from partnerbus.testing.store_contract.world import (
    DEAD,
    DELIVERED,
    LEASE,
    SECOND,
    StoreMaker,
    claim_one,
    fill,
    new_record,
    owe,
    trimmed_behind_dead_letters,
)


def dedup(*numbers: int) -> list[bytes]:
    """The ids of the contract's records."""
    return [number.to_bytes(16, "big") for number in numbers]


class PeopleContract:
    """Finding records, and the backlog."""

    async def test_a_record_is_found_by_its_id_in_any_log(self, store: Store, maker: StoreMaker) -> None:
        (first,) = await fill(store, 1, "a")
        (second,) = await store.append([new_record(2, "b", via="arn:bus")])
        assert list(await store.find(dedup(2, 1, 3, 1))) == [first, second]
        store = await maker.reopen()
        assert list(await store.find(dedup(2))) == [second]
        assert list(await store.find(dedup(3))) == []
        assert list(await store.find([])) == []

    async def test_a_kept_copy_is_not_found_by_the_id_of_its_record(self, store: Store) -> None:
        (stored,) = await fill(store, 1)
        kept = [Kept(log="archive", record=stored)]
        await store.advance("log", LIVE, stored.position, owed=[], unmatched=1, kept=kept)
        assert list(await store.find(dedup(1))) == [stored]

    async def test_what_only_a_dead_letter_has_is_found_and_what_was_trimmed_is_not(
        self, store: Store
    ) -> None:
        stored = await trimmed_behind_dead_letters(store)
        assert list(await store.find(dedup(1, 2, 3, 4))) == [stored[0], stored[2], stored[3]]

    async def test_the_backlog_counts_what_is_pending_by_subscription(
        self, store: Store, maker: StoreMaker
    ) -> None:
        assert list(await store.backlog()) == []
        first = await fill(store, 2)
        await owe(store, first)
        await maker.clock.advance(SECOND)
        other = await fill(store, 1, "other", first=3)
        await owe(store, other, subscription="another", lane="another-lane")
        retried = Settlement(state=DeliveryState.OWED, due_at=maker.clock.now() + SECOND)
        await store.settle(await claim_one(store), retried)
        (claimed,) = (await store.claim("lane", 1, LEASE)).claims
        found = [
            Backlog(subscription="another", pending=1, oldest_stored_at=other[0].stored_at),
            Backlog(subscription="sub", pending=2, retrying=1, oldest_stored_at=first[0].stored_at),
        ]
        assert list(await store.backlog()) == found
        assert await store.settle(claimed, DELIVERED)
        await maker.clock.advance(SECOND)
        store = await maker.reopen()
        due = Backlog(subscription="sub", pending=1, oldest_stored_at=first[0].stored_at)
        assert list(await store.backlog()) == [found[0], due]

    async def test_the_backlog_counts_dead_letters_until_they_are_redriven(
        self, store: Store, maker: StoreMaker
    ) -> None:
        stored = await fill(store, 2)
        await owe(store, stored)
        for claim in (await store.claim("lane", 2, LEASE)).claims:
            await store.settle(claim, DEAD)
        assert list(await store.backlog()) == [Backlog(subscription="sub", dead=2)]
        later = Redrive(due_at=maker.clock.now() + timedelta(hours=1))
        assert await store.redrive([("sub", stored[1].position)], later) == 1
        assert list(await store.backlog()) == [
            Backlog(subscription="sub", pending=1, retrying=1, dead=1, oldest_stored_at=stored[1].stored_at)
        ]

    async def test_what_is_held_back_for_order_is_pending_and_not_retrying(self, store: Store) -> None:
        stored = await fill(store, 2)
        await owe_keyed(store, stored, [A, A])
        (found,) = await store.backlog()
        assert (found.pending, found.retrying) == (2, 0)

    async def test_the_deliveries_of_one_record(self, store: Store) -> None:
        stored = await fill(store, 3)
        owed = [
            NewDelivery(subscription=name, lane="lane", position=record.position)
            for record in stored
            for name in ("a", "b")
        ]
        await store.advance("log", LIVE, stored[-1].position, owed=owed, unmatched=0)
        found = await store.deliveries(DeliveryQuery(position=stored[1].position))
        assert {(each.position, each.subscription) for each in found} == {
            (stored[1].position, "a"),
            (stored[1].position, "b"),
        }
        one = DeliveryQuery(position=stored[1].position, logs=["log"], subscriptions=["b"])
        assert [each.subscription for each in await store.deliveries(one)] == ["b"]
        for other in (
            DeliveryQuery(position=stored[1].position, logs=["other"]),
            DeliveryQuery(position=stored[1].position, states=[DeliveryState.DEAD]),
            DeliveryQuery(position=10**30),
        ):
            assert list(await store.deliveries(other)) == []
