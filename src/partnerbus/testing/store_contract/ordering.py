"""Deliveries with a key: one after the other, by position, whatever happens between."""

import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

import pytest

from partnerbus.model.delivery import Claim, DeliveryState, NewDelivery, Record, Settlement
from partnerbus.store.protocol import LIVE, DeliveryQuery, Store
from partnerbus.testing.store_contract.world import (
    CANCELLED,
    DEAD,
    DELIVERED,
    LEASE,
    SECOND,
    StoreMaker,
    claim_one,
    fill,
)

A, B = b"a" * 16, b"b" * 16


async def owe_keyed(
    store: Store, records: Sequence[Record], keys: Sequence[bytes | None], *, born: bool = False
) -> list[Claim]:
    """Route `records`, each owed to one subscription with its key."""
    owed = [
        NewDelivery(subscription="sub", lane="lane", position=record.position, claimed=born, key=key)
        for record, key in zip(records, keys, strict=True)
    ]
    return list(await store.advance("log", LIVE, records[-1].position, owed=owed, unmatched=0, lease=LEASE))


class OrderingContract:
    """What is held back, and what lets it go."""

    async def test_the_eldest_of_each_key_is_claimed(self, store: Store, maker: StoreMaker) -> None:
        stored = await fill(store, 5)
        await owe_keyed(store, stored, [A, A, B, None, B])
        claimed = await store.claim("lane", 9, LEASE)
        assert [claim.record for claim in claimed.claims] == [stored[0], stored[2], stored[3]]
        assert claimed.next_due_at is None
        again = await store.claim("lane", 9, LEASE)
        assert (list(again.claims), again.next_due_at) == ([], maker.clock.now() + LEASE)

    @pytest.mark.parametrize("ending", [DELIVERED, DEAD, CANCELLED])
    async def test_its_end_lets_the_next_one_go(self, store: Store, ending: Settlement) -> None:
        stored = await fill(store, 3)
        await owe_keyed(store, stored, [A] * 3)
        for record in stored:
            claim = await claim_one(store)
            assert (claim.record, claim.key, claim.attempt) == (record, A, 1)
            assert list((await store.claim("lane", 9, LEASE)).claims) == []
            assert await store.settle(claim, ending)
        assert (await store.claim("lane", 9, LEASE)).next_due_at is None

    async def test_a_retry_holds_them_back(self, store: Store, maker: StoreMaker) -> None:
        stored = await fill(store, 2)
        await owe_keyed(store, stored, [A, A])
        later = maker.clock.now() + 5 * SECOND
        await store.settle(await claim_one(store), Settlement(state=DeliveryState.OWED, due_at=later))
        claimed = await store.claim("lane", 9, LEASE)
        assert (list(claimed.claims), claimed.next_due_at) == ([], later)
        assert [lane.due_at for lane in await store.lanes()] == [later]
        await maker.clock.advance(5 * SECOND)
        assert (await claim_one(store)).record == stored[0]

    async def test_a_lost_lease_holds_them_back(self, store: Store, maker: StoreMaker) -> None:
        stored = await fill(store, 2)
        await owe_keyed(store, stored, [A, A])
        lost = await claim_one(store)
        await maker.clock.advance(LEASE)
        again = await store.claim("lane", 9, LEASE)
        assert [claim.record for claim in again.claims] == stored[:1]
        assert not await store.settle(lost, DELIVERED)
        assert list((await store.claim("lane", 9, LEASE)).claims) == []

    async def test_none_is_born_claimed_before_its_elder(self, store: Store) -> None:
        stored = await fill(store, 4)
        born = await owe_keyed(store, stored[:3], [A, A, B], born=True)
        assert [claim.record for claim in born] == [stored[0], stored[2]]
        assert await owe_keyed(store, stored[3:], [A], born=True) == []
        await store.settle(born[0], DELIVERED)
        assert (await claim_one(store)).record == stored[1]

    async def test_keys_of_other_subscriptions_are_others(self, store: Store) -> None:
        (record,) = await fill(store, 1)
        owed = [
            NewDelivery(subscription=name, lane="lane", position=record.position, key=A) for name in "xyz"
        ]
        await store.advance("log", LIVE, record.position, owed=owed, unmatched=0)
        assert len((await store.claim("lane", 9, LEASE)).claims) == 3

    async def test_a_lane_where_everything_is_held_back_has_nothing_due(
        self, store: Store, maker: StoreMaker
    ) -> None:
        """The elder is in another lane: its target was put anew, with another ARN, in between."""
        elder, younger = await fill(store, 2)
        for record, lane in ((elder, "lane"), (younger, "other")):
            owed = [NewDelivery(subscription="sub", lane=lane, position=record.position, key=A)]
            await store.advance("log", LIVE, record.position, owed=owed, unmatched=0)
        assert [found.lane for found in await store.lanes()] == ["lane"]
        assert list((await store.claim("other", 9, LEASE)).claims) == []
        await store.settle(await claim_one(store), DELIVERED)
        assert [(found.lane, found.due_at) for found in await store.lanes()] == [("other", maker.clock.now())]
        [claim] = (await store.claim("other", 9, LEASE)).claims
        assert claim.record == younger

    async def test_people_see_what_is_held_back(self, store: Store, maker: StoreMaker) -> None:
        await owe_keyed(store, await fill(store, 2), [A, A])
        held, first = await store.deliveries(DeliveryQuery())
        assert (held.state, held.due_at) == (DeliveryState.OWED, None)
        assert (first.state, first.due_at) == (DeliveryState.OWED, maker.clock.now())
        assert (await store.ledger("log")).pending == 2

    async def test_what_is_redriven_is_out_of_order(self, store: Store) -> None:
        stored = await fill(store, 3)
        await owe_keyed(store, stored, [A] * 3)
        await store.settle(await claim_one(store), DEAD)
        assert await store.redrive([("sub", stored[0].position)]) == 1
        claims = (await store.claim("lane", 9, LEASE)).claims
        assert {claim.record.position: claim.key for claim in claims} == {
            stored[0].position: None,
            stored[1].position: A,
        }

    async def test_what_another_cursor_owed_before_holds_nothing_back_once_it_is_settled(
        self, store: Store
    ) -> None:
        stored = await fill(store, 2)
        first = NewDelivery(subscription="sub", lane="lane", position=stored[0].position, key=A)
        await store.advance("log", "replay", stored[0].position, owed=[first], unmatched=0)
        await store.settle(await claim_one(store), DELIVERED)
        await owe_keyed(store, stored, [A, A])
        assert (await claim_one(store)).record == stored[1]

    async def test_a_restart_keeps_the_order(self, store: Store, maker: StoreMaker) -> None:
        stored = await fill(store, 3)
        await owe_keyed(store, stored, [A, A, B])
        await store.claim("lane", 1, LEASE)
        again = await maker.reopen()
        claims = (await again.claim("lane", 9, LEASE)).claims
        assert {claim.record.position for claim in claims} == {stored[0].position, stored[2].position}

    @pytest.mark.parametrize("seed", range(8))
    async def test_whatever_happens_no_younger_one_is_claimed_before_its_elder_has_ended(
        self, store: Store, maker: StoreMaker, seed: int
    ) -> None:
        drawn = random.Random(seed)  # noqa: S311 (the same every time)
        world = _Keyed(store, maker, drawn)
        for _ in range(150):
            await drawn.choice((world.route, world.claim, world.settle, world.settle, world.wait))()
            if drawn.random() < 0.03:
                await world.restart()
        await world.finish()
        assert world.ended == set(world.keys)


class _Keyed:
    """Keyed deliveries under way, and what must not be claimed."""

    def __init__(self, store: Store, maker: StoreMaker, drawn: random.Random) -> None:
        self._store, self._maker, self._drawn = store, maker, drawn
        self._count = 0
        self._claims: list[Claim] = []
        self.keys: dict[int, bytes | None] = {}
        self.ended: set[int] = set()

    async def route(self) -> None:
        some = await fill(self._store, self._drawn.randint(1, 5), first=self._count + 1)
        self._count += len(some)
        keys = [self._drawn.choice((A, B, None)) for _ in some]
        self.keys |= {record.position: key for record, key in zip(some, keys, strict=True)}
        self._check(await owe_keyed(self._store, some, keys, born=self._drawn.random() < 0.5))

    async def claim(self) -> None:
        self._check((await self._store.claim("lane", self._drawn.randint(1, 4), LEASE)).claims)

    async def settle(self) -> None:
        if not self._claims:
            return
        claim = self._claims.pop(self._drawn.randrange(len(self._claims)))
        due_at = self._maker.clock.now() + timedelta(seconds=self._drawn.randint(0, 5))
        retry = Settlement(state=DeliveryState.OWED, due_at=due_at)
        ending = self._drawn.choice((DELIVERED, DEAD, CANCELLED, retry))
        if await self._store.settle(claim, ending) and ending is not retry:
            self.ended.add(claim.record.position)

    async def wait(self) -> None:
        await self._maker.clock.advance(self._drawn.choice((SECOND, SECOND, LEASE)))

    async def restart(self) -> None:
        self._store = await self._maker.reopen()
        self._claims.clear()

    async def finish(self) -> None:
        while self.ended != set(self.keys):
            await self._maker.clock.advance(LEASE)
            claims = (await self._store.claim("lane", 100, LEASE)).claims
            assert claims, "something is held back for ever"
            self._check(claims)
            for claim in claims:
                assert await self._store.settle(claim, DELIVERED)
                self.ended.add(claim.record.position)

    def _check(self, claims: Sequence[Claim]) -> None:
        """No elder one of a key that is claimed has not ended, and no two of one key are claimed at once."""
        waiting: dict[bytes | None, set[int]] = defaultdict(set)
        for position, key in self.keys.items():
            if position not in self.ended:
                waiting[key].add(position)
        for claim in claims:
            position = claim.record.position
            assert claim.key is None or position == min(waiting[claim.key])
        self._claims += claims
