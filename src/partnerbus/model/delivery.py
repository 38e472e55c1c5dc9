"""Deliveries: what is owed to a subscription, and how it ends.

A delivery is one event owed to one subscription. It is identified by (subscription, position), which is
derived and never drawn, so that committing it twice is committing it once. `TRANSITIONS` is the whole
state machine; the diagram in ARCHITECTURE.md is made from it.

An attempt is counted when the delivery is claimed and recorded when it is settled: a process that dies
between the two has used an attempt that nobody saw, so attempts never exceed the policy. A delivery that
ends without one (cancelled, too old) does not count the last claim's.
"""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from partnerbus.model.event import Event
from partnerbus.model.reply import ErrorCode, Reply

ATTEMPTS_KEPT = 20
"""How many of a delivery's attempts are kept for people: the first one and the latest others."""


class DeliveryState(StrEnum):
    OWED = "owed"
    CLAIMED = "claimed"
    DELIVERED = "delivered"
    DEAD = "dead"
    DROPPED = "dropped"
    CANCELLED = "cancelled"


class Step(StrEnum):
    """What moves a delivery from one state to another."""

    CLAIM = "claim"
    LEASE_LOST = "lease lost"
    ACCEPT = "accept"
    RETRY = "retry"
    BURY = "bury"
    CANCEL = "cancel"
    REDRIVE = "redrive"
    DROP = "drop"


TRANSITIONS: dict[tuple[DeliveryState, Step], DeliveryState] = {
    (DeliveryState.OWED, Step.CLAIM): DeliveryState.CLAIMED,
    (DeliveryState.CLAIMED, Step.LEASE_LOST): DeliveryState.OWED,
    (DeliveryState.CLAIMED, Step.ACCEPT): DeliveryState.DELIVERED,
    (DeliveryState.CLAIMED, Step.RETRY): DeliveryState.OWED,
    (DeliveryState.CLAIMED, Step.BURY): DeliveryState.DEAD,
    (DeliveryState.CLAIMED, Step.CANCEL): DeliveryState.CANCELLED,
    (DeliveryState.DEAD, Step.REDRIVE): DeliveryState.OWED,
    (DeliveryState.DEAD, Step.DROP): DeliveryState.DROPPED,
}

SETTLED = frozenset(
    {DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.DROPPED, DeliveryState.CANCELLED}
)


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event at a position of a log. `via` is the ARN of the bus that forwarded it, None if it was put."""

    log: str
    position: int
    stored_at: datetime
    event: Event
    via: str | None = None


class NewRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event to append. Appending the same `dedup_id` again changes nothing; it is 16 bytes."""

    log: str
    dedup_id: bytes
    event: Event
    via: str | None = None


class NewDelivery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A delivery that the router found to be owed, due at once.

    `lane` is what is isolated from others: deliveries of one lane may hold up each other, never those of
    another. One that is `claimed` is born with a lease, for the node that routed it to attempt at once.
    Of those of a subscription with the same `key` (16 bytes) one is attempted after the other, by position.
    """

    subscription: str
    lane: str
    position: int
    claimed: bool = False
    key: bytes | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try, as people read it. `number` counts from 1."""

    number: int
    started_at: datetime
    seconds: float
    reply: Reply


class Claim(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The right to make attempt number `attempt` until the lease ends; later claims have other tokens.

    The age limit of the retry policy counts from `owed_at`: when the event was stored, or when the delivery
    was last redriven.
    """

    subscription: str
    lane: str
    record: Record
    attempt: int
    token: int
    owed_at: datetime
    key: bytes | None = None

    @property
    def delivery_id(self) -> str:
        return delivery_id(self.subscription, self.record.position)


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """How a claim ends: the state it goes to (OWED with `due_at` is a retry), and the attempt that was made.

    `attempt` is None when nothing was sent (cancelled, or no attempts were left). A dead letter says why:
    `exhausted` names the member of the retry policy that ran out, `sent_to` the dead-letter queue that has
    it. `error` and `message` repeat the last failure.
    """

    state: DeliveryState
    due_at: datetime | None = None
    attempt: Attempt | None = None
    error: ErrorCode | None = None
    message: str = ""
    exhausted: str | None = None
    sent_to: str | None = None


class Redrive(msgspec.Struct, frozen=True, kw_only=True):
    """How dead letters are owed anew: the first due at `due_at` (None: at once), each next one `gap` later.

    Only those that died by `died_by`: a redrive that is repeated with the same instant leaves alone what it
    has redriven and what died again since. With `to`, a subscription and its lane, they are owed to that one
    instead, unless it has or had the event already, and the dead letter is dropped.
    """

    due_at: datetime | None = None
    gap: timedelta = timedelta(0)
    died_by: datetime | None = None
    to: tuple[str, str] | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery as people see it. `record` is None if it was trimmed, or if the disk has changed it.

    `due_at` is None once settled, and while an elder one of the same key is not. It is owed since `owed_at`:
    when its event was stored, or when it was last redriven.
    """

    subscription: str
    lane: str
    log: str
    position: int
    state: DeliveryState
    attempts_made: int
    owed_at: datetime
    due_at: datetime | None = None
    settled_at: datetime | None = None
    attempts: tuple[Attempt, ...] = ()
    last: Settlement | None = None
    redriven: int = 0
    record: Record | None = None

    @property
    def id(self) -> str:
        return delivery_id(self.subscription, self.position)


def delivery_id(subscription: str, position: int) -> str:
    """The text by which people name a delivery."""
    return f"{subscription}-{position}"


def parse_delivery_id(text: str) -> tuple[str, int] | None:
    """(subscription, position) of a delivery id, None if it is none."""
    subscription, _, position = text.rpartition("-")
    return (subscription, int(position)) if subscription and position.isdecimal() else None
