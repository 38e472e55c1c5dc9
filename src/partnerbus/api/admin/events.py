"""Stored events: looked for by time, source, detail-type or pattern, the newest first; shown by id."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from partnerbus.api.admin.logs import BusFilter
from partnerbus.api.admin.patterns import read_pattern
from partnerbus.api.admin.request import AdminRefused, Request
from partnerbus.api.admin.sight import BusRef, Sight, ViewRoute
from partnerbus.engine.matching import fields_of
from partnerbus.engine.newest_first import Damaged, Found, Mark
from partnerbus.kernel.ids import time_of_id
from partnerbus.model.delivery import Record
from partnerbus.model.event import Event
from partnerbus.patterns import PatternIndex

LOOKED_AT_MOST = 10_000
"""How many events one search looks through for those that its filter picks, damaged ones included."""

FORWARDED_WITHIN = timedelta(minutes=1)
"""How soon after its event a forwarded copy is stored, if nothing held it up."""

LOGS_AT_MOST = 200
"""Of how many buses one search goes through the logs: each costs a read."""

DETAIL_SHOWN_BYTES = 16 * 1024
"""A longer detail is left out of lists."""

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class EventFilter(BusFilter, frozen=True, kw_only=True):
    """Which events: what is not given counts as every. `pattern` is an event pattern, as JSON."""

    source: str | None = None
    detail_type: str | None = None
    pattern: str | None = None

    def picker(self) -> Callable[[Event], bool]:
        """Tells which events are wanted; refused if the pattern is none."""
        index: PatternIndex[str] = PatternIndex()
        if self.pattern is not None:
            index.add("", read_pattern(self.pattern))

        def picks(event: Event) -> bool:
            return (
                self.source in (None, event.source)
                and self.detail_type in (None, event.detail_type)
                and (self.pattern is None or bool(index.match(fields_of(event))))
            )

        return picks


class EventPage(EventFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of a search, after the place `after`. They were stored from `since` on and before `before`.

    It has `limit` events at most, those that are damaged included.
    """

    since: Instant | None = None
    before: Instant | None = None
    after: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """A stored event. `bus` is the ARN of the bus it is on, None once that is gone.

    `via` is the bus that forwarded it, `replay` the replay that it is a copy of. `detail` is null in a list
    if it is longer than 16 KiB; `detail_bytes` always tells.
    """

    id: str
    bus: str | None
    log: str
    position: int
    stored_at: datetime
    time: str
    source: str
    detail_type: str
    account: str
    region: str
    resources: list[str]
    via: str | None
    replay: str | None
    detail_bytes: int
    detail: msgspec.Raw


class DamagedView(msgspec.Struct, frozen=True, kw_only=True):
    """A stored event that cannot be read: it is not what was put any more.

    `event_id` is None for a copy that was kept, forwarded or replayed.
    """

    bus: str | None
    log: str
    position: int
    event_id: str | None


class EventList(msgspec.Struct, frozen=True, kw_only=True):
    """`next` is the `after` of the next page, None on the last; `looked_at` how many this page cost.

    `damaged` are those that it met: of them nobody can tell whether they were wanted.
    """

    events: list[EventView]
    next: str | None
    looked_at: int
    damaged: list[DamagedView] = []


class WhichBus(BusFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On which bus the event is meant, if it is on several."""


async def list_events(sight: Sight, request: Request) -> EventList:
    wanted = request.query_as(EventPage)
    events: list[EventView] = []
    damaged: list[DamagedView] = []
    looked_at, following = 0, None
    picks, reader = wanted.picker(), EventReader(sight)
    async for found in _newest(sight, wanted):
        looked_at += 1
        if isinstance(found, Damaged):
            damaged.append(reader.damaged(found))
        elif picks(found.event):
            events.append(reader.view(found))
        if len(events) + len(damaged) == wanted.limit or looked_at == LOOKED_AT_MOST:
            following = text_of_mark(Mark.of(found))
            break
    return EventList(events=events, next=following, looked_at=looked_at, damaged=damaged)


async def show_event(sight: Sight, request: Request) -> EventView:
    record = await find_event(sight, request.path["id"], request.query_as(WhichBus))
    return EventReader(sight).view(record, most=record_bytes(record))


async def _newest(sight: Sight, wanted: EventPage) -> AsyncIterator[Found]:
    logs = await picked_logs(sight, wanted)
    if len(logs) > LOGS_AT_MOST:
        raise AdminRefused(f"there are {len(logs)} buses; say which one, with bus, account or region")
    before = mark_in(wanted.after) if wanted.after is not None else None
    async for found in sight.newest(logs, before=before, since=wanted.since, until=wanted.before):
        yield found


async def picked_logs(sight: Sight, wanted: BusFilter) -> list[str]:
    """The logs of the buses, and of their replays, that a filter picks."""
    logs = [info.log for info in await sight.logs()]
    if wanted.is_empty:
        return logs
    return [log for log, bus in sight.buses_by_log(logs).items() if wanted.picks(bus) and log in logs]


async def find_event(sight: Sight, event_id: str, wanted: BusFilter) -> Record:
    """The event with that id; refused if the viewer has none.

    By the id it was stored with. A copy that a rule forwarded or a replay made has the id of its event and is
    stored by another one: it is looked for among what was stored soon after the time that the id begins with,
    as most copies are that a rule forwarded, and then among the newest.
    """
    buses = await picked_logs(sight, wanted)
    for record in await sight.find(event_id):
        if wanted.is_empty or record.log in buses:
            return record
    if len(buses) <= LOGS_AT_MOST:
        at = time_of_id(event_id)
        windows = [] if at is None or at > sight.now() else [(at, at + FORWARDED_WITHIN)]
        for since, until in (*windows, (None, None)):
            found = await _copy_among(sight.newest(buses, since=since, until=until), event_id)
            if found is not None:
                return found
    raise AdminRefused(f"there is no event {event_id[:64]}: it was never stored, or is stored no longer", 404)


async def _copy_among(every: AsyncIterator[Found], event_id: str) -> Record | None:
    looked_at = 0
    async for found in every:
        looked_at += 1
        if isinstance(found, Record) and found.event.id == event_id:
            return found
        if looked_at == LOOKED_AT_MOST:
            break
    return None


def record_bytes(record: Record) -> int:
    return len(record.event.detail)


class EventReader:
    """Puts the name of its bus to an event."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._buses: dict[str, BusRef | None] = {}

    def bus(self, log: str) -> BusRef | None:
        if log not in self._buses:
            self._buses[log] = self._sight.buses_by_log([log]).get(log)
        return self._buses[log]

    def view(self, record: Record, most: int = DETAIL_SHOWN_BYTES) -> EventView:
        """The view of an event; without its detail if that has more than `most` bytes."""
        event, bus = record.event, self.bus(record.log)
        return EventView(
            id=event.id,
            bus=bus.arn if bus is not None else None,
            log=record.log,
            position=record.position,
            stored_at=record.stored_at,
            time=event.time,
            source=event.source,
            detail_type=event.detail_type,
            account=event.account,
            region=event.region,
            resources=list(event.resources),
            via=record.via,
            replay=event.replay_name,
            detail_bytes=len(event.detail),
            detail=msgspec.Raw(event.detail if len(event.detail) <= most else b"null"),
        )

    def damaged(self, found: Damaged) -> DamagedView:
        """What can be said of an event that cannot be read."""
        bus = self.bus(found.log)
        return DamagedView(
            bus=bus.arn if bus is not None else None,
            log=found.log,
            position=found.position,
            event_id=found.event_id,
        )


def text_of_mark(mark: Mark) -> str:
    """A place as an `after` names it."""
    return f"{mark.stored_at.isoformat()}|{mark.position}|{mark.log}"


def mark_in(text: str) -> Mark:
    """The place that an `after` names; refused if it names none."""
    stored_at, _, rest = text.partition("|")
    position, _, log = rest.partition("|")
    try:
        instant = datetime.fromisoformat(stored_at)
        if instant.tzinfo is None:
            raise ValueError
        return Mark(instant, log, int(position))
    except (ValueError, OverflowError):
        raise AdminRefused("after is the next of another page") from None


ROUTES = (
    ViewRoute("GET", "/events", list_events, query=EventPage),
    ViewRoute("GET", "/events/{id}", show_event, query=WhichBus),
)
