"""How much is recorded, for how long, and within which room."""

from pathlib import Path
from typing import Any

import pytest

from partnerbus.api.admin.traces import Trace
from partnerbus.model.exchange import TraceLevel
from partnerbus.testing.receiver import Respond
from tests.admin.world import ANN, Desk, open_desk


async def trace_of_two_attempts(desk: Desk) -> Trace:
    """The trace of an event whose first attempt failed, and whose second did not."""
    await desk.rule(ANN, "default", "all", {"source": ["own"]}, await desk.webhook(ANN, "hook"))
    desk.receiver.script("/hook", Respond(status=503), Respond(status=200))
    event_id = await desk.put_own(ANN, {})
    waiting = (await desk.ask(f"/events/{event_id}/trace", ANN)).read(Trace).deliveries[0].delivery
    assert waiting.due_at is not None
    await desk.advance(waiting.due_at - desk.clock.now())
    return (await desk.ask(f"/events/{event_id}/trace", ANN)).read(Trace)


@pytest.mark.parametrize(
    ("level", "recorded", "routed"),
    [
        (TraceLevel.OFF, [False, False], False),
        (TraceLevel.FAILURES, [True, False], False),
        (TraceLevel.FULL, [True, True], True),
    ],
)
async def test_what_each_level_records(
    tmp_path: Path, level: TraceLevel, recorded: list[bool], routed: bool
) -> None:
    async with open_desk(tmp_path / "data", trace=level) as desk:
        trace = await trace_of_two_attempts(desk)
        attempts = trace.deliveries[0].attempts
        assert [each.status for each in attempts] == [503, 200]
        assert [each.sent is not None for each in attempts] == recorded
        assert (trace.routed_at is not None) is routed


async def test_room_is_bounded_and_the_oldest_goes_first(tmp_path: Path) -> None:
    bounds: dict[str, Any] = {"max_traces_bytes": 16 * 4_096, "keep_traces_seconds": 604_800}
    async with open_desk(tmp_path / "data", **bounds) as desk:
        await desk.rule(ANN, "default", "all", {"source": ["own"]}, await desk.webhook(ANN, "hook"))
        ids = [await desk.put_own(ANN, {"text": "x" * 3_000}) for _ in range(40)]
        newest = (await desk.ask(f"/events/{ids[-1]}/trace", ANN)).read(Trace)
        oldest = (await desk.ask(f"/events/{ids[0]}/trace", ANN)).read(Trace)
        assert newest.deliveries[0].attempts[0].sent is not None
        assert oldest.deliveries[0].attempts[0].sent is None, "it should have made room"
        size = sum(path.stat().st_size for path in (tmp_path / "data" / "traces").iterdir())
        assert size <= 16 * 4_096 + 8_192
