"""The dispatcher: makes the attempts that are due, a bounded number at a time.

What is owed waits in the store; here is only what is in flight. A lane that has something due goes through
these steps:

1. it gets slots for attempts that may begin, at once or later (`Admission`);
2. as many deliveries as there are slots are claimed (`store.claim`), each with a lease (`Leases`), and the
   lane is due again when its next delivery is;
3. each attempt is made on its own, settled (`store.settle`), and gives its slot back. After a retry the lane
   is due at its instant.

The router skips the first two steps for deliveries that are born claimed: it reserves slots before it
commits, and hands over the claims.

Nothing here needs to be remembered over a crash. A claim that was never settled is due again when its lease
ends; the lease of an attempt that runs long is extended. A store that fails makes the lane, or the
settlement, wait a moment and try again. What this loses sight of (a claim whose commit was never confirmed,
a dead letter that was redriven behind its back) is found by `look`, which reads all lanes from the store.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from partnerbus.engine.admission import Admission
from partnerbus.engine.attempts import Attempts, Ended
from partnerbus.engine.leases import LEASE, Leases
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.telemetry import Log
from partnerbus.model.delivery import Claim, DeliveryState, Settlement, delivery_id
from partnerbus.store.protocol import DeliveryStore

PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=30)

CLAIMS_AT_ONCE = 16
"""How many lanes are claimed at once: nobody knows before how many bytes a claim gives."""

T = TypeVar("T")

STOPPED = "The node stopped before the target answered."


class Dispatcher:
    """Attempts what is due. `changed` is called when it may have become quiet, `judged` with each end."""

    def __init__(
        self,
        *,
        store: DeliveryStore,
        attempts: Attempts,
        clock: Clock,
        log: Log,
        changed: Callable[[], None],
        judged: Callable[[Claim, Ended], None],
        admission: Admission,
        leases: Leases,
    ) -> None:
        self._store = store
        self._attempts = attempts
        self._clock = clock
        self._log = log
        self._changed = changed
        self._judged = judged
        self._admission = admission
        self._leases = leases
        self._claiming = asyncio.Semaphore(CLAIMS_AT_ONCE)
        self._under_way: set[asyncio.Task[None]] = set()
        self._interruptible: set[asyncio.Task[None]] = set()
        self._pausing: dict[asyncio.Task[None], datetime] = {}
        self._is_stopping = False

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is in flight and nothing is due; what waits for the clock is neither."""
        now = self._clock.now()
        pausing = sum(until > now for until in self._pausing.values())
        return pausing == len(self._under_way) and not self._admission.anything_due

    # -- what the router asks --------------------------------------------------------------------------

    def reserve(self, wanted: Mapping[str, "Wanted"]) -> "Reservation":
        """Slots for deliveries that are about to be owed, by lane."""
        return Reservation(self, self._admission, wanted)

    # -- what replays ask ------------------------------------------------------------------------------

    @property
    def replayed_in_flight(self) -> int:
        """How many attempts of replayed events are under way."""
        return self._leases.replayed

    def is_behind(self, lane: str) -> bool:
        """Whether something in the lane is due and may not begin yet, though its target does not fail."""
        return self._admission.is_behind(lane)

    # -- telling of claims -----------------------------------------------------------------------------

    def look_later(self, lane: str) -> None:
        """There may be claims in `lane` that nobody attempts: look when their leases have ended."""
        self._admission.owe(lane, self._clock.now() + LEASE)

    def dispatch(self, claims: Sequence[Claim]) -> None:
        """Make the attempts of claims for which slots are held."""
        for claim in claims:
            self._admission.carry(_size(claim))
            self._start(self._deliver(claim))

    # -- loops -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Claim what is due, until cancelled."""
        while True:
            await self._claiming.acquire()
            try:
                lane, slots = await self._admission.next()
            except BaseException:
                self._claiming.release()
                raise
            self._start(self._claim(lane, slots))

    def owe(self, lane: str, due_at: datetime | None = None) -> None:
        """Something is owed in `lane`, due at `due_at` (None: now)."""
        self._admission.owe(lane, due_at)

    async def look(self) -> None:
        """Put every lane of the store on the agenda."""
        for found in await self._store.lanes():
            self._admission.owe(found.lane, found.due_at)

    # -- stopping --------------------------------------------------------------------------------------

    async def drain(self, grace: timedelta) -> None:
        """Let what is in flight end within `grace`, then hand the rest back, due at once.

        `run` must have been cancelled. What cannot be handed back is due when its lease ends.
        """
        try:
            if grace > timedelta(0):
                async with self._clock.timeout(grace):
                    await self._all_ended()
        except TimeoutError:
            self._log.warning("attempts cut short", attempts=len(self._interruptible))
        self._is_stopping = True
        for task in list(self._interruptible):
            task.cancel()
        await self._all_ended()

    async def _all_ended(self) -> None:
        while self._under_way:
            await asyncio.wait(self._under_way)

    # -- one lane, one delivery ------------------------------------------------------------------------

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._log.error("dispatcher failed", exc_info=error)
        self._changed()

    async def _claim(self, lane: str, taken: int) -> None:
        """Claim what is due in a lane, for the slots that were taken."""
        used = 0
        try:
            claimed = await self._store.claim(lane, taken, LEASE)
            used = len(claimed.claims)
            self.dispatch(claimed.claims)
            for damaged in claimed.damaged:
                self._log.error(
                    "stored event damaged, dead letter", lane=lane, delivery=delivery_id(*damaged)
                )
            if claimed.next_due_at is not None:
                self._admission.owe(lane, claimed.next_due_at)
        except Exception:  # noqa: BLE001 (tried again)
            self._log.exception("lane not claimed, will be tried again", lane=lane)
            self._admission.owe(lane, self._clock.now() + PAUSE)
        finally:
            self._claiming.release()
            self._admission.give_back(lane, taken - used)

    async def _deliver(self, claim: Claim) -> None:
        """Make an attempt and settle it; the slot is held, and its bytes are carried, until then."""
        self._leases.hold(claim)
        try:
            await self._settle(claim, await self._attempt(claim))
        except Exception:  # noqa: BLE001 (the claim's lease will end)
            self._log.exception("attempt without an end", delivery=claim.delivery_id, attempt=claim.attempt)
            self._admission.unmade(claim.lane)
            self.look_later(claim.lane)
        finally:
            self._leases.let_go(claim)
            self._admission.end(claim.lane, _size(claim))

    async def _attempt(self, claim: Claim) -> Ended:
        ended = await self._interruptibly(self._attempts.make(claim))
        if ended is None:
            self._admission.unmade(claim.lane)
            return Ended(
                settlement=Settlement(state=DeliveryState.OWED, due_at=self._clock.now(), message=STOPPED)
            )
        made = ended.settlement.attempt
        if made is None:
            self._admission.unmade(claim.lane)
        else:
            self._admission.judge(claim.lane, made.reply)
        self._judged(claim, ended)
        return ended

    async def _settle(self, claim: Claim, ended: Ended) -> None:
        """Settle, however long the store takes to be able to."""
        pause = PAUSE
        while (is_held := await self._settled(claim, ended.settlement)) is None:
            if not await self._interruptibly(self._pause(pause)):
                return
            pause = min(2 * pause, LONGEST_PAUSE)
        if is_held and ended.settlement.state is DeliveryState.OWED:
            self._admission.owe(claim.lane, ended.settlement.due_at)
        elif is_held and claim.key is not None:
            self._let_the_next_go(claim, ended)
        self._tell(claim, ended, is_held)

    def _let_the_next_go(self, claim: Claim, ended: Ended) -> None:
        """Perhaps this one held another back, in its lane or, if the target was put anew, in that one's."""
        self._admission.owe(claim.lane)
        if ended.subscription is not None and ended.subscription.lane != claim.lane:
            self._admission.owe(ended.subscription.lane)

    async def _settled(self, claim: Claim, settlement: Settlement) -> bool | None:
        """Whether the claim was still held; None if the store could not say."""
        try:
            return await self._store.settle(claim, settlement)
        except Exception:  # noqa: BLE001 (tried again)
            self._log.exception("not settled, will be tried again", delivery=claim.delivery_id)
            return None

    async def _pause(self, duration: timedelta) -> bool:
        """Wait; True once it is over."""
        task = _this_task()
        self._pausing[task] = self._clock.now() + duration
        self._changed()
        try:
            await self._clock.sleep(duration)
        finally:
            del self._pausing[task]
        return True

    async def _interruptibly(self, work: Coroutine[None, None, T]) -> T | None:
        """The end of `work`; None if `drain` cut it short."""
        task = _this_task()
        if self._is_stopping:
            work.close()
            return None
        self._interruptible.add(task)
        try:
            return await work
        except asyncio.CancelledError:
            if not self._was_cut_short():
                raise
            return None
        finally:
            self._interruptible.discard(task)

    def _was_cut_short(self) -> bool:
        return self._is_stopping

    def _tell(self, claim: Claim, ended: Ended, is_held: bool) -> None:
        settlement, subscription = ended.settlement, ended.subscription
        reply = settlement.attempt.reply if settlement.attempt else None
        self._log.info(
            "attempt",
            delivery=claim.delivery_id,
            event_id=claim.record.event.id,
            rule_arn=subscription.rule.arn if subscription else None,
            target_arn=claim.lane,
            kind=ended.kind,
            attempt=claim.attempt,
            status=reply.status if reply else None,
            outcome=settlement.state.value,
            error=settlement.error,
            message=settlement.message,
            seconds=settlement.attempt.seconds if settlement.attempt else 0.0,
            next_due_at=settlement.due_at,
            lease_lost=not is_held,
        )


class Wanted(msgspec.Struct):
    """How many slots of a lane are wanted, and the bytes of the details for which they are."""

    slots: int = 0
    payload_bytes: int = 0


class Reservation:
    """Slots that a router holds while it commits; what it does not use goes back.

    with dispatcher.reserve(wanted) as granted:      # slots by lane
        granted.use(await store.advance(…))          # claims: each takes over a slot

    The bytes for which there are slots count as carried, so that one event for a thousand targets does not
    get slots for all of them at once if it is large.
    """

    def __init__(self, dispatcher: Dispatcher, admission: Admission, wanted: Mapping[str, Wanted]) -> None:
        self._dispatcher = dispatcher
        self._admission = admission
        self._wanted = wanted
        self._used: Counter[str] = Counter()
        self._carried = 0
        self.granted: dict[str, int] = {}

    def __enter__(self) -> Self:
        for lane, wanted in self._wanted.items():
            granted = self.granted[lane] = self._admission.take(lane, wanted.slots)
            size = wanted.payload_bytes * granted // wanted.slots
            self._admission.carry(size)
            self._carried += size
        return self

    def use(self, claims: Sequence[Claim]) -> None:
        """Attempt what was born claimed."""
        self._used.update(claim.lane for claim in claims)
        self._dispatcher.dispatch(claims)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission.carry(-self._carried)  # what is used is carried by its attempts
        for lane, wanted in self._wanted.items():
            granted, used = self.granted[lane], self._used[lane]
            self._admission.give_back(lane, granted - used)
            if error is not None or used < granted:  # perhaps committed all the same, or held back
                self._dispatcher.look_later(lane)
            if error is None and granted < wanted.slots:
                self._admission.owe(lane)


def _size(claim: Claim) -> int:
    return len(claim.record.event.detail)


def _this_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task
