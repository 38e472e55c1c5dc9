"""Archives and replays of every account and region that the viewer may see, and how far each replay is.

They are made, changed and cancelled by the operations of the wire API.
"""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from partnerbus.api.admin.logs import BusFilter
from partnerbus.api.admin.paging import page_by_arn
from partnerbus.api.admin.request import AdminRefused, Request
from partnerbus.api.admin.sight import BusRef, Sight, ViewRoute
from partnerbus.model.resources import Archive, Replay, ReplayState
from partnerbus.store.protocol import Ledger


class ArchivePage(BusFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of the archives, after the one with the ARN `after`; only of `archive`, a name or an ARN."""

    archive: str | None = None
    after: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class ReplayPage(ArchivePage, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of the replays, those that were started last first; `replay` is a name or an ARN."""

    replay: str | None = None


class ArchiveView(msgspec.Struct, frozen=True, kw_only=True):
    """An archive. `bus` is the ARN of the bus it was made for; once that is gone, it `is_filled` no more.

    `retention_days` counts from when an event was put; 0 is for ever. Without a `pattern` it keeps all.
    """

    arn: str
    account: str
    region: str
    name: str
    bus: str
    is_filled: bool
    created_at: datetime
    pattern: str | None
    retention_days: int
    description: str | None
    events: int
    bytes: int


class ArchiveList(msgspec.Struct, frozen=True, kw_only=True):
    archives: list[ArchiveView]
    next: str | None


class ReplayView(msgspec.Struct, frozen=True, kw_only=True):
    """A replay. `archive`, `bus` and `rules` are ARNs; no rules are every rule of the bus.

    `progress` goes from 0 to 1, estimated from how far the events' own times have got in the window; `ledger`
    counts exactly what was sent once more (accepted) and what became of it. `reason` says why it failed.
    """

    arn: str
    account: str
    region: str
    name: str
    archive: str
    bus: str
    rules: list[str]
    description: str | None
    state: ReplayState
    reason: str | None
    is_active: bool
    started_at: datetime
    ended_at: datetime | None
    window_start_at: datetime
    window_end_at: datetime
    replayed_until: datetime | None
    progress: float
    ledger: Ledger


class ReplayList(msgspec.Struct, frozen=True, kw_only=True):
    replays: list[ReplayView]
    next: str | None


async def list_archives(sight: Sight, request: Request) -> ArchiveList:
    wanted = request.query_as(ArchivePage)
    every = (
        each
        for each in sight.archives()
        if _is_of(each.account, each.region, each.bus, wanted)
        if wanted.archive in (None, each.name, each.arn)
    )
    found, following = page_by_arn(every, wanted.after, wanted.limit, lambda each: each.arn)
    return ArchiveList(archives=[await _archive(sight, each) for each in found], next=following)


async def list_replays(sight: Sight, request: Request) -> ReplayList:
    wanted = request.query_as(ReplayPage)
    every = [
        each
        for each in sight.replays()
        if _is_of(each.account, each.region, each.bus, wanted)
        if wanted.archive in (None, each.archive, each.archive_arn)
        if wanted.replay in (None, each.name, each.arn)
    ]
    newest = sorted(every, key=lambda each: (each.started_at, each.arn), reverse=True)
    begin = _place_behind(newest, wanted.after)
    found = newest[begin : begin + wanted.limit]
    is_last = begin + wanted.limit >= len(newest)
    created = {each.arn: each.created_at for each in sight.archives()}
    replays = [await _replay(sight, each, created.get(each.archive_arn)) for each in found]
    return ReplayList(replays=replays, next=None if is_last else found[-1].arn)


def _is_of(account: str, region: str, bus: str, wanted: BusFilter) -> bool:
    return wanted.picks(BusRef(account=account, region=region, name=bus))


def _place_behind(replays: list[Replay], arn: str | None) -> int:
    if arn is None:
        return 0
    for place, replay in enumerate(replays):
        if replay.arn == arn:
            return place + 1
    raise AdminRefused("after is the next of another page")


async def _archive(sight: Sight, archive: Archive) -> ArchiveView:
    size = await sight.size_of(archive)
    return ArchiveView(
        arn=archive.arn,
        account=archive.account,
        region=archive.region,
        name=archive.name,
        bus=archive.bus_arn,
        is_filled=sight.is_filled(archive),
        created_at=archive.created_at,
        pattern=archive.pattern,
        retention_days=archive.retention_days,
        description=archive.description,
        events=size.records,
        bytes=size.bytes,
    )


async def _replay(sight: Sight, replay: Replay, archive_created_at: datetime | None) -> ReplayView:
    return ReplayView(
        arn=replay.arn,
        account=replay.account,
        region=replay.region,
        name=replay.name,
        archive=replay.archive_arn,
        bus=replay.bus_arn,
        rules=list(replay.rule_arns),
        description=replay.description,
        state=replay.state,
        reason=replay.reason,
        is_active=replay.is_active,
        started_at=replay.started_at,
        ended_at=replay.ended_at,
        window_start_at=replay.window_start_at,
        window_end_at=replay.window_end_at,
        replayed_until=replay.replayed_until,
        progress=progress_of(replay, archive_created_at),
        ledger=await sight.ledger_of(replay),
    )


def progress_of(replay: Replay, archive_created_at: datetime | None) -> float:
    """How much of its window a replay has behind it, from 0 to 1.

    A window may begin long before there was an archive and end in the future. What lies outside of the time
    from there to the start of the replay does not count, unless the events' times do.
    """
    if replay.state is ReplayState.COMPLETED:
        return 1.0
    if replay.replayed_until is None:
        return 0.0
    begin, end = replay.window_start_at, replay.window_end_at
    if archive_created_at is not None and begin < archive_created_at <= replay.replayed_until:
        begin = archive_created_at
    if replay.replayed_until <= replay.started_at < end:
        end = replay.started_at
    if end - begin <= timedelta(0):
        return 0.0
    return min(1.0, max(0.0, (replay.replayed_until - begin) / (end - begin)))


ROUTES = (
    ViewRoute("GET", "/archives", list_archives, query=ArchivePage),
    ViewRoute("GET", "/replays", list_replays, query=ReplayPage),
)
