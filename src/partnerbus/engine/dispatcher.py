"""The dispatcher: makes the attempts that are due, a bounded number at a time.

What is owed waits in the store; here is only what is in flight, and an agenda: which lane has something due
next, and when. A lane on the agenda that is due goes through these steps:

1. ask whether attempts may begin (`Gates`: its rate, its circuit breaker), and take slots for them (`Lanes`);
   the lane goes back on the agenda for the instant its gate opens, or waits until somebody gives a slot back;
2. claim as many deliveries as there are slots (`store.claim`), each with a lease, and put the lane back on
   the agenda for the instant its next delivery is due;
3. make the attempts, each on its own; settle each (`store.settle`), and give its slot back. A retry puts the
   lane on the agenda for its instant.

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

from partnerbus.engine.agenda import Agenda
from partnerbus.engine.attempts import Attempts, Ended
from partnerbus.engine.gates import Gates
from partnerbus.engine.lanes import Lanes, Room
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import StoreError
from partnerbus.kernel.telemetry import Log
from partnerbus.model.delivery import Claim, DeliveryState, Settlement
from partnerbus.store.protocol import DeliveryStore

LEASE = timedelta(seconds=60)
EXTEND_EVERY = LEASE / 3
CLAIM_AT_MOST = 64
PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=30)

T = TypeVar("T")

STOPPED = "The node stopped before the target answered."


class _Leased(msgspec.Struct):
    """A claim in flight, and since when its lease runs."""

    claim: Claim
    since: datetime


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
        gates: Gates,
        room: Room,
    ) -> None:
        self._store = store
        self._attempts = attempts
        self._clock = clock
        self._log = log
        self._changed = changed
        self._judged = judged
        self._gates = gates
        self._turned_away: set[str] = set()
        self._lanes = Lanes(room)
        self._agenda: Agenda[str] = Agenda(clock)
        self._under_way: set[asyncio.Task[None]] = set()
        self._interruptible: set[asyncio.Task[None]] = set()
        self._pausing: dict[asyncio.Task[None], datetime] = {}
        self._leased: dict[tuple[str, int], _Leased] = {}  # by delivery and claim: both may be in flight
        self._anything_leased = asyncio.Event()
        self._is_stopping = False

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is in flight and nothing is due; what waits for the clock is neither."""
        now = self._clock.now()
        pausing = sum(until > now for until in self._pausing.values())
        return pausing == len(self._under_way) and not self._agenda.anything_due

    # -- what the router asks --------------------------------------------------------------------------

    def reserve(self, wanted: Mapping[str, int]) -> "Reservation":
        """Slots for deliveries that are about to be owed, by lane."""
        return Reservation(self, wanted)

    def take(self, lane: str, wanted: int) -> int:
        """Hold up to `wanted` slots of a lane for deliveries that are about to be born claimed.

        None while something is due in the lane: what was owed first is attempted first.
        """
        if self._agenda.is_due(lane) or self._lanes.is_waiting(lane) or lane in self._turned_away:
            return 0
        return self._take(lane, self._gates.take(lane, wanted))

    def give_back(self, lane: str, count: int) -> None:
        """Return slots that were taken, and for which no attempt is made."""
        if count:
            self._spare(lane, count)
            self._free(lane, count)

    def owe(self, lane: str, due_at: datetime | None = None) -> None:
        """Something is owed in `lane`, due at `due_at` (None: at once)."""
        self._agenda.put(lane, due_at)

    def look_later(self, lane: str) -> None:
        """There may be claims in `lane` that nobody attempts: look when their leases have ended."""
        self._agenda.put(lane, self._clock.now() + LEASE)

    def dispatch(self, claims: Sequence[Claim]) -> None:
        """Make the attempts of claims for which slots are held."""
        for claim in claims:
            self._start(self._deliver(claim))

    # -- loops -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Claim what is due, until cancelled."""
        while True:
            lane = await self._agenda.next()
            self._turned_away.discard(lane)
            allowed = self._gates.take(lane, CLAIM_AT_MOST)
            if not allowed:
                self._turn_away(lane)
            elif taken := self._take(lane, allowed):
                self._start(self._claim(lane, taken))
            else:
                self._lanes.wait(lane)

    async def look(self) -> None:
        """Put every lane of the store on the agenda."""
        for found in await self._store.lanes():
            self.owe(found.lane, found.due_at)

    async def extend_leases(self) -> None:
        """Extend the leases of attempts that run long, until cancelled."""
        while True:
            await self._anything_leased.wait()
            await self._clock.sleep(EXTEND_EVERY)
            now = self._clock.now()
            old = [leased for leased in self._leased.values() if leased.since <= now - EXTEND_EVERY]
            try:
                await self._extend(old, now)
            except StoreError as error:
                self._log.warning("leases not extended", error=str(error), attempts=len(old))

    async def _extend(self, old: Sequence[_Leased], now: datetime) -> None:
        if not old:
            return
        held = await self._store.extend([leased.claim for leased in old], LEASE)
        for leased, is_held in zip(old, held, strict=True):
            leased.since = now
            if not is_held:
                self._log.warning(
                    "lease lost", delivery=leased.claim.delivery_id, attempt=leased.claim.attempt
                )

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

    # -- slots and gates -------------------------------------------------------------------------------

    def _take(self, lane: str, allowed: int) -> int:
        """Hold slots for attempts that the gate allowed; it gets back those without a slot."""
        taken = self._lanes.take(lane, allowed)
        self._gates.give_back(lane, allowed - taken)
        return taken

    def _free(self, lane: str, count: int) -> None:
        for woken in self._lanes.give_back(lane, count):
            self._agenda.put(woken)

    def _spare(self, lane: str, count: int) -> None:
        """So many attempts that the gate allowed are not made."""
        self._gates.give_back(lane, count)
        self._look_again(lane)

    def _turn_away(self, lane: str) -> None:
        """Come back to a lane when its gate opens, or when the attempt it waits for has ended."""
        self._turned_away.add(lane)
        at = self._gates.opens_at(lane)
        if at is not None:
            self._agenda.put(lane, at)
        self._changed()

    def _look_again(self, lane: str) -> None:
        """The gate may open earlier now."""
        if lane in self._turned_away:
            self._turn_away(lane)

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
            if claimed.next_due_at is not None:
                self.owe(lane, claimed.next_due_at)
        except Exception:  # noqa: BLE001 (tried again)
            self._log.exception("lane not claimed, will be tried again", lane=lane)
            self.owe(lane, self._clock.now() + PAUSE)
        finally:
            self.give_back(lane, taken - used)

    async def _deliver(self, claim: Claim) -> None:
        """Make an attempt and settle it; the slot is held until then."""
        key, size = (claim.delivery_id, claim.token), len(claim.record.event.detail)
        self._lanes.carry(size)
        self._leased[key] = _Leased(claim, self._clock.now())
        self._anything_leased.set()
        try:
            await self._settle(claim, await self._attempt(claim))
        except Exception:  # noqa: BLE001 (the claim's lease will end)
            self._log.exception("attempt without an end", delivery=claim.delivery_id, attempt=claim.attempt)
            self._spare(claim.lane, 1)
            self.look_later(claim.lane)
        finally:
            del self._leased[key]
            if not self._leased:
                self._anything_leased.clear()
            self._lanes.carry(-size)
            self._free(claim.lane, 1)

    async def _attempt(self, claim: Claim) -> Ended:
        ended = await self._interruptibly(self._attempts.make(claim))
        if ended is None:
            self._spare(claim.lane, 1)
            return Ended(
                settlement=Settlement(state=DeliveryState.OWED, due_at=self._clock.now(), message=STOPPED)
            )
        self._judge(claim.lane, ended)
        self._judged(claim, ended)
        return ended

    def _judge(self, lane: str, ended: Ended) -> None:
        """Let the lane's window and breaker learn. A failure that no retry mends says that it is not down."""
        made = ended.settlement.attempt
        if made is None:
            self._spare(lane, 1)
            return
        if made.reply.accepted or made.reply.retryable:
            self._lanes.judge(lane, went_well=made.reply.accepted)
        self._gates.judge(lane, went_well=not made.reply.retryable)
        self._look_again(lane)

    async def _settle(self, claim: Claim, ended: Ended) -> None:
        """Settle, however long the store takes to be able to."""
        pause = PAUSE
        while (is_held := await self._settled(claim, ended.settlement)) is None:
            if not await self._interruptibly(self._pause(pause)):
                return
            pause = min(2 * pause, LONGEST_PAUSE)
        if is_held and ended.settlement.state is DeliveryState.OWED:
            self.owe(claim.lane, ended.settlement.due_at)
        elif is_held and claim.key is not None:
            self.owe(claim.lane)  # perhaps this one held another back
        self._tell(claim, ended, is_held)

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


class Reservation:
    """Slots that a router holds while it commits; what it does not use goes back.

    with dispatcher.reserve(wanted) as granted:      # slots by lane
        granted.use(await store.advance(…))          # claims: each takes over a slot
    """

    def __init__(self, dispatcher: Dispatcher, wanted: Mapping[str, int]) -> None:
        self._dispatcher = dispatcher
        self._wanted = wanted
        self._used: Counter[str] = Counter()
        self.granted: dict[str, int] = {}

    def __enter__(self) -> Self:
        self.granted = {lane: self._dispatcher.take(lane, count) for lane, count in self._wanted.items()}
        return self

    def use(self, claims: Sequence[Claim]) -> None:
        """Attempt what was born claimed."""
        self._used.update(claim.lane for claim in claims)
        self._dispatcher.dispatch(claims)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lane, wanted in self._wanted.items():
            granted, used = self.granted[lane], self._used[lane]
            self._dispatcher.give_back(lane, granted - used)
            if error is not None or used < granted:  # perhaps committed all the same, or held back
                self._dispatcher.look_later(lane)
            if error is None and granted < wanted:
                self._dispatcher.owe(lane)


def _this_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task
