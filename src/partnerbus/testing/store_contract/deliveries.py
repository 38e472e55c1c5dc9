"""Deliveries: claims, leases, settlements, dead letters, the read for people, the ledger."""

import asyncio
from datetime import timedelta
from itertools import product

import pytest

from partnerbus.kernel.errors import CursorMoved
from partnerbus.model.delivery import (
    ATTEMPTS_KEPT,
    DeliveryState,
    NewDelivery,
    Settlement,
)
from partnerbus.store.protocol import LIVE, START, DeliveryQuery, Ledger, Store
from partnerbus.testing.store_contract.world import (
    CANCELLED,
    DEAD,
    DELIVERED,
    LEASE,
    REFUSED,
    SECOND,
    StoreMaker,
    claim_one,
    deliver_all,
    fill,
    fill_large,
    only,
    owe,
    tried,
)


class ClaimContract:
    """Claims, leases and settlements."""

    async def test_large_events_are_claimed_in_small_numbers(self, store: Store, maker: StoreMaker) -> None:
        stored = await fill_large(store, 4)
        await owe(store, stored)
        first = await store.claim("lane", 64, LEASE)
        assert [claim.record for claim in first.claims] == stored[:3]
        assert first.next_due_at is not None
        assert first.next_due_at <= maker.clock.now()
        assert [claim.record for claim in (await store.claim("lane", 64, LEASE)).claims] == stored[3:]

    async def test_claim_gives_what_is_due_earliest_first(self, store: Store, maker: StoreMaker) -> None:
        stored = await fill(store, 5)
        await owe(store, stored[:3])
        await maker.clock.advance(SECOND)
        await owe(store, stored[3:])
        claimed = await store.claim("lane", 4, LEASE)
        assert [claim.record for claim in claimed.claims] == stored[:4]
        assert [claim.attempt for claim in claimed.claims] == [1] * 4
        assert claimed.next_due_at == maker.clock.now()
        last = await store.claim("lane", 4, LEASE)
        assert [claim.record for claim in last.claims] == stored[4:]
        assert last.next_due_at == maker.clock.now() + LEASE
        tokens = [claim.token for claim in [*claimed.claims, *last.claims]]
        assert len(set(tokens)) == 5

    async def test_a_delivery_is_owed_since_its_event_was_stored(
        self, store: Store, maker: StoreMaker
    ) -> None:
        stored = await fill(store, 2)
        await maker.clock.advance(2 * LEASE)
        (born,) = await owe(store, stored[:1], born=True)
        await owe(store, stored[1:])
        claims = [born, await claim_one(store)]
        found = await store.deliveries(DeliveryQuery())
        owed_at = maker.clock.now() - 2 * LEASE
        assert [claim.owed_at for claim in claims] == [each.owed_at for each in found] == [owed_at] * 2

    async def test_claim_of_an_empty_lane(self, store: Store) -> None:
        claimed = await store.claim("nothing", 4, LEASE)
        assert (list(claimed.claims), claimed.next_due_at) == ([], None)
        await owe(store, await fill(store, 1))
        await store.settle(await claim_one(store), DELIVERED)
        claimed = await store.claim("lane", 4, LEASE)
        assert (list(claimed.claims), claimed.next_due_at) == ([], None)

    async def test_lanes_are_apart(self, store: Store, maker: StoreMaker) -> None:
        stored = await fill(store, 4)
        await owe(store, stored[:2], lane="a")
        await maker.clock.advance(SECOND)
        await owe(store, stored[2:], lane="b")
        due = {lane.lane: lane.due_at for lane in await store.lanes()}
        assert due == {"a": maker.clock.now() - SECOND, "b": maker.clock.now()}
        assert [claim.record for claim in (await store.claim("b", 9, LEASE)).claims] == stored[2:]
        await deliver_all(store, "a")
        assert [lane.lane for lane in await store.lanes()] == ["b"]

    async def test_a_delivery_is_claimed_by_one(self, store: Store) -> None:
        await owe(store, await fill(store, 50))
        claimed = await asyncio.gather(*(store.claim("lane", 7, LEASE) for _ in range(10)))
        positions = [claim.record.position for each in claimed for claim in each.claims]
        assert len(positions) == len(set(positions)) == 50

    async def test_an_ended_lease_is_due_again_and_its_claim_lost(
        self, store: Store, maker: StoreMaker
    ) -> None:
        await owe(store, await fill(store, 1))
        first = await claim_one(store)
        await maker.clock.advance(LEASE - timedelta(microseconds=1))
        assert list((await store.claim("lane", 1, LEASE)).claims) == []
        await maker.clock.advance(timedelta(microseconds=1))
        second = await claim_one(store)
        assert (second.attempt, second.token != first.token) == (2, True)
        assert not await store.settle(first, DELIVERED)
        assert list(await store.extend([first, second], LEASE)) == [False, True]
        assert (await only(store)).state is DeliveryState.CLAIMED
        assert await store.settle(second, DELIVERED)

    @pytest.mark.parametrize("older_first", [True, False])
    async def test_two_claims_of_one_delivery_settled_at_once(
        self, store: Store, maker: StoreMaker, older_first: bool
    ) -> None:
        await owe(store, await fill(store, 20))
        older = (await store.claim("lane", 20, LEASE)).claims
        await maker.clock.advance(LEASE)
        newer = (await store.claim("lane", 20, LEASE)).claims
        claims = [*older, *newer] if older_first else [*newer, *older]
        answers = await asyncio.gather(*(store.settle(claim, DELIVERED) for claim in claims))
        assert answers == [claim in newer for claim in claims]
        ledger = await store.ledger("log")
        assert (ledger.delivered, ledger.pending) == (20, 0)

    async def test_a_late_answer_that_nobody_overtook_counts(self, store: Store, maker: StoreMaker) -> None:
        await owe(store, await fill(store, 1))
        claim = await claim_one(store)
        await maker.clock.advance(2 * LEASE)
        assert await store.settle(claim, DELIVERED)
        assert (await only(store)).state is DeliveryState.DELIVERED

    async def test_extend_moves_the_end_of_the_lease(self, store: Store, maker: StoreMaker) -> None:
        await owe(store, await fill(store, 1))
        claim = await claim_one(store)
        await maker.clock.advance(LEASE / 2)
        assert list(await store.extend([claim], LEASE)) == [True]
        await maker.clock.advance(LEASE / 2)
        assert list((await store.claim("lane", 1, LEASE)).claims) == []
        await maker.clock.advance(LEASE / 2)
        assert (await claim_one(store)).attempt == 2

    async def test_a_restart_frees_every_claim_and_keeps_its_attempt(
        self, store: Store, maker: StoreMaker
    ) -> None:
        await owe(store, await fill(store, 1))
        first = await claim_one(store)
        store = await maker.reopen()
        second = await claim_one(store)
        assert (second.attempt, second.token != first.token) == (2, True)
        assert not await store.settle(first, DELIVERED)
        assert await store.settle(second, DELIVERED)

    async def test_a_claim_from_before_a_restart_is_lost(self, store: Store, maker: StoreMaker) -> None:
        await owe(store, await fill(store, 1))
        claim = await claim_one(store)
        store = await maker.reopen()
        assert not await store.settle(claim, DELIVERED)
        assert list(await store.extend([claim], LEASE)) == [False]
        assert (await only(store)).state is DeliveryState.OWED

    @pytest.mark.parametrize("settlement", [DELIVERED, DEAD, CANCELLED])
    async def test_settling(self, store: Store, maker: StoreMaker, settlement: Settlement) -> None:
        await owe(store, await fill(store, 1))
        claim = await claim_one(store)
        await maker.clock.advance(SECOND)
        assert await store.settle(claim, settlement)
        assert not await store.settle(claim, DELIVERED)
        assert not (await store.extend([claim], LEASE))[0]
        for _ in range(2):
            found = await only(store)
            assert (found.state, found.last, found.attempts) == (settlement.state, settlement, ())
            assert (found.due_at, found.settled_at) == (None, maker.clock.now())
            assert (found.attempts_made, found.owed_at) == (0, maker.clock.now() - SECOND)
            assert list(await store.lanes()) == []
            store = await maker.reopen()

    async def test_the_same_claim_settled_twice_at_once_settles_once(self, store: Store) -> None:
        await owe(store, await fill(store, 1))
        claim = await claim_one(store)
        answers = await asyncio.gather(*(store.settle(claim, DELIVERED) for _ in range(5)))
        assert sorted(answers) == [False] * 4 + [True]
        assert (await store.ledger("log")).delivered == 1

    async def test_a_retry_is_due_when_it_says(self, store: Store, maker: StoreMaker) -> None:
        await owe(store, await fill(store, 1))
        due_at = maker.clock.now() + 5 * SECOND
        retry = Settlement(
            state=DeliveryState.OWED, due_at=due_at, attempt=tried(maker.clock, 1, REFUSED), message="500"
        )
        assert await store.settle(await claim_one(store), retry)
        found = await only(store)
        assert (found.state, found.due_at, found.settled_at) == (DeliveryState.OWED, due_at, None)
        assert (found.last, found.attempts) == (retry, (retry.attempt,))
        claimed = await store.claim("lane", 1, LEASE)
        assert (list(claimed.claims), claimed.next_due_at) == ([], due_at)
        await maker.clock.advance(5 * SECOND)
        assert (await claim_one(store)).attempt == 2

    async def test_the_first_and_the_latest_attempts_are_kept(self, store: Store, maker: StoreMaker) -> None:
        await owe(store, await fill(store, 1))
        total = ATTEMPTS_KEPT + 5
        for number in range(1, total + 1):
            claim = await claim_one(store)
            assert claim.attempt == number
            attempt = tried(maker.clock, number, REFUSED)
            await store.settle(
                claim, Settlement(state=DeliveryState.OWED, due_at=maker.clock.now(), attempt=attempt)
            )
        found = await only(store)
        assert found.attempts_made == total
        assert [attempt.number for attempt in found.attempts] == [
            1,
            *range(total - ATTEMPTS_KEPT + 2, total + 1),
        ]
        assert found.attempts[-1].reply == REFUSED

    async def test_many_settled_at_once(self, store: Store, maker: StoreMaker) -> None:
        """Some for the first time, some with a history, some lost: each gets its own answer."""
        await owe(store, await fill(store, 300))
        again = (await store.claim("lane", 100, LEASE)).claims
        retry = Settlement(
            state=DeliveryState.OWED, due_at=maker.clock.now(), attempt=tried(maker.clock, 1, REFUSED)
        )
        await asyncio.gather(*(store.settle(claim, retry) for claim in again))
        held = (await store.claim("lane", 300, LEASE)).claims
        done = Settlement(state=DeliveryState.DELIVERED, attempt=tried(maker.clock, 2))
        answers = await asyncio.gather(*(store.settle(claim, done) for claim in [*again, *held]))
        assert answers == [False] * 100 + [True] * 300
        found = await store.deliveries(DeliveryQuery(limit=300))
        assert sorted(len(delivery.attempts) for delivery in found) == [1] * 200 + [2] * 100
        assert (await store.ledger("log")).delivered == 300


class DeadLetterContract:
    """Dead letters, and the read for people."""

    async def test_drop_dead_drops_the_old_ones(self, store: Store, maker: StoreMaker) -> None:
        stored = await fill(store, 4)
        await owe(store, stored)
        for claim in (await store.claim("lane", 3, LEASE)).claims:
            await store.settle(claim, DEAD)
            await maker.clock.advance(SECOND)
        third_died_at = maker.clock.now() - SECOND
        assert await store.drop_dead(third_died_at, limit=1) == 1
        assert await store.drop_dead(third_died_at) == 1
        assert await store.drop_dead(third_died_at) == 0
        ledger = await store.ledger("log")
        assert (ledger.dead, ledger.dropped, ledger.pending) == (1, 2, 1)
        assert await store.redrive([("sub", stored[0].position)]) == 0
        assert await store.trim("log", stored[-1].position + 1) == 3

    async def test_deliveries_answers_each_condition(self, store: Store) -> None:
        here, there = await fill(store, 6), await fill(store, 4, "other", first=7)
        for index, records in enumerate((here[:3], here[3:], there)):
            await owe(store, records, subscription=f"s{index}", lane=f"l{index}")
        await deliver_all(store, "l1")
        for claim in (await store.claim("l2", 2, LEASE)).claims:
            await store.settle(claim, DEAD)
        everything = await store.deliveries(DeliveryQuery())
        assert len(everything) == 10
        states_asked: list[list[DeliveryState]] = [
            [],
            [DeliveryState.DEAD],
            [DeliveryState.OWED],
            [DeliveryState.OWED, DeliveryState.DELIVERED],
        ]
        logs_asked = [None, ["log"], ["other", "log"], ["nothing"], []]
        subscriptions_asked = [None, ["s0"], ["s0", "s2"], ["nobody"], []]
        for states, logs, subscriptions in product(states_asked, logs_asked, subscriptions_asked):
            query = DeliveryQuery(states=states, logs=logs, subscriptions=subscriptions)
            assert list(await store.deliveries(query)) == [
                delivery
                for delivery in everything
                if (not states or delivery.state in states)
                and (logs is None or delivery.log in logs)
                and (subscriptions is None or delivery.subscription in subscriptions)
            ]

    async def test_deliveries_by_id(self, store: Store) -> None:
        stored = await fill(store, 3)
        await owe(store, stored)
        ids = [("sub", stored[0].position), ("sub", stored[2].position), ("x", 1), ("sub", 10**30)]
        found = await store.deliveries(DeliveryQuery(ids=ids))
        assert [delivery.position for delivery in found] == [stored[2].position, stored[0].position]
        assert list(await store.deliveries(DeliveryQuery(ids=[]))) == []

    @pytest.mark.parametrize(
        "conditions",
        [{}, {"logs": ["log"]}, {"subscriptions": ["s0", "s1", "s2"]}, {"states": [DeliveryState.DEAD]}],
    )
    async def test_pages_show_each_delivery_once_newest_first(
        self, store: Store, conditions: dict[str, list[str]]
    ) -> None:
        stored = await fill(store, 10)
        owed = [
            NewDelivery(subscription=f"s{n}", lane="lane", position=record.position)
            for record in stored
            for n in range(3)
        ]
        await store.advance("log", LIVE, stored[-1].position, owed=owed, unmatched=0)
        for claim in (await store.claim("lane", 30, LEASE)).claims:
            await store.settle(claim, DEAD)
        seen: list[tuple[int, str]] = []
        while page := await store.deliveries(
            DeliveryQuery(limit=4, after=seen[-1] if seen else None, **conditions)  # type: ignore[arg-type]
        ):
            seen += [(delivery.position, delivery.subscription) for delivery in page]
        assert len(seen) == len(set(seen)) == 30
        positions = [position for position, _ in seen]
        assert positions == sorted(positions, reverse=True)

    async def test_of_two_that_route_a_log_the_second_is_refused(self, store: Store) -> None:
        first, second = await fill(store, 2)
        owed = [NewDelivery(subscription="s", lane="lane", position=second.position, claimed=True)]
        await store.advance("log", LIVE, first.position, owed=[], unmatched=1, after=START)
        with pytest.raises(CursorMoved):
            await store.advance("log", LIVE, second.position, owed=owed, unmatched=1, after=START)
        assert await store.cursor("log", LIVE) == first.position
        assert await store.ledger("log") == Ledger(log="log", accepted=2, unmatched=1, unrouted=1)
        assert await store.advance("log", LIVE, second.position, owed=owed, unmatched=0, after=first.position)
        ledger = Ledger(log="log", accepted=2, unmatched=1, matched=1, owed=1, pending=1)
        assert await store.ledger("log") == ledger

    async def test_the_ledger_is_kept(self, store: Store, maker: StoreMaker) -> None:
        assert await store.ledger("log") == Ledger(log="log")
        stored = await fill(store, 8)
        owed = [
            NewDelivery(subscription=f"s{n}", lane="lane", position=record.position)
            for record in stored[:4]
            for n in range(2)
        ]
        await store.advance("log", LIVE, stored[5].position, owed=owed, unmatched=2)
        for claim, settlement in zip(
            (await store.claim("lane", 4, LEASE)).claims, [DELIVERED, DEAD, DEAD, CANCELLED], strict=True
        ):
            await store.settle(claim, settlement)
        await maker.clock.advance(SECOND)
        await store.drop_dead(maker.clock.now(), limit=1)
        expected = Ledger(
            log="log",
            accepted=8,
            unmatched=2,
            matched=4,
            unrouted=2,
            owed=8,
            delivered=1,
            dead=1,
            dropped=1,
            cancelled=1,
            pending=4,
        )
        assert await store.ledger("log") == expected
        store = await maker.reopen()
        assert await store.ledger("log") == expected
