"""Redriving: dead letters are owed anew, at once or at a pace, to their own subscription or to another."""

from partnerbus.model.delivery import DeliveryState, NewDelivery, Record, Redrive, Settlement
from partnerbus.model.reply import ErrorCode
from partnerbus.store.protocol import START, DeliveryQuery, Store
from partnerbus.testing.store_contract.world import (
    DEAD,
    DELIVERED,
    LEASE,
    REFUSED,
    SECOND,
    StoreMaker,
    claim_one,
    fill,
    only,
    owe,
    tried,
)


async def dead_letters(store: Store, count: int, first: int = 1) -> list[Record]:
    """Records that were owed to `sub` in `lane`, and died."""
    stored = await fill(store, count, first=first)
    await owe(store, stored)
    for claim in (await store.claim("lane", count, LEASE)).claims:
        assert await store.settle(claim, DEAD)
    return stored


async def owe_to_other(store: Store, record: Record) -> None:
    """Owe a record that was routed before to `other`, too, as a replay does."""
    owed = [NewDelivery(subscription="other", lane="other-lane", position=record.position)]
    await store.advance(record.log, "replay", record.position, owed=owed, unmatched=0)


class RedriveContract:
    """Redriving dead letters."""

    async def test_redrive_owes_anew_and_keeps_the_history(self, store: Store, maker: StoreMaker) -> None:
        (stored,) = await fill(store, 1)
        await owe(store, [stored])
        dead = Settlement(
            state=DeliveryState.DEAD, attempt=tried(maker.clock, 1, REFUSED), error=ErrorCode.TIMEOUT
        )
        await store.settle(await claim_one(store), dead)
        await maker.clock.advance(SECOND)
        ids = [("sub", stored.position)]
        assert await store.redrive([*ids, ("sub", 999), ("nobody", stored.position), ("sub", 10**30)]) == 1
        assert await store.redrive(ids) == 0
        store = await maker.reopen()
        found = await only(store)
        assert (found.state, found.redriven, found.attempts_made) == (DeliveryState.OWED, 1, 0)
        assert (found.settled_at, found.attempts) == (None, (dead.attempt,))
        assert found.owed_at == maker.clock.now()
        claim = await claim_one(store)
        assert (claim.attempt, claim.owed_at) == (1, found.owed_at)
        attempt = tried(maker.clock, 1)
        await store.settle(claim, Settlement(state=DeliveryState.DELIVERED, attempt=attempt))
        assert (await only(store)).attempts == (dead.attempt, attempt)
        ledger = await store.ledger("log")
        assert (ledger.owed, ledger.dead, ledger.delivered) == (1, 0, 1)

    async def test_redriven_at_a_pace_they_are_due_one_after_the_other(
        self, store: Store, maker: StoreMaker
    ) -> None:
        stored = await dead_letters(store, 4)
        start = maker.clock.now() + 10 * SECOND
        how = Redrive(due_at=start, gap=2 * SECOND)
        assert await store.redrive([("sub", each.position) for each in stored[:3]], how) == 3
        store = await maker.reopen()
        found = await store.deliveries(DeliveryQuery(states=[DeliveryState.OWED]))
        due = [start + 4 * SECOND, start + 2 * SECOND, start]  # newest first
        assert [(each.due_at, each.owed_at) for each in found] == [(at, at) for at in due]
        assert [each.due_at for each in await store.lanes()] == [start]
        await maker.clock.advance(12 * SECOND)
        claimed = await store.claim("lane", 9, LEASE)
        assert [claim.owed_at for claim in claimed.claims] == [start, start + 2 * SECOND]
        assert claimed.next_due_at == start + 4 * SECOND

    async def test_what_died_later_is_left_alone(self, store: Store, maker: StoreMaker) -> None:
        stored = await dead_letters(store, 1)
        died_at = maker.clock.now()
        await maker.clock.advance(SECOND)
        stored += await dead_letters(store, 1, first=2)
        ids = [("sub", each.position) for each in stored]
        for _ in range(2):
            before = Redrive(died_by=died_at - SECOND / 1_000)
            assert await store.redrive(ids, before) == 0
        assert await store.redrive(ids, Redrive(died_by=died_at)) == 1
        await store.settle(await claim_one(store), DEAD)  # it dies again, later
        assert await store.redrive(ids, Redrive(died_by=died_at)) == 0
        assert (await store.ledger("log")).dead == 2

    async def test_redriven_to_another_subscription(self, store: Store, maker: StoreMaker) -> None:
        stored = await dead_letters(store, 3)
        ids = [("sub", each.position) for each in stored]
        await owe_to_other(store, stored[1])
        claimed = (await store.claim("other-lane", 1, LEASE)).claims
        await store.settle(claimed[0], DELIVERED)
        assert await store.trim("log", stored[0].position + 1) == 1
        how = Redrive(to=("other", "other-lane"))
        assert await store.redrive(ids[:2], how) == 2
        assert await store.redrive(ids[:2], how) == 0
        store = await maker.reopen()
        found = {(each.subscription, each.position): each for each in await store.deliveries(DeliveryQuery())}
        first, second, third = (each.position for each in stored)
        assert {key: each.state for key, each in found.items()} == {
            ("sub", first): DeliveryState.DROPPED,
            ("other", first): DeliveryState.OWED,
            ("sub", second): DeliveryState.DROPPED,
            ("other", second): DeliveryState.DELIVERED,  # it has the event already
            ("sub", third): DeliveryState.DEAD,
        }
        assert (found["other", first].redriven, found["other", first].lane) == (1, "other-lane")
        (claim,) = (await store.claim("other-lane", 9, LEASE)).claims
        assert (claim.subscription, claim.record, claim.attempt) == ("other", stored[0], 1)
        ledger = await store.ledger("log")
        assert (ledger.owed, ledger.dead, ledger.dropped, ledger.delivered) == (5, 1, 2, 1)
        assert list(await store.read("log", START)) == stored  # what was trimmed is needed again

    async def test_redriven_to_another_subscription_whose_delivery_is_dead_too(self, store: Store) -> None:
        (stored,) = await dead_letters(store, 1)
        await owe_to_other(store, stored)
        await store.settle((await store.claim("other-lane", 1, LEASE)).claims[0], DEAD)
        how = Redrive(to=("other", "other-lane"))
        assert await store.redrive([("sub", stored.position), ("other", stored.position)], how) == 1
        found = {each.subscription: each.state for each in await store.deliveries(DeliveryQuery())}
        assert found == {"sub": DeliveryState.DROPPED, "other": DeliveryState.OWED}
        ledger = await store.ledger("log")
        assert (ledger.owed, ledger.dead, ledger.dropped, ledger.pending) == (2, 0, 1, 1)

    async def test_redriven_to_its_own_subscription_it_is_redriven(self, store: Store) -> None:
        (stored,) = await dead_letters(store, 1)
        assert await store.redrive([("sub", stored.position)], Redrive(to=("sub", "lane"))) == 1
        found = await only(store)
        assert (found.state, found.redriven) == (DeliveryState.OWED, 1)
