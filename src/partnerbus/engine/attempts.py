"""One attempt, from a claim to how it ends: find the subscription, make the payload, invoke, decide."""

import time
from collections.abc import Callable
from functools import cache

import msgspec

from partnerbus.engine.bus_logs import BusLogs
from partnerbus.engine.traces import Traces
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.failpoints import Failpoint, Failpoints
from partnerbus.kernel.telemetry import Log, Metrics
from partnerbus.model.delivery import Attempt, Claim, DeliveryState, Settlement
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.resources import Target
from partnerbus.model.retry import MAX_AGE, MAX_RETRIES, GiveUp, Retry, decide, is_too_old
from partnerbus.model.subscription import Subscription
from partnerbus.model.transform import InputSelector, TransformError, compile_input
from partnerbus.store.protocol import DeliveryQuery, DeliveryStore
from partnerbus.targets.dead_letter import DeadLetterNote
from partnerbus.targets.invoker import Invocation, Invoker
from partnerbus.targets.registry import Targets
from partnerbus.targets.wire import Wire

CANCELLED = Settlement(state=DeliveryState.CANCELLED, message="The rule or the target was removed.")

NO_ATTEMPTS_LEFT = "The attempts of the retry policy were used up; the last one ended unseen."
TOO_OLD = (
    "The event became older than the retry policy allows ({} seconds) before its first attempt: it waited "
    "for its target's rate or circuit breaker, for an elder event of its order, or for this node."
)
TOO_OLD_TO_RETRY = (
    "The event became older than the retry policy allows ({} seconds) before attempt {}. "
    "The last one ended: {}"
)
UNSEEN = "unseen, since this node stopped meanwhile."
DISABLED = "The target is disabled, because it has failed for long; nothing is sent until it is enabled."
NO_INVOKER = "This node has no targets of that kind."
WAYS_KEPT = 10_000


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a claim is to be settled, and what is worth a line in the log."""

    settlement: Settlement
    subscription: Subscription | None = None
    kind: str = ""


class _Way(msgspec.Struct, frozen=True):
    """What makes a target's input, and what delivers it; None if nothing here does."""

    target: Target
    selector: InputSelector
    invoker: Invoker | None


class _Made(msgspec.Struct, frozen=True):
    """How an attempt ended; without a kind, a payload and what went over the wire if none was made."""

    settlement: Settlement
    kind: str = ""
    payload: bytes | None = None
    wire: Wire | None = None


class Attempts:
    """Makes attempts. Whatever a target does, and whatever goes wrong in here, comes back as a value."""

    def __init__(
        self,
        *,
        store: DeliveryStore,
        find: Callable[[str], Subscription | None],
        is_disabled: Callable[[Subscription], bool],
        targets: Targets,
        clock: Clock,
        failpoints: Failpoints,
        metrics: Metrics,
        log: Log,
        bus_logs: BusLogs,
        traces: Traces,
        random: Callable[[], float],
    ) -> None:
        self._store = store
        self._find = find
        self._is_disabled = is_disabled
        self._targets = targets
        self._clock = clock
        self._failpoints = failpoints
        self._in_flight = metrics.in_flight
        self._seconds_of = cache(metrics.attempt_seconds.labels)  # finding one costs more than using it
        self._count_of = cache(metrics.attempts.labels)
        self._log = log
        self._bus_logs = bus_logs
        self._traces = traces
        self._random = random
        self._ways: dict[str, _Way] = {}

    async def make(self, claim: Claim) -> Ended:
        """Make the attempt that the claim gives the right to."""
        subscription = self._find(claim.subscription)
        if subscription is None:
            return Ended(settlement=CANCELLED)
        made = await self._attempt(claim, subscription)
        settlement = made.settlement
        if settlement.state is DeliveryState.DEAD:
            settlement = await self._bury(claim, subscription, settlement)
        self._bus_logs.ended(claim, subscription, settlement, made.payload)
        if made.payload is not None and made.wire is not None:
            self._traces.attempted(claim, subscription, settlement, made.kind, made.payload, made.wire)
        return Ended(settlement=settlement, subscription=subscription, kind=made.kind)

    async def _attempt(self, claim: Claim, subscription: Subscription) -> _Made:
        target = subscription.target
        if self._is_disabled(subscription):
            return _Made(_unsent(ErrorCode.NO_RESOURCE, DISABLED))
        if claim.attempt > target.retry.max_retries + 1:
            return _Made(_unsent(ErrorCode.UNKNOWN, NO_ATTEMPTS_LEFT, MAX_RETRIES))
        if is_too_old(target.retry, claim.owed_at, self._clock.now()):
            return _Made(await self._too_old(claim, target))
        way = self._way(target)
        payload = way.selector.select(claim.record, subscription.rule)
        if isinstance(payload, TransformError):
            return _Made(_unsent(payload.code, payload.message))
        invoker = way.invoker
        if invoker is None:
            return _Made(_unsent(ErrorCode.NO_RESOURCE, NO_INVOKER))
        self._bus_logs.begins(claim, subscription, payload)
        wire = Wire()
        attempt = await self._invoke(claim, subscription, invoker, payload, wire)
        settlement = self._verdict(claim, target, attempt)
        self._count_of(invoker.kind, settlement.state.value).inc()
        return _Made(settlement, invoker.kind, payload, wire)

    async def _too_old(self, claim: Claim, target: Target) -> Settlement:
        """What kept it from being delivered in time: its last failure, or that it had to wait (assumed)."""
        age = target.retry.max_age_seconds
        if claim.attempt == 1:
            return _unsent(ErrorCode.THROTTLING, TOO_OLD.format(age), MAX_AGE)
        last = await self._last_reply(claim)
        how = UNSEEN if last is None else f"{last.error}: {last.message}"
        error = (last and last.error) or ErrorCode.UNKNOWN
        return _unsent(error, TOO_OLD_TO_RETRY.format(age, claim.attempt, how), MAX_AGE)

    async def _last_reply(self, claim: Claim) -> Reply | None:
        ids = [(claim.subscription, claim.record.position)]
        for found in await self._store.deliveries(DeliveryQuery(ids=ids)):
            return found.attempts[-1].reply if found.attempts else None
        return None

    async def _invoke(
        self, claim: Claim, subscription: Subscription, invoker: Invoker, payload: bytes, wire: Wire
    ) -> Attempt:
        started_at, started = self._clock.now(), time.perf_counter()
        invocation = Invocation(
            delivery_id=claim.delivery_id,
            record=claim.record,
            rule=subscription.rule,
            target=subscription.target,
            payload=payload,
            wire=wire,
        )
        self._failpoints.hit(Failpoint.DISPATCHER_BEFORE_INVOKE)
        with self._in_flight.track_inprogress():
            reply = await self._reply(invoker, invocation)
        self._failpoints.hit(Failpoint.DISPATCHER_INVOKED)
        seconds = time.perf_counter() - started
        self._seconds_of(invoker.kind).observe(seconds)
        return Attempt(number=claim.attempt, started_at=started_at, seconds=seconds, reply=reply)

    async def _reply(self, invoker: Invoker, invocation: Invocation) -> Reply:
        """What the target answered; an error in the invoker itself is ours, and worth another try."""
        try:
            return await invoker.invoke(invocation)
        except Exception as error:  # noqa: BLE001 (an error in an invoker must not stop the others)
            self._log.exception("invoker failed", kind=invoker.kind, delivery=invocation.delivery_id)
            message = f"The attempt failed inside this node ({type(error).__name__})."
            return Reply(error=ErrorCode.INTERNAL_ERROR, message=message, retryable=True)

    def _verdict(self, claim: Claim, target: Target, attempt: Attempt) -> Settlement:
        reply = attempt.reply
        if reply.accepted:
            return Settlement(state=DeliveryState.DELIVERED, attempt=attempt)
        verdict = decide(target.retry, claim.attempt, claim.owed_at, reply, self._clock.now(), self._random)
        retry = verdict if isinstance(verdict, Retry) else None
        return Settlement(
            state=DeliveryState.OWED if retry else DeliveryState.DEAD,
            due_at=retry.at if retry else None,
            attempt=attempt,
            error=reply.error,
            message=reply.message,
            exhausted=verdict.exhausted if isinstance(verdict, GiveUp) else None,
        )

    async def _bury(self, claim: Claim, subscription: Subscription, dead: Settlement) -> Settlement:
        """Send a dead letter to the target's queue, if it has one; it stays in our own list in any case."""
        queue = subscription.target.dead_letter_arn
        if queue is None:
            return dead
        note = DeadLetterNote(
            event=claim.record.event,
            account=subscription.rule.created_by,
            rule_arn=subscription.rule.arn,
            target_arn=subscription.target.arn,
            error=dead.error or ErrorCode.UNKNOWN,
            message=dead.message,
            exhausted=dead.exhausted,
            retry_attempts=max(0, claim.attempt - (1 if dead.attempt else 2)),
        )
        self._failpoints.hit(Failpoint.DISPATCHER_BEFORE_DEAD_LETTER)
        reply = await self._send(queue, note)
        self._failpoints.hit(Failpoint.DISPATCHER_DEAD_LETTERED)
        if reply.accepted:
            return msgspec.structs.replace(dead, sent_to=queue)
        message = f"{dead.message} The dead-letter queue did not take it: {reply.error}: {reply.message}"
        return msgspec.structs.replace(dead, message=message)

    async def _send(self, queue: str, note: DeadLetterNote) -> Reply:
        try:
            return await self._targets.dead_letter_queue.send(queue, note)
        except Exception as error:  # noqa: BLE001 (the dead letter stays in our own list)
            self._log.exception("dead-letter queue failed", queue=queue)
            return Reply(error=ErrorCode.INTERNAL_ERROR, message=type(error).__name__)

    def _way(self, target: Target) -> _Way:
        """How to deliver to a target, kept until the target changes."""
        known = self._ways.get(target.subscription)
        if known is not None and known.target is target:
            return known
        if len(self._ways) >= WAYS_KEPT:
            self._ways.clear()
        way = _Way(target, compile_input(target), self._targets.invoker(target.arn))
        self._ways[target.subscription] = way
        return way


def _unsent(error: ErrorCode, message: str, exhausted: str | None = None) -> Settlement:
    """A dead letter for which no attempt was made."""
    return Settlement(state=DeliveryState.DEAD, error=error, message=message, exhausted=exhausted)
