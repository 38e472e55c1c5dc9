"""Replays: starting one, watching how far it is, stopping it."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

import msgspec
from starlette.responses import HTMLResponse, Response

from partnerbus.api.admin.archives import ArchiveList, ArchiveView, ReplayList, ReplayView
from partnerbus.api.admin.health_views import RuleHealth, RuleHealthList
from partnerbus.console.door import Screen
from partnerbus.console.refusal import Refused
from partnerbus.console.screens.archives import archive_at
from partnerbus.console.visit import Nothing, Visit

PAGE = 50
MOST = 1_000
LONGEST_NAME = 64

NO_INSTANT = "Say from when and until when, in UTC, as 2026-11-27T09:30."


EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""What is before it cannot be said on the wire."""


class Started(msgspec.Struct, frozen=True, rename="pascal"):
    """What StartReplay answers, as far as it is read."""

    replay_arn: str


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """The form that starts a replay, as it was filled in. No rules are all of the bus."""

    name: str
    since: str
    until: str
    description: str
    rules: list[str]


async def list_replays(visit: Visit) -> Response:
    query = visit.request.query_params
    wanted = {"archive": archive} if (archive := query.get("archive", "").strip()) else {}
    found = await visit.ask("/replays", ReplayList, limit=PAGE, after=query.get("after"), **wanted)
    following = urlencode(wanted | {"after": found.next}) if found.next is not None else None
    return visit.page("replays.html", replays=found.replays, archive=archive, following=following)


async def new_replay(visit: Visit) -> Response:
    """The form; first which archive, if none is named."""
    query = visit.request.query_params
    if not (arn := query.get("archive", "").strip()):
        archives = (await visit.ask("/archives", ArchiveList, limit=MOST, bus=query.get("bus"))).archives
        return visit.page("replay_choice.html", archives=archives, rule=query.get("rule", ""))
    archive, now = await archive_at(visit, arn), visit.now
    usual = Given(
        name=f"{archive.name[: LONGEST_NAME - 16]}-{now:%Y%m%d-%H%M%S}",
        since=_field(archive.created_at),
        until=_field(now + timedelta(seconds=1)),
        description="",
        rules=query.getlist("rule"),
    )
    return await _form_page(visit, archive, usual)


async def start_replay(visit: Visit) -> Response:
    """Start it; a refusal leaves the form as it was."""
    form = visit.form
    archive = await archive_at(visit, form.text("archive"))
    given = Given(
        name=form.text("name"),
        since=form.text("since"),
        until=form.text("until"),
        description=form.text("description"),
        rules=form.every("rule"),
    )
    try:
        destination = {"Arn": archive.bus} | ({"FilterArns": given.rules} if given.rules else {})
        members = {
            "ReplayName": given.name,
            "EventSourceArn": archive.arn,
            "EventStartTime": _instant(given.since).timestamp(),
            "EventEndTime": _instant(given.until).timestamp(),
            "Destination": destination,
            "Description": given.description or None,
        }
        account, region = archive.account, archive.region
        done = await visit.call("StartReplay", members, Started, account=account, region=region)
    except Refused as refused:
        return await _form_page(visit, archive, given, refused)
    return visit.go(page_of(done.replay_arn), "The replay is started.")


async def _form_page(
    visit: Visit, archive: ArchiveView, given: Given, refusal: Refused | None = None
) -> Response:
    return visit.page(
        "replay_new.html",
        200 if refusal is None else refusal.status,
        archive=archive,
        given=given,
        rules=await _rules_of(visit, archive.bus),
        refusal=refusal.sentence if refusal is not None else None,
    )


async def _rules_of(visit: Visit, bus: str) -> list[RuleHealth]:
    """The rules that a replay may be for: those of the bus, without those of archives."""
    found = await visit.ask("/health/rules", RuleHealthList, bus=bus, limit=MOST)
    return [rule for rule in found.rules if rule.managed_by is None]


async def show_replay(visit: Visit) -> Response:
    """The page of a replay, which asks for its own progress anew until the replay has ended."""
    return _page(visit, await _replay_at(visit, visit.request.query_params.get("arn", "")))


async def show_progress(visit: Visit) -> Response:
    """How far it is: a part of its page."""
    replay = await _replay_at(visit, visit.request.query_params.get("arn", ""))
    return HTMLResponse(visit.part("replay_progress.html", replay=replay))


async def cancel_replay(visit: Visit) -> Response:
    replay = await _replay_at(visit, visit.form.text("replay"))
    try:
        await visit.call(
            "CancelReplay",
            {"ReplayName": replay.name},
            Nothing,
            account=replay.account,
            region=replay.region,
        )
    except Refused as refused:
        return _page(visit, await _replay_at(visit, replay.arn), refused)
    return visit.go(page_of(replay.arn), "The replay is being stopped.")


def _page(visit: Visit, replay: ReplayView, refusal: Refused | None = None) -> Response:
    return visit.page(
        "replay.html",
        200 if refusal is None else refusal.status,
        replay=replay,
        refusal=refusal.sentence if refusal is not None else None,
    )


async def _replay_at(visit: Visit, arn: str) -> ReplayView:
    found = await visit.ask("/replays", ReplayList, replay=arn)
    if not found.replays or found.replays[0].arn != arn:
        raise Refused(404, "There is no such replay.")
    return found.replays[0]


def page_of(arn: str) -> str:
    return f"/console/replays/replay?arn={quote(arn, safe='')}"


def _field(when: datetime) -> str:
    """An instant as a browser's field takes it; fields are UTC on our pages."""
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(400, NO_INSTANT) from None
    found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    if found < EARLIEST:
        raise Refused(400, NO_INSTANT)
    return found


SCREENS = (
    Screen("GET", "/replays", list_replays),
    Screen("GET", "/replays/new", new_replay),
    Screen("POST", "/replays/new", start_replay),
    Screen("GET", "/replays/replay", show_replay),
    Screen("GET", "/replays/progress", show_progress),
    Screen("POST", "/replays/cancel", cancel_replay),
)
