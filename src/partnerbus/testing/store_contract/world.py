"""What the contract's tests share: how a store is opened, and the small steps of its use."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from partnerbus.kernel.clock import ManualClock
from partnerbus.model.delivery import (
    Attempt,
    Claim,
    Delivery,
    DeliveryState,
    NewDelivery,
    NewRecord,
    Record,
    Settlement,
)
from partnerbus.model.event import Event
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.store.protocol import BYTES_AT_ONCE, LIVE, DeliveryQuery, Store

LEASE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)


class StoreMaker(Protocol):
    """Opens the store under test. `reopen` is a restart: it closes the open one first."""

    clock: ManualClock

    async def open(self) -> Store: ...

    async def reopen(self) -> Store: ...


def make_event(number: int, detail: bytes = b'{"a":1}') -> Event:
    """An event that differs from others in its id."""
    return Event(
        id=f"00000000-0000-4000-8000-{number:012d}",
        detail_type="order",
        source="aws.partner/acme.example/shop",
        account="111122223333",
        time="2026-01-01T00:00:00Z",
        region="us-east-1",
        resources=("one", "zwei \u00fc"),
        detail=detail,
    )


def new_record(number: int, log: str = "log", via: str | None = None) -> NewRecord:
    """A record to append; the same number is the same record."""
    return NewRecord(log=log, dedup_id=number.to_bytes(16, "big"), event=make_event(number), via=via)


LARGE = b'{"a":"' + b"x" * (2 * BYTES_AT_ONCE // 5) + b'"}'
"""A detail of which three are more than `BYTES_AT_ONCE`."""


async def fill_large(store: Store, count: int, log: str = "log") -> list[Record]:
    """Append `count` records with a large detail."""
    return [
        record
        for number in range(1, count + 1)
        for record in await store.append(
            [NewRecord(log=log, dedup_id=number.to_bytes(16, "big"), event=make_event(number, LARGE))]
        )
    ]


async def fill(store: Store, count: int, log: str = "log", first: int = 1) -> list[Record]:
    """Append `count` records, numbered from `first`."""
    return list(await store.append([new_record(number, log) for number in range(first, first + count)]))


async def owe(
    store: Store,
    records: Sequence[Record],
    *,
    subscription: str = "sub",
    lane: str = "lane",
    born: bool = False,
) -> list[Claim]:
    """Route `records` (all of one log), each owed to `subscription`."""
    owed = [
        NewDelivery(subscription=subscription, lane=lane, position=record.position, claimed=born)
        for record in records
    ]
    to = records[-1].position
    return list(await store.advance(records[-1].log, LIVE, to, owed=owed, unmatched=0, lease=LEASE))


async def claim_one(store: Store, lane: str = "lane") -> Claim:
    """The next due delivery of `lane`."""
    (claim,) = (await store.claim(lane, 1, LEASE)).claims
    return claim


async def only(store: Store) -> Delivery:
    """The only delivery there is."""
    (delivery,) = await store.deliveries(DeliveryQuery())
    return delivery


def tried(clock: ManualClock, number: int, reply: Reply | None = None) -> Attempt:
    """An attempt that just ended."""
    return Attempt(number=number, started_at=clock.now(), seconds=0.25, reply=reply or Reply())


REFUSED = Reply(
    error=ErrorCode.ERROR_FROM_TARGET, message="500", status=500, body_head="ü\n{}", retryable=True
)

DELIVERED = Settlement(state=DeliveryState.DELIVERED)
DEAD = Settlement(state=DeliveryState.DEAD, error=ErrorCode.TIMEOUT, exhausted="max_retries", sent_to="arn:q")
CANCELLED = Settlement(state=DeliveryState.CANCELLED)


async def deliver_all(store: Store, lane: str = "lane") -> None:
    """Deliver everything that is due in `lane`."""
    while claims := (await store.claim(lane, 100, LEASE)).claims:
        for claim in claims:
            assert await store.settle(claim, DELIVERED)


async def trimmed_behind_dead_letters(store: Store) -> list[Record]:
    """Four records: the first and the third dead, the second delivered, all three trimmed, the last owed."""
    stored = await fill(store, 4)
    await owe(store, stored)
    claims = (await store.claim("lane", 3, LEASE)).claims
    for claim, settlement in zip(claims, (DEAD, DELIVERED, DEAD), strict=True):
        await store.settle(claim, settlement)
    assert await store.trim("log", stored[3].position + 1) == 3
    return stored
