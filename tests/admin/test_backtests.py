"""Backtests: what would be delivered, before and after, and nothing is."""

import json
from datetime import timedelta

import pytest

from partnerbus.api.admin.backtests import BacktestResult
from tests.admin.world import ANN, BOB, Desk, _run

PAID, LOST = {"detail": {"status": ["paid"]}}, {"detail": {"status": ["paid", "lost"]}}
STATUSES = ("paid", "lost", "open", "paid", "lost")


async def prepare(desk: Desk) -> str:
    hook = await desk.webhook(ANN, "hook")
    await desk.rule(ANN, "default", "r", PAID, hook)
    for number, status in enumerate(STATUSES):
        await desk.put_own(ANN, {"status": status, "n": number})
        await desk.clock.advance(timedelta(seconds=1))
    return hook


async def backtest(desk: Desk, **body: object) -> BacktestResult:
    return (await desk.ask("/backtests", ANN, method="POST", body=body)).read(BacktestResult)


async def test_a_changed_rule_gains_and_loses(desk: Desk) -> None:
    hook = await prepare(desk)
    delivered = len(await desk.receiver.received(2))
    wider = await backtest(desk, rule="r", pattern=json.dumps(LOST))
    assert (wider.looked_at, wider.before.matched, wider.after.matched) == (5, 2, 4)
    assert (wider.gained, wider.lost, wider.changed) == (2, 0, 0)
    assert (wider.before.deliveries, wider.after.deliveries) == (2, 4)
    first = wider.differences[0]
    assert (first.matched_before, first.matches_after) == (False, True)
    assert bytes(first.event.detail) == b'{"status":"lost","n":4}'
    (send,) = first.sends
    assert (send.target_arn, send.before) == (hook, None)
    assert send.after is not None
    assert json.loads(send.after)["detail"] == {"status": "lost", "n": 4}
    narrower = await backtest(desk, rule="r", pattern='{"detail":{"n":[0]}}')
    assert (narrower.gained, narrower.lost, narrower.after.matched) == (0, 1, 1)
    await desk.node.idle()
    assert len(await desk.receiver.received(2)) == delivered == 2


async def test_another_input_is_shown_beside_the_old_one(desk: Desk) -> None:
    await prepare(desk)
    found = await backtest(
        desk, rule="r", input={"template": '{"number": <n>}', "paths": {"n": "$.detail.n"}}
    )
    assert (found.gained, found.lost, found.changed) == (0, 0, 2)
    (send,) = found.differences[0].sends
    assert send.after == '{"number": 3}'
    assert send.before is not None
    assert json.loads(send.before)["detail"]["n"] == 3
    again = await backtest(desk, rule="r", input={"constant": "1"}, target="1")
    assert (again.changed, again.differences[0].sends[0].after) == (2, "1")


async def test_what_differs_far_behind_what_is_shown_is_counted(desk: Desk) -> None:
    hook = await desk.webhook(ANN, "hook")
    long = {"template": '{"long": <long>, "n": 1}', "paths": {"long": "$.detail.long"}}
    transformer = {"InputTemplate": long["template"], "InputPathsMap": long["paths"]}
    await desk.rule(ANN, "default", "r", {"source": ["own"]}, hook, InputTransformer=transformer)
    await desk.put_own(ANN, {"long": "x" * 20_000})
    other = long | {"template": '{"long": <long>, "n": 2}'}
    found = await backtest(desk, rule="r", input=other)
    (send,) = found.differences[0].sends
    assert (found.changed, send.differs, send.before == send.after) == (1, True, True)
    assert (await backtest(desk, rule="r", input=long)).changed == 0


async def test_a_new_pattern_on_a_bus_in_pages(desk: Desk) -> None:
    await prepare(desk)
    pages: list[BacktestResult] = []
    after: str | None = None
    while not pages or after is not None:
        more: dict[str, str] = {} if after is None else {"after": after}
        pages.append(await backtest(desk, bus="default", pattern=json.dumps(PAID), limit=2, **more))
        after = pages[-1].next
    assert [page.looked_at for page in pages] == [2, 2, 1]
    assert sum(page.gained for page in pages) == 2
    stored = [instant for page in pages for instant in (page.newest_at, page.oldest_at)]
    assert stored == sorted(stored, reverse=True)  # type: ignore[type-var]
    assert stored[0] == stored[-1] + timedelta(seconds=4)  # type: ignore[operator]


async def test_events_of_an_archive(desk: Desk) -> None:
    arn = f"arn:aws:events:us-east-1:{ANN}:event-bus/default"
    await _run(desk.client(ANN).create_archive, ArchiveName="all", EventSourceArn=arn)
    await prepare(desk)
    kept = await backtest(desk, archive="all", pattern=json.dumps(PAID))
    assert (kept.looked_at, kept.gained) == (5, 2)
    assert kept.differences[0].event.log.startswith("archive@")
    refused = await desk.ask(
        "/backtests", BOB, method="POST", body={"archive": "all", "pattern": json.dumps(PAID)}
    )
    assert refused.status == 404


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "say on which bus"),
        ({"rule": "r"}, "say what to try"),
        ({"rule": "none", "pattern": "{}"}, "there is no rule none"),
        ({"bus": "default", "pattern": "{"}, "Reason"),
        ({"rule": "r", "input": {"constant": "no json"}}, "is not a valid JSON"),
        ({"rule": "r", "input": {"constant": "1"}, "target": "2"}, "the rule has no target 2"),
        ({"rule": "r", "input": {"constant": "1", "path": "$.detail"}}, "Only one of"),
        ({"bus": "default", "pattern": '{"source":["x"]}', "after": "x"}, "next of another page"),
        ({"bus": "default", "pattern": '{"source":["x"]}', "limit": 0}, "limit"),
    ],
)
async def test_what_makes_no_backtest(desk: Desk, body: object, sentence: str) -> None:
    await prepare(desk)
    answer = await desk.ask("/backtests", ANN, method="POST", body=body)
    assert answer.status in (400, 404)
    assert sentence in answer.error
