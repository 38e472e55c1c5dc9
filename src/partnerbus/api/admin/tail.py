"""The live tail: events as they are stored, by long polling.

A call without `after` gives the place to begin at, and nothing else. Each further call names the place that
the last one gave, and is answered at once if anything was stored since that is wanted, or else when something
is, or when it has waited long enough. So nothing is missed between two calls, as long as it is still stored.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated

import msgspec

from partnerbus.api.admin.events import LOGS_AT_MOST, EventFilter, EventReader, EventView
from partnerbus.api.admin.request import AdminRefused, Request
from partnerbus.api.admin.sight import Sight, ViewRoute
from partnerbus.model.delivery import Record
from partnerbus.model.event import Event
from partnerbus.store.protocol import START

TAIL_PATH = "/tail"

Positions = dict[str, int]

_encode, _decoder = msgspec.json.encode, msgspec.json.Decoder(dict[str, int])


class TailQuery(EventFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events, after which place, and how long to wait for the first of them."""

    after: str | None = None
    wait_seconds: Annotated[float, msgspec.Meta(ge=0, le=30)] = 10.0
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class TailEvents(msgspec.Struct, frozen=True, kw_only=True):
    """What was stored, the oldest first; `next` is the `after` of the next call, whether there was any."""

    events: list[EventView]
    next: str


async def tail(sight: Sight, request: Request) -> TailEvents:
    wanted = request.query_as(TailQuery)
    picks, reader = wanted.picker(), EventReader(sight)
    logs = await _logs(sight, wanted)
    if len(logs) > LOGS_AT_MOST:
        raise AdminRefused(f"there are {len(logs)} buses; say which one, with bus, account or region")
    if wanted.after is None:
        return TailEvents(events=[], next=_text_of({log: await sight.head(log) for log in logs}))
    given = _positions_in(wanted.after)
    places = {log: given.get(log, START) for log in logs}  # a log that was not there then is read whole
    found = _taken(await sight.stored_behind(places, wanted.limit), places, wanted.limit, picks)
    try:
        async with sight.timeout(timedelta(seconds=wanted.wait_seconds)):
            while (
                not found and wanted.wait_seconds and (arrived := await sight.arrived(places, wanted.limit))
            ):
                found = _taken(arrived, places, wanted.limit, picks)
    except TimeoutError:
        pass
    return TailEvents(events=[reader.view(each) for each in found], next=_text_of(places))


async def _logs(sight: Sight, wanted: TailQuery) -> list[str]:
    logs = await sight.watched_logs()
    return [log for log, bus in sight.buses_by_log(logs).items() if log in logs and wanted.picks(bus)]


def _taken(
    arrived: Sequence[Record], places: Positions, limit: int, picks: Callable[[Event], bool]
) -> list[Record]:
    """Those that are wanted, the oldest first; `places` moves behind what was looked at."""
    found: list[Record] = []
    for record in sorted(arrived, key=lambda each: (each.stored_at, each.log, each.position)):
        if len(found) == limit:
            break
        places[record.log] = record.position
        if picks(record.event):
            found.append(record)
    return found


def _text_of(places: Mapping[str, int]) -> str:
    return base64.urlsafe_b64encode(_encode(places)).decode()


def _positions_in(text: str) -> Mapping[str, int]:
    try:
        return _decoder.decode(base64.urlsafe_b64decode(text))
    except (ValueError, msgspec.MsgspecError):
        raise AdminRefused("after is the next of another call") from None


ROUTES = (ViewRoute("GET", TAIL_PATH, tail, query=TailQuery),)
