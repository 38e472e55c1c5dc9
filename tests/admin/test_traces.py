"""One event from its id to the last byte, through a whole node."""

from datetime import timedelta

import pytest

from partnerbus.api.admin import events
from partnerbus.api.admin.events import EventList, EventView
from partnerbus.api.admin.traces import Known, Trace
from partnerbus.api.admin.verdicts import DISABLED, NO_TARGETS, Nearest, Why
from partnerbus.testing.receiver import Respond
from tests.admin.world import ANN, ORDERS, Desk, _run

PATTERN = {"detail": {"status": ["paid"], "total": [{"numeric": [">", 100]}]}}


async def test_a_trace_tells_from_the_id_to_the_last_byte(desk: Desk) -> None:
    await desk.offer(ORDERS, ANN)
    hook = await desk.webhook(ANN, "hook")
    template = {"InputPathsMap": {"n": "$.detail.n"}, "InputTemplate": '{"number": <n>}'}
    await desk.rule(ANN, ORDERS, "paid", PATTERN, hook, InputTransformer=template)
    await desk.rule(ANN, ORDERS, "lost", {"detail": {"status": ["lost"]}}, hook)
    await desk.rule(ANN, ORDERS, "aimless", {"source": [ORDERS]})
    desk.receiver.script("/hook", Respond(status=503, body=b"not yet"), Respond(status=200, body=b"thanks"))
    event_id = await desk.put(ORDERS, {"status": "paid", "total": 120, "n": 7})
    waiting = (await desk.ask(f"/events/{event_id}/trace", ANN)).read(Trace).deliveries[0].delivery
    assert waiting.due_at is not None
    await desk.advance(waiting.due_at - desk.clock.now())
    trace = (await desk.ask(f"/events/{event_id}/trace", ANN)).read(Trace)

    assert trace.event is not None
    assert (trace.event.id, trace.event.source) == (event_id, ORDERS)
    assert bytes(trace.event.detail) == b'{"status":"paid","total":120,"n":7}'
    assert trace.is_routed
    assert trace.routed_at is not None
    verdicts = {each.rule: each for each in trace.verdicts}
    assert (verdicts["paid"].matches, verdicts["paid"].blocked, verdicts["paid"].miss) == (True, None, None)
    assert (verdicts["aimless"].matches, verdicts["aimless"].blocked) == (True, NO_TARGETS)
    miss = verdicts["lost"].miss
    assert miss is not None
    assert (miss.path, miss.seen) == ("detail.status", ['"paid"'])
    assert "lost" in miss.wanted[0]

    (delivery,) = trace.deliveries
    assert (delivery.delivery.state, delivery.delivery.rule) == ("delivered", "paid")
    assert delivery.input is not None
    assert (delivery.input.known, delivery.input.body) == (Known.COMPUTED, '{"number": 7}')
    first, second = delivery.attempts
    assert (first.number, first.status, first.error) == (1, 503, "ERROR_FROM_TARGET")
    assert (second.number, second.status, second.error) == (2, 200, None)
    assert first.sent is not None
    assert (first.sent.method, first.sent.body) == ("POST", '{"number": 7}')
    assert first.sent.url == f"{desk.receiver.url}/hook"
    assert first.sent.headers["Content-Type"] == "application/json; charset=utf-8"
    assert first.answered is not None
    assert second.answered is not None
    assert (first.answered.status, first.answered.body) == (503, "not yet")
    assert second.answered.body == "thanks"
    assert trace.states == {"delivered": 1}
    assert trace.exchanges == []


async def test_a_dead_letter_and_its_redrive_are_in_the_trace(desk: Desk) -> None:
    await desk.offer(ORDERS, ANN)
    hook = await desk.webhook(ANN, "hook")
    await desk.rule(ANN, ORDERS, "all", {"source": [ORDERS]}, hook)
    desk.receiver.script("/hook", Respond(status=400, body=b"no"), Respond(status=200))
    event_id = await desk.put(ORDERS, {})
    dead = (await desk.ask(f"/events/{event_id}/trace")).read(Trace)
    assert (dead.states, dead.deliveries[0].delivery.state) == ({"dead": 1}, "dead")
    assert dead.errors == ["ERROR_FROM_TARGET: The webhook answered with HTTP status 400."]
    letter = dead.deliveries[0].delivery.id
    answer = await desk.ask("/dead-letters/redrive", ANN, method="POST", body={"ids": [letter]})
    assert answer.status == 200
    await desk.node.idle()
    trace = (await desk.ask(f"/events/{event_id}/trace", ANN)).read(Trace)
    (delivery,) = trace.deliveries
    assert (delivery.delivery.state, delivery.delivery.redriven) == ("delivered", 1)
    assert [(each.number, each.status) for each in delivery.attempts] == [(1, 400), (1, 200)]
    assert all(each.sent is not None for each in delivery.attempts)


@pytest.mark.slow
async def test_what_was_recorded_outlives_the_event(desk: Desk) -> None:
    await desk.offer(ORDERS, ANN)
    await desk.rule(ANN, ORDERS, "all", {"source": [ORDERS]}, await desk.webhook(ANN, "hook"))
    event_id = await desk.put(ORDERS, {"n": 1})
    while (await desk.ask(f"/events/{event_id}", ANN)).status != 404:  # until a sweep has been there
        await desk.advance(timedelta(hours=1))
    trace = (await desk.ask(f"/events/{event_id}/trace", ANN)).read(Trace)
    assert trace.event is None
    (exchange,) = trace.exchanges
    assert (exchange.event_id, exchange.number, exchange.error) == (event_id, 1, None)
    while (await desk.ask(f"/events/{event_id}/trace", ANN)).status != 404:
        await desk.advance(timedelta(days=1))
    assert desk.clock.now() - exchange.started_at >= timedelta(days=7)


async def test_secrets_of_a_connection_are_in_no_trace(desk: Desk) -> None:
    client = desk.client(ANN)
    secret, token = 's3cret/"+', "hidden token"
    made = await _run(
        client.create_connection,
        Name="c",
        AuthorizationType="API_KEY",
        AuthParameters={
            "ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": secret},
            "InvocationHttpParameters": {
                "HeaderParameters": [{"Key": "X-More", "Value": f"a {token}", "IsValueSecret": True}],
                "QueryStringParameters": [{"Key": "t", "Value": token, "IsValueSecret": True}],
                "BodyParameters": [{"Key": "b", "Value": secret, "IsValueSecret": True}],
            },
        },
    )
    destination = await _run(
        client.create_api_destination,
        Name="d",
        ConnectionArn=made["ConnectionArn"],
        InvocationEndpoint=f"{desk.receiver.url}/api",
        HttpMethod="POST",
    )
    await desk.rule(ANN, "default", "all", {"source": ["own"]}, destination["ApiDestinationArn"])
    echo = f"{secret} {token}".encode()
    desk.receiver.script("/api", Respond(status=400, body=echo, headers={"X-Echo": token, "Set-Cookie": "s"}))
    event_id = await desk.put_own(ANN, {})
    answer = await desk.ask(f"/events/{event_id}/trace", ANN)
    sent = answer.read(Trace).deliveries[0].attempts[0].sent
    (request,) = await desk.receiver.received(1, "/api")
    assert request.headers["x-key"] == secret
    assert sent is not None
    assert (sent.headers["X-Key"], sent.headers["X-More"]) == ("***", "***")
    assert sent.url == f"{desk.receiver.url}/api?t=***"
    for spelled in (secret, token, "s3cret", "hidden", "czNjcmV0"):
        assert spelled not in answer.body.decode()
    lines = b"".join(path.read_bytes() for path in (desk.node.settings.data / "traces").iterdir())
    assert b"s3cret" not in lines
    assert b"hidden" not in lines


async def test_an_event_that_a_rule_forwards_is_traced_to_the_other_bus(desk: Desk) -> None:
    client = desk.client(ANN)
    made = await _run(client.create_event_bus, Name="second")
    await desk.rule(ANN, "default", "on", {"source": ["own"]}, made["EventBusArn"])
    event_id = await desk.put_own(ANN, {"n": 1})
    trace = (await desk.ask(f"/events/{event_id}/trace", ANN)).read(Trace)
    copy = trace.deliveries[0].copy
    assert copy is not None
    assert (copy.bus, copy.id) == (made["EventBusArn"], event_id)
    there = (await desk.ask(f"/events/{event_id}", ANN, bus="second")).read(EventView)
    assert (there.bus, there.via is not None) == (made["EventBusArn"], True)


async def test_a_copy_is_found_by_the_time_of_its_id_behind_many_newer_ones(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LOOKED_AT_MOST", 2)
    made = await _run(desk.client(ANN).create_event_bus, Name="second")
    await desk.rule(ANN, "default", "on", {"source": ["own"]}, made["EventBusArn"])
    event_id = await desk.put_own(ANN, {"n": 1})
    for _ in range(3):
        await desk.advance(events.FORWARDED_WITHIN)
        await desk.put_own(ANN, {})
    there = (await desk.ask(f"/events/{event_id}", ANN, bus="second")).read(EventView)
    assert (there.id, there.bus) == (event_id, made["EventBusArn"])
    for none in ("ffffffff-ffff-4fff-bfff-ffffffffffff", "e677d21f-dbff-4fff-bfff-ffffffffffff", "nonsense"):
        assert (await desk.ask(f"/events/{none}", ANN)).status == 404


async def test_events_are_found_by_source_type_pattern_and_time_the_newest_first(desk: Desk) -> None:
    ids = []
    for number in range(7):
        ids.append(await desk.put_own(ANN, {"n": number}, detail_type="even" if number % 2 == 0 else "odd"))
        await desk.clock.advance(timedelta(seconds=1))
    listed = (await desk.ask("/events", ANN)).read(EventList)
    assert [each.id for each in listed.events] == ids[::-1]
    first = (await desk.ask("/events", ANN, limit=3)).read(EventList)
    assert first.next is not None
    second = (await desk.ask("/events", ANN, limit=5, after=first.next)).read(EventList)
    assert [each.id for each in (*first.events, *second.events)] == ids[::-1]
    assert second.next is None
    at = [each.stored_at.isoformat() for each in reversed(listed.events)]
    for query, found in (
        ({"detail_type": "odd"}, [5, 3, 1]),
        ({"source": "else"}, []),
        ({"pattern": '{"detail":{"n":[{"numeric":[">",4]}]}}'}, [6, 5]),
        ({"pattern": '{"detail":{"n":[2]}}', "bus": "default"}, [2]),
        ({"since": at[5]}, [6, 5]),
        ({"before": at[2]}, [1, 0]),
        ({"since": at[2], "before": at[4]}, [3, 2]),
    ):
        events = (await desk.ask("/events", ANN, **query)).read(EventList).events
        assert [ids.index(each.id) for each in events] == found, query


async def test_why_and_why_not(desk: Desk) -> None:
    hook = await desk.webhook(ANN, "hook")
    await desk.rule(ANN, "default", "near", {"source": ["own"], "detail": {"status": ["paid"]}}, hook)
    await desk.rule(ANN, "default", "far", {"source": ["else"], "detail": {"status": ["lost"]}}, hook)
    event_id = await desk.put_own(ANN, {"status": "Paid"})
    nearest = (await desk.ask(f"/events/{event_id}/rules", ANN)).read(Nearest)
    assert [(each.rule, each.matches, each.failing) for each in nearest.verdicts] == [
        ("near", False, 1),
        ("far", False, 2),
    ]
    miss = nearest.verdicts[0].miss
    assert miss is not None
    assert miss.path == "detail.status"
    assert miss.hints
    why = (await desk.ask(f"/events/{event_id}/why", ANN, rule="far")).read(Why)
    assert why.explanation is not None
    assert (why.explanation.matched, why.explanation.conjunctions[0].failing) == (False, 2)
    typed = {"pattern": '{"detail":{"status":[{"equals-ignore-case":"paid"}]}}'}
    why = (await desk.ask(f"/events/{event_id}/why", ANN, method="POST", body=typed)).read(Why)
    assert why.explanation is not None
    assert why.explanation.matched
    await _run(desk.client(ANN).disable_rule, Name="near")
    why = (await desk.ask(f"/events/{event_id}/why", ANN, rule="near")).read(Why)
    assert why.verdict is not None
    assert why.verdict.blocked == DISABLED
    assert (await desk.ask(f"/events/{event_id}/why", ANN, rule="none")).status == 404
    broken = await desk.ask(f"/events/{event_id}/why", ANN, method="POST", body={"pattern": "{"})
    assert broken.status == 400
