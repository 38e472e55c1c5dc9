"""Dead letters: what did not arrive, why, and sending it again."""

from urllib.parse import quote, urlencode

from starlette.responses import Response

from partnerbus.api.admin.deliveries import DeliveryDetails, DeliveryList
from partnerbus.api.admin.health_views import BusHealthList
from partnerbus.api.admin.redriving import Redriven
from partnerbus.console.door import Screen
from partnerbus.console.refusal import Refused
from partnerbus.console.visit import Visit

PAGE = 50
FILTERS = ("bus", "rule", "target", "error", "source", "detail_type")


async def list_dead_letters(visit: Visit) -> Response:
    query = visit.request.query_params
    wanted = {name: text for name in FILTERS if (text := query.get(name, "").strip())}
    found = await visit.ask("/dead-letters", DeliveryList, limit=PAGE, after=query.get("after"), **wanted)
    following = urlencode(wanted | {"after": found.next}) if found.next is not None else None
    return visit.page(
        "dead_letters.html",
        found=found.deliveries,
        wanted={name: wanted.get(name, "") for name in FILTERS},
        is_filtered=bool(wanted),
        following=following,
        buses=(await visit.ask("/health/buses", BusHealthList, limit=1_000)).buses,
    )


async def show_dead_letter(visit: Visit) -> Response:
    found = await visit.ask(f"/deliveries/{visit.request.path_params['id']}", DeliveryDetails)
    return visit.page("dead_letter.html", found=found)


async def redrive(visit: Visit) -> Response:
    """Send those again that were chosen, or every one that the filter picks."""
    form = visit.form
    wanted = dict(form.given(*FILTERS))
    if form.text("which") == "every":
        body: dict[str, object] = wanted | {"every": True}
    elif ids := form.every("id"):
        body = {"ids": ids}
    else:
        raise Refused(400, "Choose the dead letters to send again first.")
    done = await visit.tell("/dead-letters/redrive", body, Redriven)
    letters = "dead letter is" if done.redriven == 1 else "dead letters are"
    event_id = form.text("event")
    to = f"/console/events/{quote(event_id, safe='')}" if event_id else _list(wanted)
    return visit.go(to, f"{done.redriven:,} {letters} on the way again.")


def _list(wanted: dict[str, str]) -> str:
    return "/console/dead-letters" + (f"?{urlencode(wanted)}" if wanted else "")


SCREENS = (
    Screen("GET", "/dead-letters", list_dead_letters),
    Screen("GET", "/dead-letters/{id}", show_dead_letter),
    Screen("POST", "/dead-letters/redrive", redrive),
)
