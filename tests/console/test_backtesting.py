"""Backtests on the pages: what would become of events of the past, and saving what was found good."""

import json
from datetime import timedelta
from typing import Any

from partnerbus.console.screens.backtests import NOTHING_TO_TRY
from tests.admin.world import ANN, Desk, _run
from tests.console.keeping import KEPT, MINE, OWN_BUS, keep, paid
from tests.console.test_pages import NASTY
from tests.console.visitor import visitor

BACKTEST = f"/backtest?rule={MINE}"


async def test_a_changed_rule_is_tried_on_an_archive_and_saved(desk: Desk) -> None:
    await keep(desk, 6)
    async with visitor(desk, ANN) as ann:
        page = await ann.see(BACKTEST)
        assert "Archive kept, of default: 6 events" in page.words
        fields = {"rule": MINE, "over": KEPT, "pattern": paid(4), "limit": "5000"}
        done = await ann.submit(BACKTEST, "/backtest", **fields)
        assert "2 of 6 events would fare otherwise." in done.words
        assert "Events that match 3 1 Deliveries 3 1" in done.words
        assert "0 gained, 2 lost, 0 sent otherwise." in done.words
        assert "Nothing: it would not match." in done.words
        later = (desk.clock.now() - timedelta(minutes=2, seconds=1)).isoformat()[:19]
        done = await ann.submit(BACKTEST, "/backtest", since=later, **fields)
        assert "Nothing would change for these 2 events." in done.words
        done = await ann.submit(BACKTEST, "/backtest", before="2000-01-01T00:00:00", **fields)
        assert "There are no events there" in done.words
        done = await ann.submit(BACKTEST, "/backtest", **fields | {"pattern": paid()})
        assert (done.status, NOTHING_TO_TRY in done.words) == (400, True)
        before = len(desk.receiver.requests)
        done = await ann.submit(BACKTEST, "/rules/rule", do="save", **fields)
        assert "The pattern is saved." in done.words
        await desk.put_own(ANN, {"status": "paid", "n": 0})
        assert len(desk.receiver.requests) == before


async def test_another_input_is_shown_beside_the_old_one_and_put(desk: Desk) -> None:
    await keep(desk, 2)
    async with visitor(desk, ANN) as ann:
        fields = {"rule": MINE, "pattern": paid(), "input": "template", "text": '{"order": <n>}'}
        done = await ann.submit(BACKTEST, "/backtest", paths='{"n": "$.detail.n"}', **fields)
        assert "1 of 2 events would fare otherwise." in done.words
        assert '"detail-type": "order.placed"' in done.words
        assert '{ "order": 0 }' in done.words
        for kind, text, shown in (
            ("whole", "", "Nothing would change for these 2 events."),
            ("constant", '{"x": 1}', '{ "x": 1 }'),
            ("path", "$.detail.status", '"paid"'),
            ("path", "$.detail.none", "leads to nothing in the event"),
        ):
            done = await ann.submit(BACKTEST, "/backtest", **fields | {"input": kind, "text": text})
            assert (done.status, shown in done.words) == (200, True), done.words
        for wrong in ({"paths": "["}, {"paths": '{"n": 1}'}, {"text": "<none>"}, {"input": "x"}):
            refused = await ann.submit(BACKTEST, "/backtest", **{"paths": "{}"} | fields | wrong)
            assert (refused.status, 'role="alert"' in refused.text) == (400, True), wrong
        assert (await ann.submit(BACKTEST, "/backtest", target="9", **fields)).status == 404
        assert len(desk.receiver.requests) == 1
        hook = f"arn:partnerbus:webhook:us-east-1:{ANN}:hook"
        target: Any = {"Id": "1", "Arn": hook, "RetryPolicy": {"MaximumRetryAttempts": 3}}
        await _run(desk.client(ANN).put_targets, Rule="mine", Targets=[target])
        put = {"do": "put-input", "paths": '{"n": "$.detail.n"}', "target": "1"}
        done = await ann.submit(BACKTEST, "/rules/rule", **fields | put)
        assert "What is attempted from now on is sent like that." in done.words
        found = await _run(desk.client(ANN).list_targets_by_rule, Rule="mine")
        transformer = {"InputPathsMap": {"n": "$.detail.n"}, "InputTemplate": '{"order": <n>}'}
        assert found["Targets"] == [target | {"InputTransformer": transformer}]
        await desk.put_own(ANN, {"status": "paid", "n": 9})
        assert (await desk.receiver.received(2, "/hook"))[1].body == b'{"order": 9}'


async def test_a_new_rule_is_tried_in_pages_and_made(desk: Desk) -> None:
    await keep(desk, 3)
    async with visitor(desk, ANN) as ann:
        form = {"over": OWN_BUS, "pattern": paid()}
        done = await ann.submit("/backtest", "/backtest", **form)
        assert "It matches 2 of 3 events." in done.words
        link = done.text.partition('href="/console/rules/new?')[2].partition('"')[0].replace("&amp;", "&")
        page = await ann.see(f"/rules/new?{link}")
        assert "&#34;paid&#34;" in page.text
        assert f'<option value="{OWN_BUS}" selected>' in page.text
        for over in ("", NASTY, f"arn:aws:events:us-east-1:{ANN}:archive/none"):
            done = await ann.submit("/backtest", "/backtest", over=over, pattern=paid())
            assert "<img" not in done.text
            assert done.status in (200, 400, 404)
        for wrong in ({"pattern": "no JSON"}, {"pattern": ""}, {"since": "x"}, {"after": "x"}):
            refused = await ann.submit("/backtest", "/backtest", **form | wrong)
            assert (refused.status, 'role="alert"' in refused.text) == (400, True), wrong


async def test_a_saved_pattern_leaves_the_rest_of_the_rule_as_it_was(desk: Desk) -> None:
    client = desk.client(ANN)
    await _run(
        client.put_rule, Name="mine", EventPattern=paid(), Description="why", ScheduleExpression="rate(1 day)"
    )
    async with visitor(desk, ANN) as ann:
        page = f"/rules/rule?arn={MINE}"
        await ann.submit(page, "/rules/rule", rule=MINE, do="save", pattern=paid(1))
        found = await _run(client.describe_rule, Name="mine")
        assert (found["Description"], found["ScheduleExpression"]) == ("why", "rate(1 day)")
        assert json.loads(found["EventPattern"]) == json.loads(paid(1))
