"""The seam between the engine and what remembers.

A verb is here only because the engine needs it to keep one of the invariants in ARCHITECTURE.md. Each
docstring is a promise, and `partnerbus.testing.store_contract` holds every implementation to it.

Two strengths of commit:

* **on disk**: when the call returns, the change survives kill -9 and a power cut (`append`, the registry);
* **ordered**: when the call returns, the change is visible and survives kill -9, but a power cut may forget
  it, together with everything committed after it and never without (`advance`, `claim`, `settle`, …, and
  `append` where it is told so).
  Forgetting leads to a repeat, never to a loss.

Failures: `StoreOverloaded` (nothing was written, try again), `StoreUnavailable` (the disk refused, nothing
was acknowledged), `EventDamaged` (`read` only), `RevisionConflict` (registry only), `CursorMoved` (`advance`
only).
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

import msgspec

from partnerbus.model.delivery import (
    Claim,
    Delivery,
    DeliveryState,
    NewDelivery,
    NewRecord,
    Record,
    Redrive,
    Settlement,
)

START = 0
"""The position before every record: reading after it reads a log from its horizon."""

BYTES_AT_ONCE = 4 * 1024 * 1024
"""So many bytes of details end a read or a claim, so that none of them takes much more of memory."""

AT_ONCE = Redrive()

LIVE = "live"
"""The cursor that routes a log. It alone moves the ledger's events; every cursor's deliveries count."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A record that the router keeps in another log (an archive). Keeping it twice changes nothing.

    It was accepted by its own log, so no ledger counts the copy.
    """

    log: str
    record: Record


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """What `claim` gave, and when the lane has more to give (None: nothing waits there).

    `damaged` names deliveries, by subscription and position, that became dead letters instead.
    """

    claims: Sequence[Claim]
    next_due_at: datetime | None
    damaged: Sequence[tuple[str, int]] = ()


class LaneDue(msgspec.Struct, frozen=True, kw_only=True):
    """A lane with something owed, and when the first of it is due."""

    lane: str
    due_at: datetime


class LogInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A log's ends: `head` is the newest position ever given, `horizon` the oldest one that can be read.

    A log of which nothing is stored any more has its horizon behind its head.
    """

    log: str
    horizon: int
    head: int


class LogSize(msgspec.Struct, frozen=True, kw_only=True):
    """How many records of a log can be read, and the bytes of their events as JSON."""

    records: int = 0
    bytes: int = 0


class Place(msgspec.Struct, frozen=True, order=True):
    """How far somebody has read who reads by minute: behind `position` in `minute` (counted from 1970)."""

    minute: int
    position: int = START


class DeliveryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries to show: all conditions hold; the page comes after `after`, newest position first.

    `position` asks for those of one record.
    """

    states: Sequence[DeliveryState] = ()
    logs: Sequence[str] | None = None
    subscriptions: Sequence[str] | None = None
    ids: Sequence[tuple[str, int]] | None = None
    position: int | None = None
    after: tuple[int, str] | None = None
    limit: int = 100


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What a subscription is owed and has not got: `pending` deliveries, and `dead` ones.

    Of the pending, `retrying` are due only later: after a failed attempt, or redriven at a pace. The record
    of the eldest was stored at `oldest_stored_at`, None if nothing is pending.
    """

    subscription: str
    pending: int = 0
    retrying: int = 0
    dead: int = 0
    oldest_stored_at: datetime | None = None


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """The conservation ledger of one log. Every number only grows, save `unrouted`, `pending` and `dead`.

    accepted = unmatched + matched + unrouted (events), and
    owed = delivered + dead + dropped + cancelled + pending (deliveries).
    """

    log: str
    accepted: int = 0
    unmatched: int = 0
    matched: int = 0
    owed: int = 0
    delivered: int = 0
    dead: int = 0
    dropped: int = 0
    cancelled: int = 0
    unrouted: int = 0
    pending: int = 0


class Revised(msgspec.Struct, frozen=True, kw_only=True):
    """A registry value and its revision. Revisions grow over the whole registry."""

    key: str
    value: bytes
    revision: int


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A registry change as watchers see it; `value` is None for a deletion."""

    key: str
    value: bytes | None
    revision: int


class LogStore(Protocol):
    """Logs of records. Positions are positive, grow within a log and may have gaps."""

    async def append(self, records: Sequence[NewRecord], *, ordered: bool = False) -> Sequence[Record]:
        """Store all of `records` or none, **on disk**, and give them back with their positions, in order.

        With `ordered` it is an **ordered** commit: for records that can be appended again, should they be
        lost.
        A record whose `dedup_id` is already stored is not stored again: the stored one comes back. What only
        a dead letter has any more counts as stored.
        Raises `StoreOverloaded` while more bytes wait for the disk than the store was given room for.
        """

    async def read(
        self, log: str, after: int, *, until: int | None = None, limit: int = 256, wait: bool = False
    ) -> Sequence[Record]:
        """Up to `limit` records with `after` < position <= `until`, in order; fewer if they are large.

        It ends with the first record by which their details have `BYTES_AT_ONCE` together. With `wait` it
        returns only once there is at least one, or `until` is passed and none can come. No record appears
        later at a position lower than one that was read. It ends before a record that is not what was stored;
        `EventDamaged` if that is the first: what is behind its position can be read. A
        `SharedStore` ends instead: other nodes have the record as it was stored.
        """

    async def read_by_minute(
        self, log: str, after: Place, *, before: int, until: int | None = None, limit: int = 256
    ) -> Sequence[Record]:
        """Up to `limit` records behind the place `after`, by the minute of their event's time, then position.

        Only records that `advance` kept, of minutes < `before`, with position <= `until`. However many there
        are in a minute, it costs what it gives.
        """

    async def size(self, log: str) -> LogSize:
        """How much of `log` can be read: it grows with what is stored or kept, and shrinks with `trim`."""

    async def find(self, dedup_ids: Sequence[bytes]) -> Sequence[Record]:
        """The stored records that were appended with these ids, in any log, by position.

        What only a dead letter has any more counts as stored, as in `append`.
        """

    async def seek(self, log: str, stored_at: datetime | None = None) -> int:
        """The position after which reading finds exactly what was stored at or after `stored_at`.

        None means the head: reading after it finds only what is appended from now on.
        """

    async def trim(self, log: str, before: int, limit: int = 10_000) -> int:
        """Forget up to `limit` records with position < `before`, and their settled deliveries; give how many.

        It stops short at the first record that a cursor has not passed, or that an owed or claimed delivery
        still needs. A dead delivery does not hold it up: it stays, with its record, which leaves the log.
        A log that was appended to and never routed has its live cursor at START, so
        nothing of it is trimmed: whoever gives a log up advances `LIVE` to its head first. A log that
        holds only kept records needs no live cursor.
        """

    async def logs(self) -> Sequence[LogInfo]:
        """Every log that holds, or has ever held, a record."""


class CursorStore(Protocol):
    """How far a log has been routed."""

    async def cursor(self, log: str, name: str) -> int:
        """The position up to which `name` has routed `log`; START if it never has."""

    async def advance(
        self,
        log: str,
        name: str,
        to: int,
        *,
        owed: Sequence[NewDelivery],
        unmatched: int,
        kept: Sequence[Kept] = (),
        lease: timedelta = timedelta(seconds=60),
        after: int | None = None,
        damaged: int = 0,
    ) -> Sequence[Claim]:
        """Commit, **ordered** and together: the owed deliveries, the kept records, and the cursor at `to`.

        `unmatched` counts the records since the last cursor that nothing matched. Gives claims for the
        deliveries that were born claimed, with leases of `lease`. Advancing to where the cursor already
        is, or behind it, changes nothing and gives nothing.

        A delivery is held back while one of the same subscription and key, with a lower position, is owed or
        claimed: it is not due, and there is no claim for it, even if it was to be born with one.

        With `after` it is only done if the cursor is there: `CursorMoved`, and no change, if it is not. So
        what was matched against the records behind `after` is counted once, whoever else routes the log.

        `damaged` counts the records that were passed over because they cannot be read any more: no rule was
        asked, so the ledger goes on to count them as unrouted.
        """


class DeliveryStore(Protocol):
    """Deliveries until, and some time after, they are settled."""

    async def lanes(self) -> Sequence[LaneDue]:
        """Every lane with owed or claimed deliveries that are not held back, and when the first is due.

        A claimed one is due when its lease ends.
        """

    async def claim(self, lane: str, limit: int, lease: timedelta) -> Claimed:
        """Claim up to `limit` deliveries of `lane` that are due, earliest first, one attempt each; fewer if
        they are large, as in `read`.

        A delivery whose lease ended is due again. `next_due_at` leaves out what this call claimed, and what
        is held back. One whose event is not what was stored any more is not claimed: it becomes a dead letter
        that says so, and holds up nothing behind it. **Ordered.**
        """

    async def extend(self, claims: Sequence[Claim], lease: timedelta) -> Sequence[bool]:
        """Let the leases end `lease` from now; False for a claim that is no longer held."""

    async def settle(self, claim: Claim, settlement: Settlement) -> bool:
        """End a claim as `settlement` says. **Ordered.** False, and no change, if it is no longer held.

        A delivery that ends without an attempt does not count this claim's. One that ends lets the next of
        its key, which it held back, be due at once.

        A claim is held until its delivery is claimed anew, the store is opened anew or it is released
        (`SharedStore`), even if its lease has ended: a late answer that nobody overtook is better than a
        repeat.
        """

    async def deliveries(self, query: DeliveryQuery) -> Sequence[Delivery]:
        """What people read of single deliveries."""

    async def backlog(self) -> Sequence[Backlog]:
        """Every subscription with pending or dead deliveries, by its name; for people, too."""

    async def redrive(self, ids: Sequence[tuple[str, int]], how: Redrive = AT_ONCE) -> int:
        """Owe dead deliveries anew, as `how` says; give how many were dead and died in time. **Ordered.**

        Attempts are counted from 1 again, and it is owed since it is due. A record that was trimmed is in its
        log again, at its old position, until it is trimmed anew: it was accepted and routed before. It has
        no key any more: it is out of order, so it neither waits nor holds back others. All of `ids` are
        redriven together or none.
        """

    async def drop_dead(self, settled_before: datetime, limit: int = 10_000) -> int:
        """Let dead deliveries that were settled before that instant be dropped; give how many.

        Those whose record was trimmed go at once, and it with them.
        """

    async def ledger(self, log: str) -> Ledger:
        """The balance of one log, consistent in itself."""


class RegistryStore(Protocol):
    """Small values by key, changed by compare-and-set."""

    async def get(self, key: str) -> Revised | None:
        """The value of `key`."""

    async def put(self, key: str, value: bytes, expected: int) -> int:
        """Set `key` **on disk** if its revision is `expected` (0: must not exist); give the new revision."""

    async def delete(self, key: str, expected: int) -> int:
        """Remove `key` **on disk** if its revision is `expected`; give the revision of the removal."""

    async def list(self, prefix: str) -> Sequence[Revised]:
        """Every value whose key starts with `prefix`, by key."""

    def watch(self) -> AsyncIterator[Change]:
        """Every change from now on ("now" is this call, not the first step), in order, once."""


class Store(LogStore, CursorStore, DeliveryStore, RegistryStore, Protocol):
    """The whole seam."""

    async def probe(self) -> None:
        """Write something **on disk** that changes nothing: whether the store takes events at all."""

    async def reset(self, keep: Sequence[str], noted: tuple[str, int] | None = None) -> None:
        """Forget every log, cursor and delivery, and each value of the registry whose key begins with none of
        `keep`, **on disk**: all of it or, whatever happens meanwhile, nothing.

        Positions and revisions go on growing, so no claim from before is held any more, and watchers are told
        of each removal. What is committed after it is as in a new store. `noted` is a key and the revision
        its value must have, else it raises `RevisionConflict`: a reset that was noted there is done once.
        """

    async def close(self) -> None:
        """Finish what was accepted and let go. Verbs called afterwards raise `StoreUnavailable`."""


class News(Protocol):
    """What one node hears of what the others have committed. Called in the event loop, in that order."""

    def stored(self, log: str, position: int) -> None:
        """There is a record at `position` of `log`."""

    def owed(self, lane: str) -> None:
        """Something is owed in `lane`, due now."""

    def owed_again(self, subscription: str, due_at: datetime | None) -> None:
        """A delivery of `subscription` is due at `due_at` (None: now), which was claimed or held back."""

    def redriven(self) -> None:
        """Dead deliveries are owed anew."""


@runtime_checkable
class SharedStore(Protocol):
    """What a store that many nodes share has besides."""

    node: str
    """The name of this one among them, which stays when it starts again."""

    def listen(self, news: News) -> None:
        """From now on tell `news`, and nobody else."""

    async def release(self, node: str, key: str, revision: int) -> Sequence[str]:
        """Let what the node `node` has claimed be owed at once, due now, and give the lanes. **Ordered.**

        Nothing is, if the registry's `key` is no longer of that revision: so who saw there that the node is
        gone does not take away what it has claimed since it came back. A claim that was released is held no
        more; its attempt stays counted, since the target may have got it.
        """

    async def catch_up(self) -> None:
        """Wait until reads and watchers here know of whatever any node had been answered before this call.

        While the order cannot be asked, or takes too long, they know what they know.
        """
