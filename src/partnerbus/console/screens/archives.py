"""Archives: what is kept of a bus, for how long, and what was replayed from it."""

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from partnerbus.api.admin.archives import ArchiveList, ArchiveView, ReplayList
from partnerbus.api.admin.backtests import BacktestResult
from partnerbus.console.door import Screen
from partnerbus.console.forms import Form
from partnerbus.console.refusal import Refused
from partnerbus.console.screens.rules import TRIED_EVENTS, buses_of, whose_bus
from partnerbus.console.visit import Nothing, Visit

PAGE = 200
REPLAYS_SHOWN = 20
FIELDS = ("bus", "name", "pattern", "retention", "description")

NOT_DAYS = "Say in whole days how long events are kept; 0 is for ever."
KEEPS_A_PATTERN = (
    "A pattern cannot be taken away from an archive, only changed. "
    'One that every event matches is {"source": [{"prefix": ""}]}.'
)
MOST_DAYS = 36_500
"""What is longer is for ever as well as anybody can tell."""

V = TypeVar("V", bound=msgspec.Struct)


async def list_archives(visit: Visit) -> Response:
    query = visit.request.query_params
    wanted = {"bus": bus} if (bus := query.get("bus", "").strip()) else {}
    found = await visit.ask("/archives", ArchiveList, limit=PAGE, after=query.get("after"), **wanted)
    following = urlencode(wanted | {"after": found.next}) if found.next is not None else None
    return visit.page("archives.html", archives=found.archives, bus=bus, following=following)


async def new_archive(visit: Visit) -> Response:
    given = dict.fromkeys(FIELDS, "") | {"bus": visit.request.query_params.get("bus", "")}
    return visit.page("archive_new.html", given=given, buses=await buses_of(visit), refusal=None)


async def create_archive(visit: Visit) -> Response:
    """Make an archive; a refusal leaves the form as it was."""
    form = visit.form
    owner, region = whose_bus(form.text("bus"))
    try:
        members = {
            "ArchiveName": form.text("name"),
            "EventSourceArn": form.text("bus"),
            "EventPattern": form.maybe("pattern"),
            "RetentionDays": _days(form),
            "Description": form.maybe("description"),
        }
        account = visit.viewer.account or owner
        made = await visit.call("CreateArchive", members, ChangeMade, account=account, region=region)
    except Refused as refused:
        return visit.page(
            "archive_new.html",
            refused.status,
            given={name: form.text(name) for name in FIELDS},
            buses=await buses_of(visit),
            refusal=refused.sentence,
        )
    return visit.go(page_of(made.archive_arn), "The archive is there. It gets what is put from now on.")


async def try_pattern(visit: Visit) -> Response:
    """What an archive with a pattern would have kept of the newest events: a part of a page."""
    return HTMLResponse(await _tried(visit))


async def _tried(visit: Visit) -> Markup:
    form, result, refusal = visit.form, None, None
    body = {"pattern": form.text("pattern"), "bus": form.maybe("bus"), "limit": TRIED_EVENTS, "samples": 8}
    try:
        if form.text("pattern"):
            result = await visit.tell("/backtests", body, BacktestResult)
    except Refused as refused:
        refusal = refused.sentence
    return visit.part("archive_tried.html", result=result, refusal=refusal, has_rule=False)


async def show_archive(visit: Visit) -> Response:
    return await _page(visit, await archive_at(visit, visit.request.query_params.get("arn", "")))


async def change_archive(visit: Visit) -> Response:
    """What the buttons of an archive's page do: try, save, delete."""
    archive = await archive_at(visit, visit.form.text("archive"))
    match visit.form.text("do"):
        case "try":
            return await _page(visit, archive, given=visit.form, outcome=await _tried(visit))
        case "save":
            return await _save(visit, archive)
        case "delete":
            await _call(visit, "DeleteArchive", archive, {}, Nothing)
            return visit.go("/console/archives", f"The archive {archive.name} and what it kept are deleted.")
    raise Refused(400, "There is no such button.")


async def _save(visit: Visit, archive: ArchiveView) -> Response:
    try:
        await _call(visit, "UpdateArchive", archive, _changes(visit.form, archive), Nothing)
    except Refused as refused:
        return await _page(visit, archive, given=visit.form, refusal=refused)
    return visit.go(page_of(archive.arn), "The archive is changed, for what is put from now on.")


def _changes(form: Form, archive: ArchiveView) -> Mapping[str, object]:
    """The members that the form has in another way than the archive, and the retention."""
    pattern = form.text("pattern")
    if archive.pattern is not None and not pattern:
        raise Refused(400, KEEPS_A_PATTERN)
    return {
        "RetentionDays": _days(form),
        "EventPattern": pattern if pattern not in ("", archive.pattern) else None,
        "Description": text if (text := form.text("description")) != (archive.description or "") else None,
    }


def _days(form: Form) -> int:
    text = form.text("retention") or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST_DAYS))):
        raise Refused(400, NOT_DAYS)
    if int(text) > MOST_DAYS:
        raise Refused(400, f"At most {MOST_DAYS:,} days can be said; 0 is for ever.")
    return int(text)


async def _page(
    visit: Visit,
    archive: ArchiveView,
    *,
    given: Form | None = None,
    outcome: Markup | None = None,
    refusal: Refused | None = None,
) -> Response:
    found = await visit.ask("/replays", ReplayList, archive=archive.arn, limit=REPLAYS_SHOWN)
    stands = {
        "pattern": archive.pattern or "",
        "retention": str(archive.retention_days),
        "description": archive.description or "",
    }
    return visit.page(
        "archive.html",
        200 if refusal is None else refusal.status,
        archive=archive,
        given=stands if given is None else {name: given.text(name) for name in stands},
        replays=found.replays,
        has_more=found.next is not None,
        outcome=outcome,
        refusal=refusal.sentence if refusal is not None else None,
    )


async def archive_at(visit: Visit, arn: str) -> ArchiveView:
    """The archive of the viewer's with that ARN."""
    found = await visit.ask("/archives", ArchiveList, archive=arn)
    if not found.archives or found.archives[0].arn != arn:
        raise Refused(404, "There is no such archive.")
    return found.archives[0]


async def _call(
    visit: Visit, operation: str, archive: ArchiveView, members: Mapping[str, object], kind: type[V]
) -> V:
    return await visit.call(
        operation,
        {"ArchiveName": archive.name, **members},
        kind,
        account=archive.account,
        region=archive.region,
    )


def page_of(arn: str) -> str:
    return f"/console/archives/archive?arn={quote(arn, safe='')}"


class ChangeMade(msgspec.Struct, frozen=True, rename="pascal"):
    """What CreateArchive answers, as far as it is read."""

    archive_arn: str


SCREENS = (
    Screen("GET", "/archives", list_archives),
    Screen("GET", "/archives/new", new_archive),
    Screen("POST", "/archives/new", create_archive),
    Screen("POST", "/archives/try", try_pattern),
    Screen("GET", "/archives/archive", show_archive),
    Screen("POST", "/archives/archive", change_archive),
)
