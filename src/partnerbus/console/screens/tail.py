"""The live tail: events as they are stored, by server-sent events."""

from collections.abc import AsyncIterator
from urllib.parse import urlencode

from starlette.responses import Response, StreamingResponse

from partnerbus.api.admin.health_views import BusHealthList
from partnerbus.api.admin.tail import TailEvents
from partnerbus.console.door import Screen
from partnerbus.console.refusal import Refused
from partnerbus.console.visit import Visit

FILTERS = ("bus", "source", "detail_type", "pattern")


async def watch(visit: Visit) -> Response:
    """The page, which begins with nothing; a refusal of its filter is said on it."""
    wanted, refusal = _wanted(visit), None
    try:
        await visit.ask("/tail", TailEvents, **wanted)
    except Refused as refused:
        refusal = refused.sentence
    return visit.page(
        "tail.html",
        200 if refusal is None else 400,
        wanted={name: wanted.get(name, "") for name in FILTERS},
        refusal=refusal,
        stream="/console/tail/stream?" + urlencode(wanted),
        buses=(await visit.ask("/health/buses", BusHealthList, limit=1_000)).buses,
    )


async def stream(visit: Visit) -> Response:
    """Rows of a table, each as an event of the stream; it ends with the session, and with the server."""
    wanted = _wanted(visit)
    begun = await visit.ask("/tail", TailEvents, **wanted)
    return StreamingResponse(_rows(visit, wanted, begun.next), media_type="text/event-stream")


async def _rows(visit: Visit, wanted: dict[str, str], after: str) -> AsyncIterator[str]:
    yield ": watching\n\n"
    while not visit.is_over:
        found = await visit.ask("/tail", TailEvents, after=after, **wanted)
        after = found.next
        for event in found.events:
            row = visit.part("event_row_live.html", event=event)
            yield "event: stored\n" + "".join(f"data: {line}\n" for line in row.splitlines()) + "\n"
        if not found.events:
            yield ": nothing yet\n\n"


def _wanted(visit: Visit) -> dict[str, str]:
    query = visit.request.query_params
    return {name: text for name in FILTERS if (text := query.get(name, "").strip())}


SCREENS = (Screen("GET", "/tail", watch), Screen("GET", "/tail/stream", stream))
