"""An archive with events, and replays of it, for tests of their pages."""

import json
from datetime import timedelta
from typing import Any

from partnerbus.api.admin.archives import ReplayList, ReplayView
from tests.admin.world import ANN, Desk, _run
from tests.console.visitor import Visitor

OWN_BUS = f"arn:aws:events:us-east-1:{ANN}:event-bus/default"
KEPT = f"arn:aws:events:us-east-1:{ANN}:archive/kept"
KEPT_PAGE = f"/archives/archive?arn={KEPT}"
MINE = f"arn:aws:events:us-east-1:{ANN}:rule/mine"
AGAIN = f"arn:aws:events:us-east-1:{ANN}:replay/again"
AGAIN_PAGE = f"/replays/replay?arn={AGAIN}"

WINDOW = {"since": "2000-01-01T00:00:00", "until": "2100-01-01T00:00:00"}


async def keep(desk: Desk, count: int, *, archive: str = "kept") -> str:
    """Ann's own bus has an archive with so many events, and a rule for those that are paid; its target."""
    hook = await desk.webhook(ANN, "hook")
    await desk.rule(ANN, "default", "mine", {"detail": {"status": ["paid"]}}, hook)
    await _run(desk.client(ANN).create_archive, ArchiveName=archive, EventSourceArn=OWN_BUS)
    for number in range(count):
        status = "paid" if number % 2 == 0 else "open"
        await desk.put_own(ANN, {"status": status, "n": number}, detail_type="order.placed")
        await desk.clock.advance(timedelta(minutes=1))
    await desk.node.idle()
    return hook


async def keep_many(desk: Desk, count: int) -> None:
    """As `keep`, with events a minute apart by their own time, put at once."""
    await keep(desk, 0)
    client, begin = desk.client(ANN), desk.clock.now()
    for first in range(0, count, 10):
        entries: Any = [
            {"Source": "own", "DetailType": "t", "Detail": "{}", "Time": begin + timedelta(minutes=number)}
            for number in range(first, min(first + 10, count))
        ]
        assert (await _run(client.put_events, Entries=entries))["FailedEntryCount"] == 0
    await desk.advance(timedelta(minutes=count))


async def start_slow_replay(desk: Desk, visitor: Visitor) -> None:
    """A replay of Ann's archive, started on its page, that goes on only as far as the clock does.

    A rule of hers sends what is replayed to where one request a second may go.
    """
    client = desk.client(ANN)
    key: Any = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "v"}}
    made = await _run(client.create_connection, Name="slow", AuthorizationType="API_KEY", AuthParameters=key)
    destination = await _run(
        client.create_api_destination,
        Name="slow",
        ConnectionArn=made["ConnectionArn"],
        InvocationEndpoint=f"{desk.receiver.url}/slow",
        HttpMethod="POST",
        InvocationRateLimitPerSecond=1,
    )
    pattern = {"replay-name": [{"exists": True}]}
    await desk.rule(ANN, "default", "slow", pattern, destination["ApiDestinationArn"])
    form = {"archive": KEPT, "name": "again"} | WINDOW
    done = await visitor.submit(f"/replays/new?archive={KEPT}", "/replays/new", **form)
    assert "The replay is started." in done.words
    await desk.node.idle()


async def until_ended(desk: Desk, name: str = "again") -> ReplayView:
    """Move the clock until Ann's replay has ended."""
    while (found := await replay(desk, name)).is_active:
        await desk.clock.advance(timedelta(seconds=1), desk.node.idle)
    return found


async def replay(desk: Desk, name: str = "again") -> ReplayView:
    (found,) = (await desk.ask("/replays", ANN, replay=name)).read(ReplayList).replays
    return found


def paid(number: int | None = None) -> str:
    """A pattern of paid orders, or of one of them."""
    detail = {"status": ["paid"]} | ({"n": [number]} if number is not None else {})
    return json.dumps({"detail": detail})
