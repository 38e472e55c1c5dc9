"""Replays on a running server: what arrives, and that kill -9 neither loses nor starts over."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from partnerbus.kernel.failpoints import VARIABLE, Failpoint
from partnerbus.testing.server_process import ServerDied
from tests.main_job.story import ACME, CUSTOMER, REGION, Story, begin, run
from tests.main_job.test_archives import BUS, SOURCE, archived, order

pytestmark = pytest.mark.slow

ARCHIVE = f"arn:aws:events:{REGION}:{CUSTOMER}:archive/all"
FIRST = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


async def archive(story: Story, count: int, seconds: int = 1) -> list[str]:
    """The ids of so many archived events, so many seconds apart."""
    await story.offer(ACME, SOURCE)
    await run(story.client(CUSTOMER).create_archive, ArchiveName="all", EventSourceArn=BUS)
    times = [FIRST + timedelta(seconds=number * seconds) for number in range(count)]
    ids = await story.put(ACME, *({**order(number), "Time": time} for number, time in enumerate(times)))
    await archived(story, count)
    return ids


async def start(story: Story, end: datetime, name: str = "again", **destination: Any) -> None:
    answer = await run(
        story.client(CUSTOMER).start_replay,
        ReplayName=name,
        EventSourceArn=ARCHIVE,
        EventStartTime=FIRST,
        EventEndTime=end,
        Destination={"Arn": BUS, **destination},
    )
    assert answer["State"] == "STARTING"


async def ended(story: Story, name: str = "again") -> dict[str, Any]:
    """What DescribeReplay says once the replay has ended."""
    while True:
        found: Any = await run(story.client(CUSTOMER).describe_replay, ReplayName=name)
        if found["State"] not in ("STARTING", "RUNNING", "CANCELLING"):
            return found  # type: ignore[no-any-return]


async def test_a_window_of_a_partners_events_arrives_once_more(tmp_path: Path) -> None:
    async with begin(tmp_path / "data", "--test-clock") as story:
        ids = await archive(story, 20, seconds=30)
        customer = story.client(CUSTOMER)
        await story.rule(SOURCE, "all", {"source": [SOURCE]}, await story.webhook("all"))
        await story.rule(SOURCE, "other", {"source": [SOURCE]}, await story.webhook("other"))
        rule = f"arn:aws:events:{REGION}:{CUSTOMER}:rule/{SOURCE}/all"
        await start(story, FIRST + 5 * MINUTE, FilterArns=[rule])
        found = await ended(story)
        events = await story.arrived("all", 10)
        assert found["State"] == "COMPLETED"
        assert found["EventLastReplayedTime"] == FIRST + timedelta(seconds=270)
        assert found["ReplayEndTime"] >= found["ReplayStartTime"]
        assert {event["id"] for event in events} == set(ids[:10])
        assert {event["replay-name"] for event in events} == {"again"}
        keys = ["version", "id", "detail-type", "source", "account", "time", "region", "replay-name"]
        assert list(events[0]) == [*keys, "resources", "detail"]
        assert await story.receiver.received(0, "/other") == []
        assert (await archived(story, 20))["EventCount"] == 20

        with pytest.raises(ClientError, match="Replay again already exists"):
            await start(story, FIRST + MINUTE)
        await story.command("clock", "advance", "91d", "--json")
        while (await run(customer.list_replays))["Replays"]:
            pass
        await start(story, FIRST + MINUTE)


@pytest.mark.fault
async def test_kill_9_neither_loses_nor_starts_over(tmp_path: Path) -> None:
    count = 600
    async with begin(tmp_path / "data") as story:
        ids = await archive(story, count)
        await story.rule(SOURCE, "all", {"source": [SOURCE]}, await story.webhook("all"))
        await start(story, FIRST + timedelta(seconds=count))
        kills = 0
        for point, nth in [
            (Failpoint.APPEND_COMMITTED, 4),
            (Failpoint.ADVANCE_BEFORE_COMMIT, 3),
            (Failpoint.APPEND_BEFORE_COMMIT, 5),
            (Failpoint.ADVANCE_COMMITTED, 4),
            (Failpoint.SETTLE_COMMITTED, 30),
        ]:
            await story.server.kill()
            with suppress(ServerDied):  # it may die before it is ready
                await story.server.start({VARIABLE: f"{point}=kill@{nth}"})
            await story.server.wait()
            kills += 1
        await story.server.start()
        before = len(await story.receiver.received(0, "/all"))
        assert before < count
        found = await ended(story)
        assert (found["State"], found["EventLastReplayedTime"]) == (
            "COMPLETED",
            FIRST + timedelta(seconds=count - 1),
        )
        (ledger,) = [
            each["ledger"]
            for each in (await story.command("ledger", "--json"))["ledgers"]
            if each["log"].startswith("replay@")
        ]
        assert (ledger["accepted"], ledger["owed"]) == (count, count)
        events = await story.arrived("all", count)
        while {event["id"] for event in events} != set(ids):
            events = await story.arrived("all", len(events) + 1)
        # What was under way at a kill may have come twice.
        assert len(events) <= count + 64 * kills
