"""Deliveries for people to read. A dead letter is a delivery that is `dead`; `redriving` sends them again."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from partnerbus.api.admin.logs import BusFilter
from partnerbus.api.admin.request import AdminRefused, Request
from partnerbus.api.admin.sight import BusRef, Page, Sight, ViewRoute
from partnerbus.model.delivery import Attempt, Delivery, DeliveryState, parse_delivery_id
from partnerbus.model.resources import Target
from partnerbus.store.protocol import DeliveryQuery

LOOKED_AT_MOST = 10_000
"""How many deliveries one list looks through for those that its filter picks."""

PAGE = 500


class DeliveryFilter(BusFilter, frozen=True, kw_only=True):
    """Which deliveries: what is not given counts as every. `target` is a target's id or ARN.

    `source` and `detail_type` are the event's, `error` the code that the delivery ended or last failed with.
    """

    rule: str | None = None
    target: str | None = None
    error: str | None = None
    source: str | None = None
    detail_type: str | None = None

    @property
    def looks_inside(self) -> bool:
        """Whether it asks for what the store has no index for."""
        return (self.error, self.source, self.detail_type) != (None, None, None)

    def picks_one(self, found: Delivery) -> bool:
        """Whether what the store has no index for is as wanted."""
        event = found.record.event if found.record is not None else None
        return (
            (self.error is None or (found.last is not None and found.last.error == self.error))
            and (self.source is None or (event is not None and event.source == self.source))
            and (self.detail_type is None or (event is not None and event.detail_type == self.detail_type))
        )


class DeliveryPage(DeliveryFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of a list, the newest event first, after the delivery with the id `after`."""

    state: str | None = None
    after: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery. What names the bus, rule or target is None once these are gone."""

    id: str
    state: DeliveryState
    account: str | None
    region: str | None
    bus: str | None
    rule: str | None
    target: str | None
    target_arn: str
    event_id: str | None
    source: str | None
    detail_type: str | None
    attempts_made: int
    redriven: int
    owed_at: datetime
    due_at: datetime | None
    settled_at: datetime | None
    error: str | None
    message: str
    exhausted: str | None
    sent_to: str | None


class DeliveryDetails(DeliveryView, frozen=True, kw_only=True):
    """One delivery with its attempts, and the event as it was stored; null once that was trimmed."""

    attempts: list[Attempt]
    event: msgspec.Raw


class DeliveryList(msgspec.Struct, frozen=True, kw_only=True):
    """`next` is the `after` of the next page, None on the last."""

    deliveries: list[DeliveryView]
    next: str | None


async def list_deliveries(sight: Sight, request: Request) -> DeliveryList:
    return await _page(sight, request.query_as(DeliveryPage), tuple(DeliveryState))


async def list_dead_letters(sight: Sight, request: Request) -> DeliveryList:
    return await _page(sight, request.query_as(DeliveryPage), (DeliveryState.DEAD,))


async def show_delivery(sight: Sight, request: Request) -> DeliveryDetails:
    found = await sight.named([parse_id(request.path["id"])])
    if not found:
        raise AdminRefused(f"there is no delivery {request.path['id']}", 404)
    return DeliveryReader(sight, [found[0].log]).details(found[0])


async def _page(sight: Sight, wanted: DeliveryPage, default: Sequence[DeliveryState]) -> DeliveryList:
    """A page of what the filter picks; less than a page if there is little of it among much else."""
    states = _states(wanted.state) or default
    after = parse_id(wanted.after) if wanted.after is not None else None
    size = wanted.limit if sight.viewer.is_operator and not wanted.looks_inside else PAGE
    picked: list[Delivery] = []
    looked_at = 0
    async for page in looked_through(sight, wanted, states, size, after):
        looked_at += page.looked_at
        for each in page.found:
            if wanted.picks_one(each):
                picked.append(each)
            if len(picked) == wanted.limit:
                return _listed(sight, picked, each.id)
        if looked_at >= LOOKED_AT_MOST:
            return _listed(sight, picked, page.last)
    return _listed(sight, picked, None)


def _listed(sight: Sight, picked: Sequence[Delivery], last: str | None) -> DeliveryList:
    reader = DeliveryReader(sight, [each.log for each in picked])
    return DeliveryList(deliveries=[reader.view(each) for each in picked], next=last)


async def looked_through(
    sight: Sight,
    wanted: DeliveryFilter,
    states: Sequence[DeliveryState],
    size: int,
    after: tuple[str, int] | None = None,
) -> AsyncIterator[Page]:
    """The deliveries that a filter may pick, the newest event first, in pages of the store.

    After `after`, if it is given. What `picks_one` judges is not judged yet.
    """
    query = await _query(sight, wanted, states, size)
    if query is not None and after is not None:
        query = msgspec.structs.replace(query, after=(after[1], after[0]))
    if query is not None:
        async for page in sight.look(query):
            yield page


async def _query(
    sight: Sight, wanted: DeliveryFilter, states: Sequence[DeliveryState], limit: int
) -> DeliveryQuery | None:
    """The store's query for a filter; None if nothing can match it."""
    query = DeliveryQuery(states=states, limit=limit)
    if not wanted.is_empty:
        logs = await sight.logs_with_own_deliveries()
        picked = [log for log, bus in logs.items() if wanted.picks(bus)]
        if not picked:
            return None
        query = msgspec.structs.replace(query, logs=picked)
    if wanted.rule is not None or wanted.target is not None:
        subscriptions = [target.subscription for target in _targets(sight, wanted)]
        if not subscriptions:
            return None
        query = msgspec.structs.replace(query, subscriptions=subscriptions)
    return query


def _targets(sight: Sight, wanted: DeliveryFilter) -> list[Target]:
    return [
        target
        for rule in sight.rules()
        for target in rule.targets
        if wanted.rule in (None, rule.name) and wanted.target in (None, target.id, target.arn)
        if wanted.picks(BusRef(account=rule.account, region=rule.region, name=rule.bus))
    ]


def _states(text: str | None) -> tuple[DeliveryState, ...]:
    try:
        return tuple(DeliveryState(word) for word in (text or "").split(",") if word)
    except ValueError:
        raise AdminRefused(f"a state is one of {', '.join(DeliveryState)}") from None


def parse_id(text: str) -> tuple[str, int]:
    """(subscription, position) of a delivery id; refused if it is none."""
    found = parse_delivery_id(text)
    if found is None:
        raise AdminRefused(f"{text!r} is no delivery id")
    return found


class DeliveryReader:
    """Puts names to what a delivery refers to."""

    def __init__(self, sight: Sight, logs: Sequence[str]) -> None:
        self._buses = sight.buses_of_deliveries(logs)
        self._rules = {
            target.subscription: (rule.name, target.id) for rule in sight.rules() for target in rule.targets
        }

    def view(self, delivery: Delivery) -> DeliveryView:
        bus = self._buses.get(delivery.log)
        rule, target = self._rules.get(delivery.subscription, (None, None))
        event = delivery.record.event if delivery.record is not None else None
        last = delivery.last
        return DeliveryView(
            id=delivery.id,
            state=delivery.state,
            account=bus.account if bus is not None else None,
            region=bus.region if bus is not None else None,
            bus=bus.name if bus is not None else None,
            rule=rule,
            target=target,
            target_arn=delivery.lane,
            event_id=event.id if event is not None else None,
            source=event.source if event is not None else None,
            detail_type=event.detail_type if event is not None else None,
            attempts_made=delivery.attempts_made,
            redriven=delivery.redriven,
            owed_at=delivery.owed_at,
            due_at=delivery.due_at,
            settled_at=delivery.settled_at,
            error=last.error if last is not None else None,
            message=last.message if last is not None else "",
            exhausted=last.exhausted if last is not None else None,
            sent_to=last.sent_to if last is not None else None,
        )

    def details(self, delivery: Delivery) -> DeliveryDetails:
        record = delivery.record
        return DeliveryDetails(
            **msgspec.structs.asdict(self.view(delivery)),
            attempts=list(delivery.attempts),
            event=msgspec.Raw(record.event.encode() if record is not None else b"null"),
        )


ROUTES = (
    ViewRoute("GET", "/deliveries", list_deliveries, query=DeliveryPage),
    ViewRoute("GET", "/deliveries/{id}", show_delivery),
    ViewRoute("GET", "/dead-letters", list_dead_letters, query=DeliveryPage),
    ViewRoute("GET", "/dead-letters/{id}", show_delivery),
)
