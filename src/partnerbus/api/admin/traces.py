"""One event from its id to the last byte: stored, judged by each rule, transformed, attempted, redriven.

What is shown of a rule is the rule of now, and so is a transform's output that nobody recorded; the rest is
as it was (decision 24). A partner sees of an event on its customer's bus that it is there, and how many
deliveries stand how; the texts of errors if the customer shares them.
"""

from collections import Counter, deque
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from partnerbus.api.admin.deliveries import DeliveryReader, DeliveryView
from partnerbus.api.admin.events import EventReader, EventView, WhichBus, find_event, record_bytes
from partnerbus.api.admin.request import AdminRefused, Request
from partnerbus.api.admin.sight import Sight, ViewRoute
from partnerbus.api.admin.verdicts import Verdict, verdicts_of
from partnerbus.model.delivery import Attempt, Delivery, Record
from partnerbus.model.exchange import BODY_SHOWN_BYTES, Answered, Exchange, RoutedEvent, Sent
from partnerbus.model.transform import TransformError, compile_input

DELIVERIES_AT_MOST = 1_000
"""How many deliveries of one event are shown."""

EXCHANGES_AT_MOST = 2_000


class Known(StrEnum):
    """Where an input is known from."""

    RECORDED = "recorded"
    COMPUTED = "computed"
    """From the stored event and the target as it is now."""


class InputView(msgspec.Struct, frozen=True, kw_only=True):
    """What the target is sent: the transform's output, cut. `error` is why there is none."""

    known: Known
    body: str | None
    body_bytes: int
    error: str | None


class AttemptTrace(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. `sent` and `answered` are None if the exchange was not recorded."""

    number: int
    started_at: datetime
    seconds: float
    status: int | None
    error: str | None
    message: str
    retryable: bool
    answer_head: str
    sent: Sent | None
    answered: Answered | None


class DeliveryTrace(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery with all that is known of it; `copy` is the event on the viewer's bus that it went to."""

    delivery: DeliveryView
    input: InputView | None
    attempts: list[AttemptTrace]
    copy: EventView | None


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """`event` is None once it is stored no longer; what was recorded of its exchanges outlives it.

    `is_routed` says whether the rules have been asked yet, `routed_at` when, if that was recorded. `states`
    counts its deliveries, `errors` says what those that failed have met. `exchanges` are those recorded of
    attempts that are known from nowhere else.
    """

    event: EventView | None
    is_routed: bool
    routed_at: datetime | None
    verdicts: list[Verdict]
    more_rules: int
    deliveries: list[DeliveryTrace]
    states: dict[str, int]
    errors: list[str]
    exchanges: list[Exchange]


async def trace_event(sight: Sight, request: Request) -> Trace:
    event_id, wanted = request.path["id"], request.query_as(WhichBus)
    try:
        record = await find_event(sight, event_id, wanted)
    except AdminRefused:
        shared = await sight.find_as_partner(event_id)
        if shared is not None:
            return await _for_partner(sight, shared)
        return await _of_old_event(sight, event_id)
    return await _Tracing(sight, record).trace()


async def _for_partner(sight: Sight, record: Record) -> Trace:
    """What a partner sees of an event that it has put on its customer's bus."""
    deliveries = await sight.deliveries_for_partner(record)
    return Trace(
        event=msgspec.structs.replace(
            EventReader(sight).view(record, most=record_bytes(record)), log="", position=0
        ),
        is_routed=await sight.is_routed(record),
        routed_at=None,
        verdicts=[],
        more_rules=0,
        deliveries=[],
        states=_states(deliveries),
        errors=_errors(deliveries) if sight.shares_errors(record) else [],
        exchanges=[],
    )


async def _of_old_event(sight: Sight, event_id: str) -> Trace:
    """What was recorded of an event that is stored no longer; refused if nothing was."""
    lines = await sight.trace_lines(event_id, EXCHANGES_AT_MOST)
    if not lines:
        raise AdminRefused(
            f"there is no event {event_id[:64]}: it was never stored, or is stored no longer", 404
        )
    exchanges = [each for each in lines if isinstance(each, Exchange)]
    return Trace(
        event=None,
        is_routed=True,
        routed_at=_routed_at(lines),
        verdicts=[],
        more_rules=0,
        deliveries=[],
        states={},
        errors=sorted({each.message for each in exchanges if each.error is not None}),
        exchanges=exchanges[::-1],
    )


class _Tracing:
    """Puts a trace together."""

    def __init__(self, sight: Sight, record: Record) -> None:
        self._sight = sight
        self._record = record
        self._events = EventReader(sight)
        self._subscribers = sight.subscribers()

    async def trace(self) -> Trace:
        record = self._record
        lines = await self._sight.trace_lines(record.event.id, EXCHANGES_AT_MOST)
        exchanges = _Exchanges([each for each in lines if isinstance(each, Exchange)])
        found = await self._sight.deliveries_at(record, DELIVERIES_AT_MOST)
        verdicts, more = await verdicts_of(self._sight, record)
        reader = DeliveryReader(self._sight, [record.log])
        deliveries = [await self._delivery(reader.view(each), each, exchanges) for each in found]
        return Trace(
            event=self._events.view(record, most=record_bytes(record)),
            is_routed=await self._sight.is_routed(record),
            routed_at=_routed_at(lines),
            verdicts=verdicts,
            more_rules=more,
            deliveries=deliveries,
            states=_states(found),
            errors=_errors(found),
            exchanges=exchanges.left(),
        )

    async def _delivery(self, view: DeliveryView, found: Delivery, exchanges: "_Exchanges") -> DeliveryTrace:
        own = [exchanges.take(found.id, each) for each in found.attempts]
        copy = await self._sight.forwarded(found)
        return DeliveryTrace(
            delivery=view,
            input=self._input(found, [each for each in own if each is not None]),
            attempts=[_attempt(*each) for each in zip(found.attempts, own, strict=True)],
            copy=self._events.view(copy) if copy is not None else None,
        )

    def _input(self, found: Delivery, recorded: Sequence[Exchange]) -> InputView | None:
        for exchange in reversed(recorded):
            if exchange.sent.method is None:  # what an HTTP request has sent may have been added to
                sent = exchange.sent
                return InputView(known=Known.RECORDED, body=sent.body, body_bytes=sent.body_bytes, error=None)
        subscriber = self._subscribers.get(found.subscription)
        if subscriber is None:
            return None
        rule, target = subscriber
        made = compile_input(target).select(self._record, rule)
        if isinstance(made, TransformError):
            return InputView(known=Known.COMPUTED, body=None, body_bytes=0, error=made.message)
        text = made[:BODY_SHOWN_BYTES].decode("utf-8", "ignore")
        return InputView(known=Known.COMPUTED, body=text, body_bytes=len(made), error=None)


class _Exchanges:
    """Exchanges that are waiting for the attempts that they were."""

    def __init__(self, newest_first: Sequence[Exchange]) -> None:
        self._waiting: dict[tuple[str, int, datetime], deque[Exchange]] = {}
        for each in reversed(newest_first):
            key = (each.delivery, each.number, each.started_at)
            self._waiting.setdefault(key, deque()).append(each)

    def take(self, delivery: str, attempt: Attempt) -> Exchange | None:
        """The eldest of an attempt: numbers begin anew with a redrive, and a clock may stand still."""
        found = self._waiting.get((delivery, attempt.number, attempt.started_at))
        return found.popleft() if found else None

    def left(self) -> list[Exchange]:
        every = [each for exchanges in self._waiting.values() for each in exchanges]
        return sorted(every, key=lambda each: each.started_at)


def _attempt(attempt: Attempt, exchange: Exchange | None) -> AttemptTrace:
    reply = attempt.reply
    return AttemptTrace(
        number=attempt.number,
        started_at=attempt.started_at,
        seconds=attempt.seconds,
        status=reply.status,
        error=reply.error,
        message=reply.message,
        retryable=reply.retryable,
        answer_head=reply.body_head,
        sent=exchange.sent if exchange is not None else None,
        answered=exchange.answered if exchange is not None else None,
    )


def _states(found: Sequence[Delivery]) -> dict[str, int]:
    return dict(Counter(each.state.value for each in found))


def _errors(found: Sequence[Delivery]) -> list[str]:
    """What failed deliveries have met, each text once."""
    lasts = [each.last for each in found if each.last is not None and each.last.error is not None]
    return list(dict.fromkeys(f"{last.error}: {last.message}" for last in lasts))


def _routed_at(lines: Sequence[Exchange | RoutedEvent]) -> datetime | None:
    return next((line.routed_at for line in lines if isinstance(line, RoutedEvent)), None)


ROUTES = (ViewRoute("GET", "/events/{id}/trace", trace_event, query=WhichBus),)
