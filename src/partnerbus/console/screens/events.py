"""Events: search, and the trace of one: what became of it, and why."""

import hashlib
from urllib.parse import quote, urlencode

import msgspec
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from partnerbus.api.admin.events import EventList, EventView
from partnerbus.api.admin.health_views import BusHealthList
from partnerbus.api.admin.traces import Trace
from partnerbus.api.admin.verdicts import Why
from partnerbus.console.door import Screen
from partnerbus.console.refusal import Refused
from partnerbus.console.visit import Visit

PAGE = 50
UNSETTLED = {"owed", "claimed"}
FILTERS = ("bus", "source", "detail_type", "pattern", "since", "before")


async def list_events(visit: Visit) -> Response:
    query = visit.request.query_params
    if event_id := query.get("id", "").strip():
        return RedirectResponse(f"/console/events/{quote(event_id, safe='')}", 303)
    wanted = {name: text for name in FILTERS if (text := query.get(name, "").strip())}
    found, refusal = EventList(events=[], next=None, looked_at=0), None
    try:
        asked = wanted | {name: _instant(wanted[name]) for name in ("since", "before") if name in wanted}
        found = await visit.ask("/events", EventList, limit=PAGE, after=query.get("after"), **asked)
    except Refused as refused:
        refusal = refused
    following = urlencode(wanted | {"after": found.next}) if found.next is not None else None
    return visit.page(
        "events.html",
        refusal.status if refusal is not None else 200,
        found=found,
        refusal=refusal.sentence if refusal is not None else None,
        wanted={name: wanted.get(name, "") for name in FILTERS},
        is_filtered=bool(wanted),
        following=following,
        buses=(await visit.ask("/health/buses", BusHealthList, limit=1_000)).buses,
    )


def _instant(text: str) -> str:
    """What a browser's field gives, as an instant: they are UTC on our pages."""
    return text if text.endswith("Z") or "+" in text else f"{text}Z"


async def show_event(visit: Visit) -> Response:
    event_id = visit.request.path_params["id"]
    trace = await visit.ask(f"/events/{event_id}/trace", Trace, bus=visit.request.query_params.get("bus"))
    if visit.request.query_params.get("seen") == _version(trace):
        return Response(status_code=204)
    return _trace_page(visit, trace)


def _trace_page(
    visit: Visit, trace: Trace, *, pattern: str = "", why: Why | None = None, refused: Refused | None = None
) -> Response:
    """The page of an event. While something of it is not settled it asks for what is new, by `version`."""
    return visit.page(
        "event.html",
        refused.status if refused is not None else 200,
        event_id=visit.request.path_params["id"],
        bus_given=visit.request.query_params.get("bus"),
        trace=trace,
        version=_version(trace),
        is_settled=trace.is_routed and not UNSETTLED & set(trace.states),
        why=why,
        pattern=pattern,
        refusal=refused.sentence if refused is not None else None,
    )


def _version(trace: Trace) -> str:
    """Another one for each trace that differs."""
    return hashlib.blake2b(msgspec.json.encode(trace), digest_size=12).hexdigest()


async def ask_why(visit: Visit) -> Response:
    """Whether a pattern that was typed in would have matched the event, and why."""
    event_id, pattern = visit.request.path_params["id"], visit.form.text("pattern")
    bus = visit.request.query_params.get("bus")
    trace = await visit.ask(f"/events/{event_id}/trace", Trace, bus=bus)
    try:
        why = await visit.tell(f"/events/{event_id}/why", {"pattern": pattern, "bus": bus}, Why)
    except Refused as refused:
        return _trace_page(visit, trace, pattern=pattern, refused=refused)
    return _trace_page(visit, trace, pattern=pattern, why=why)


async def explain_rule(visit: Visit) -> Response:
    """Why the event did or did not match one of the rules of its bus, field by field."""
    event_id, query = visit.request.path_params["id"], visit.request.query_params
    why = await visit.ask(f"/events/{event_id}/why", Why, rule=query.get("rule", ""), bus=query.get("bus"))
    return visit.page("why.html", event_id=event_id, why=why)


async def show_detail(visit: Visit) -> Response:
    """The whole detail, as text: a page of a megabyte would help nobody."""
    bus = visit.request.query_params.get("bus")
    event = await visit.ask(f"/events/{visit.request.path_params['id']}", EventView, bus=bus)
    return PlainTextResponse(bytes(event.detail))


SCREENS = (
    Screen("GET", "/events", list_events),
    Screen("GET", "/events/{id}", show_event),
    Screen("POST", "/events/{id}", ask_why),
    Screen("GET", "/events/{id}/why", explain_rule),
    Screen("GET", "/events/{id}/detail", show_detail),
)
