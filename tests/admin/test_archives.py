"""Archives and replays as the admin face lists them: whose, which, in pages, and how far."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from partnerbus.api.admin.archives import ArchiveList, ReplayList, progress_of
from partnerbus.model.resources import Replay, ReplayState
from tests.admin.world import ANN, BOB, REGION, Desk, _run

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

REPLAY = Replay(
    account=ANN,
    region=REGION,
    name="again",
    archive="all",
    archive_log="archive@",
    bus="default",
    log="replay@",
    until=1,
    window_start_at=NOON,
    window_end_at=NOON + 4 * HOUR,
    started_at=NOON + 10 * HOUR,
    state=ReplayState.RUNNING,
)


def bus_arn(account: str, region: str = REGION) -> str:
    return f"arn:aws:events:{region}:{account}:event-bus/default"


async def archive(desk: Desk, account: str, name: str, **more: Any) -> None:
    await _run(desk.client(account).create_archive, ArchiveName=name, EventSourceArn=bus_arn(account), **more)


async def start(desk: Desk, name: str, of: str) -> None:
    await _run(
        desk.client(ANN).start_replay,
        ReplayName=name,
        EventSourceArn=f"arn:aws:events:{REGION}:{ANN}:archive/{of}",
        EventStartTime=datetime(2000, 1, 1, tzinfo=UTC),
        EventEndTime=datetime(2100, 1, 1, tzinfo=UTC),
        Destination={"Arn": bus_arn(ANN)},
    )
    await desk.node.idle()


async def archives(desk: Desk, account: str | None = ANN, **query: Any) -> ArchiveList:
    return (await desk.ask("/archives", account, **query)).read(ArchiveList)


async def replays(desk: Desk, account: str | None = ANN, **query: Any) -> ReplayList:
    return (await desk.ask("/replays", account, **query)).read(ReplayList)


async def test_archives_of_whoever_looks_with_what_is_in_them(desk: Desk) -> None:
    await archive(desk, ANN, "all", RetentionDays=3, Description="why")
    await archive(desk, ANN, "some", EventPattern='{"source":["x"]}')
    await archive(desk, BOB, "all")
    await desk.put_own(ANN, {})
    first, second = (await archives(desk)).archives
    assert (first.name, first.events, first.retention_days, first.description) == ("all", 1, 3, "why")
    assert first.bytes > 0
    assert (first.bus, first.is_filled, first.pattern) == (bus_arn(ANN), True, None)
    assert (second.name, second.events, second.pattern) == ("some", 0, '{"source":["x"]}')
    assert [each.account for each in (await archives(desk, None)).archives] == [ANN, ANN, BOB]
    wanted: list[tuple[dict[str, Any], list[str]]] = [
        ({"archive": "some"}, ["some"]),
        ({"archive": first.arn}, ["all"]),
        ({"bus": bus_arn(ANN)}, ["all", "some"]),
        ({"bus": bus_arn(BOB)}, []),
        ({"region": "eu-west-1"}, []),
        ({"after": first.arn}, ["some"]),
    ]
    for query, names in wanted:
        assert [each.name for each in (await archives(desk, **query)).archives] == names
    page = await archives(desk, limit=1)
    assert (len(page.archives), page.next) == (1, first.arn)


async def test_replays_the_last_first_in_pages(desk: Desk) -> None:
    await archive(desk, ANN, "all")
    await archive(desk, ANN, "other")
    for _ in range(3):
        await desk.put_own(ANN, {})
    for number in range(3):
        await start(desk, f"replay-{number}", "all" if number else "other")
        await desk.clock.advance(timedelta(seconds=5))
    found = await replays(desk)
    assert [each.name for each in found.replays] == ["replay-2", "replay-1", "replay-0"]
    last = found.replays[0]
    assert (last.state, last.is_active, last.reason) == (ReplayState.COMPLETED, False, None)
    assert last.progress == 1
    assert (last.ledger.accepted, last.ledger.unmatched) == (3, 3)
    assert (last.bus, last.rules) == (bus_arn(ANN), [])
    assert [each.name for each in (await replays(desk, archive="other")).replays] == ["replay-0"]
    assert [each.name for each in (await replays(desk, replay=last.arn)).replays] == ["replay-2"]
    page = await replays(desk, limit=2)
    assert [each.name for each in page.replays] == ["replay-2", "replay-1"]
    page = await replays(desk, limit=2, after=str(page.next))
    assert ([each.name for each in page.replays], page.next) == (["replay-0"], None)
    refused = await desk.ask("/replays", ANN, after="x")
    assert (refused.status, "next of another page" in refused.error) == (400, True)
    assert (await replays(desk, BOB)).replays == []


@pytest.mark.parametrize(
    ("changes", "created_at", "progress"),
    [
        ({}, NOON, 0.0),
        ({"replayed_until": NOON + HOUR}, NOON, 0.25),
        ({"replayed_until": NOON + HOUR, "state": ReplayState.COMPLETED}, NOON, 1.0),
        ({"replayed_until": NOON + 3 * HOUR}, NOON + 2 * HOUR, 0.5),
        ({"replayed_until": NOON + HOUR}, NOON + 2 * HOUR, 0.25),  # a time that its publisher made up
        ({"replayed_until": NOON + HOUR, "started_at": NOON + 2 * HOUR}, None, 0.5),
        ({"replayed_until": NOON + 3 * HOUR, "started_at": NOON + 2 * HOUR}, None, 0.75),
        ({"replayed_until": NOON + HOUR, "started_at": NOON + HOUR}, NOON + HOUR, 0.0),
    ],
)
def test_progress_is_of_the_time_that_can_have_events(
    changes: dict[str, Any], created_at: datetime | None, progress: float
) -> None:
    assert progress_of(msgspec.structs.replace(REPLAY, **changes), created_at) == progress
