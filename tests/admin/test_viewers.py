"""Accounts never see each other: the table of routes is walked as every account but the one it is about."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from partnerbus.api.admin.bus_logs import BusLogRecords
from partnerbus.api.admin.face import ROUTES
from partnerbus.api.admin.request import AnyRoute, Route
from partnerbus.api.admin.sight import ViewRoute
from partnerbus.api.admin.viewer import Viewer
from partnerbus.model.bus_log import BusLogType
from partnerbus.model.resources import FailingTarget
from partnerbus.testing.receiver import Respond
from tests.admin.world import ACME, ANN, BOB, ORDERS, OTHER, SECRET, Desk, _run

MARK = "confidential"
"""Stands in everything of Ann's that has a text: names, details, answers of targets."""

EVERYTHING: Any = {"Level": "TRACE", "IncludeDetail": "FULL"}
"""What a bus is told to write of its events."""

VIEWS = [route for route in ROUTES if isinstance(route, ViewRoute)]

OF_EVENTS = {BusLogType.EVENT_RECEIPT, BusLogType.EVENT_INGEST_SUCCESS, BusLogType.RULE_MATCH_START}

ANY: Mapping[str, Any] = {"account": ANN, "region": "us-east-1"}
BODIES: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("POST", "/backtests"): {"archive": f"{MARK}-archive", "pattern": '{"account":[{"exists":true}]}'},
    ("POST", "/dead-letters/redrive"): {"every": True, "rule": f"{MARK}-rule"},
    ("POST", "/events/{id}/why"): {"pattern": '{"source":["x"]}'},
    ("POST", "/patterns/explain"): {"pattern": '{"source":["x"]}', "event": "{}"},
    ("POST", "/sources/share"): {"source": ORDERS, "errors": True},
    ("POST", "/webhooks"): {"account": ANN, "name": "theirs", "url": "https://example.com/", "region": "r"},
    ("POST", "/webhooks/{name}/rotate"): {"account": ANN},
}
"""What is sent to routes that take a body, and asks for something of Ann's."""


async def furnish(desk: Desk) -> Mapping[str, str]:
    """Let Ann have something of everything; give what routes call by name."""
    await desk.offer(ORDERS, ANN)
    bus = f"arn:aws:events:us-east-1:{ANN}:event-bus/{ORDERS}"
    await _run(desk.client(ANN).create_archive, ArchiveName=f"{MARK}-archive", EventSourceArn=bus)
    await _run(desk.client(ANN).update_event_bus, Name=ORDERS, LogConfig=EVERYTHING)
    hook = await desk.webhook(ANN, f"{MARK}-hook")
    await desk.rule(ANN, ORDERS, f"{MARK}-rule", {"source": [ORDERS]}, hook)
    desk.receiver.script(f"/{MARK}-hook", Respond(status=400, body=MARK.encode()))
    event_id = await desk.put(ORDERS, {"text": MARK})
    await _run(
        desk.client(ANN).start_replay,
        ReplayName=f"{MARK}-replay",
        EventSourceArn=f"arn:aws:events:us-east-1:{ANN}:archive/{MARK}-archive",
        EventStartTime=datetime(2000, 1, 1, tzinfo=UTC),
        EventEndTime=datetime(2000, 1, 2, tzinfo=UTC),
        Destination={"Arn": bus},
    )
    failing = FailingTarget(
        account=ANN,
        region="us-east-1",
        arn=hook,
        rule_arn=f"{MARK}-rule",
        since=desk.clock.now(),
        failures=10,
        error="TIMEOUT",
        message=MARK,
    )
    await desk.node._inside().found.catalog.create(failing)
    letters = json.loads((await desk.ask("/dead-letters", ANN)).body)["deliveries"]
    ledgers = json.loads((await desk.ask("/ledgers", ANN)).body)["ledgers"]
    return {
        "event": event_id,
        "delivery": letters[0]["id"],
        "log": ledgers[0]["log"],
        "bus": bus,
        "hook": hook,
    }


def path_of(route: AnyRoute, has: Mapping[str, str]) -> str:
    what = "event" if route.path.startswith("/events") else "delivery"
    hook = has["hook"].rpartition(":")[2]
    return route.path.replace("{id}", has[what]).replace("{log}", has["log"]).replace("{name}", hook)


def query_of(route: AnyRoute, has: Mapping[str, str]) -> dict[str, str]:
    """The values of Ann's that a route may be asked for."""
    wanted = {"account": ANN, "bus": has["bus"], "rule": f"{MARK}-rule"} | {
        name: f"arn:aws:events:us-east-1:{ANN}:{name}/{MARK}-{name}" for name in ("archive", "replay")
    }
    names = route.query.__struct_fields__ if route.query is not None else ()
    asked = {name: value for name, value in wanted.items() if name in names}
    return asked | ({"wait_seconds": "0"} if "wait_seconds" in names else {})


@pytest.mark.parametrize("account", [BOB, OTHER])
async def test_no_route_shows_anything_of_another_account(desk: Desk, account: str) -> None:
    has = await furnish(desk)
    shown_to_ann = 0
    for route in VIEWS:
        body = BODIES.get((route.method, route.path))
        assert (body is None) == (route.body is None), f"{route.path} lacks a sample of its body"
        for query in ({}, query_of(route, has)):
            path = path_of(route, has)
            answer = await desk.ask(path, account, method=route.method, body=body, **query)
            assert answer.status in (200, 400, 404), (route.path, answer.body)
            for text in (MARK.encode(), ANN.encode(), has["log"].encode()):
                assert text not in _without(answer.body, path, query, body), (route.path, query, answer.body)
        if route.method == "GET":
            own = await desk.ask(path_of(route, has), ANN, method=route.method, **query_of(route, has))
            shown_to_ann += MARK.encode() in own.body
    assert shown_to_ann >= 10, "the walk has looked at hardly anything"
    letters = json.loads((await desk.ask("/dead-letters", ANN)).body)["deliveries"]
    assert len(letters) == 1, "somebody else has redriven it"
    hooks = json.loads((await desk.ask("/webhooks", ANN)).body)["webhooks"]
    assert [(each["arn"], len(each["secrets"])) for each in hooks] == [(has["hook"], 1)]


async def test_who_only_looks_sees_all_of_it_and_changes_nothing(desk: Desk) -> None:
    has = await furnish(desk)
    face = desk.node._inside().admin
    looking = Viewer(account=ANN, only_looks=True)
    for route in ROUTES:
        path, body = path_of(route, has), json.dumps(BODIES.get((route.method, route.path), {})).encode()
        own = await face.answer(Viewer(account=ANN), "GET", path, {}, b"") if route.method == "GET" else None
        seen = await face.answer(looking, route.method, path, {}, body)
        if own is not None:
            assert seen.status == own.status, route.path
        elif route.changes:
            assert (seen.status, b"changes nothing" in seen.body) == (403, True), route.path
    assert {route.path for route in ROUTES if route.asks} == {
        "/backtests",
        "/events/{id}/why",
        "/patterns/explain",
    }


async def test_a_partner_sees_states_and_counts_of_its_customer_and_no_more(desk: Desk) -> None:
    has = await furnish(desk)
    for route in VIEWS:
        if (route.method, route.path) == ("GET", "/events/{id}/trace"):
            continue
        body = BODIES.get((route.method, route.path))
        for query in ({}, query_of(route, has)):
            path = path_of(route, has)
            answer = await desk.ask(path, ACME, method=route.method, body=body, **query)
            assert MARK.encode() not in _without(answer.body, path, query, body), (route.path, answer.body)
    trace = json.loads((await desk.ask(f"/events/{has['event']}/trace", ACME)).body)
    assert trace["states"] == {"dead": 1}
    assert trace["event"].pop("detail") == {"text": MARK}  # which it has put itself
    assert (trace["errors"], trace["deliveries"], trace["verdicts"]) == ([], [], [])
    assert MARK not in json.dumps(trace)
    assert has["log"] not in json.dumps(trace)
    sharing = {"source": ORDERS, "errors": True}
    assert (await desk.ask("/sources/share", ANN, method="POST", body=sharing)).status == 200
    trace = json.loads((await desk.ask(f"/events/{has['event']}/trace", ACME)).body)
    assert trace["errors"] == ["ERROR_FROM_TARGET: The webhook answered with HTTP status 400."]
    assert (await desk.ask(f"/events/{has['event']}/trace", OTHER)).status == 404


@pytest.mark.parametrize("account", [ANN, ACME])
async def test_the_operator_s_routes_are_the_operator_s(desk: Desk, account: str) -> None:
    for route in ROUTES:
        if isinstance(route, Route):
            path = "/".join("x" if part.startswith("{") else part for part in route.path.split("/"))
            answer = await desk.ask(path, account, method=route.method)
            assert answer.status == 403, route.path
            assert "only the operator" in answer.error


async def test_a_rule_on_the_bus_of_another_is_its_maker_s(desk: Desk) -> None:
    """Bob's rule on Ann's bus: the deliveries are his, and she does not see them."""
    ann, bob = desk.client(ANN), desk.client(BOB)
    made = await _run(ann.create_event_bus, Name="shared", LogConfig=EVERYTHING)
    statement = {
        "Sid": "rules",
        "Effect": "Allow",
        "Principal": {"AWS": BOB},
        "Action": ["events:PutRule", "events:PutTargets", "events:RemoveTargets", "events:DeleteRule"],
        "Resource": f"arn:aws:events:us-east-1:{ANN}:rule/shared/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    await _run(ann.put_permission, EventBusName="shared", Policy=policy)
    hook = await desk.webhook(BOB, f"{MARK}-of-bob")
    bus = made["EventBusArn"]
    await _run(bob.put_rule, Name="bobs", EventBusName=bus, EventPattern='{"source":["own"]}')
    targets: Any = [{"Id": "1", "Arn": hook}]
    answer = await _run(bob.put_targets, Rule="bobs", EventBusName=bus, Targets=targets)
    assert answer["FailedEntryCount"] == 0, answer
    entry: Any = {"Source": "own", "DetailType": "t", "Detail": "{}", "EventBusName": "shared"}
    event_id = (await _run(ann.put_events, Entries=[entry]))["Entries"][0]["EventId"]
    await desk.node.idle()
    for path in ("/deliveries", "/health/rules", "/health/targets", f"/events/{event_id}/trace"):
        assert MARK.encode() not in (await desk.ask(path, ANN)).body, path
    theirs = json.loads((await desk.ask("/deliveries", BOB)).body)["deliveries"]
    assert [(each["rule"], each["event_id"]) for each in theirs] == [("bobs", event_id)]
    assert (await desk.ask(f"/events/{event_id}", BOB)).status == 404
    for viewer, kinds in ((ANN, OF_EVENTS), (BOB, set())):
        lines = (await desk.ask("/bus-logs", viewer)).read(BusLogRecords).records
        assert {line.message_type for line in lines} == kinds
    written = (await desk.ask("/bus-logs")).read(BusLogRecords).records
    assert BusLogType.INVOCATION_SUCCESS in {line.message_type for line in written}
    await _run(bob.remove_targets, Rule="bobs", EventBusName=bus, Ids=["1"])
    await _run(bob.delete_rule, Name="bobs", EventBusName=bus)
    left = (await desk.ask("/bus-logs", ANN)).read(BusLogRecords).records
    assert {line.message_type for line in left} == OF_EVENTS
    await desk.advance(timedelta(seconds=1))
    await desk.rule(ANN, "shared", "bobs", {"source": ["own"]})
    left = (await desk.ask("/bus-logs", ANN)).read(BusLogRecords).records
    assert {line.message_type for line in left} == OF_EVENTS


async def test_who_gets_the_number_of_a_deleted_account_sees_nothing_of_it(desk: Desk) -> None:
    """Events of a default bus outlive its account: it is named after the account's number."""
    bob, name = desk.client(BOB), f"{MARK}-rule"
    await _run(bob.update_event_bus, LogConfig=EVERYTHING)
    desk.receiver.script("/hook", Respond(status=400, body=MARK.encode()))
    await desk.rule(BOB, "default", name, {"source": [MARK]}, await desk.webhook(BOB, "hook"))
    event_id = await desk.put_own(BOB, {"text": MARK}, source=MARK)
    log = f"default:{BOB}:us-east-1"
    start = base64.urlsafe_b64encode(json.dumps({log: 0}).encode()).decode()
    paths: Mapping[str, Mapping[str, Any]] = {
        "/events": {},
        f"/events/{event_id}": {},
        f"/events/{event_id}/trace": {},
        "/tail": {"after": start, "wait_seconds": 0},
        "/deliveries": {},
        "/dead-letters": {},
        "/bus-logs": {},
    }

    async def showing() -> set[str]:
        return {path for path in paths if MARK.encode() in (await desk.ask(path, BOB, **paths[path])).body}

    assert await showing() == set(paths)
    await _run(bob.remove_targets, Rule=name, Ids=["1"])
    await _run(bob.delete_rule, Name=name)
    await desk.ask("/webhooks/hook", BOB, method="DELETE")
    assert await showing() == set(paths)
    assert (await desk.ask(f"/accounts/{BOB}", method="DELETE")).status == 200
    await desk.advance(timedelta(seconds=1))
    keys = {"access_key_id": f"KEY{BOB}", "secret_access_key": SECRET.format(BOB)}
    assert (await desk.ask("/accounts", method="POST", body={"id": BOB} | keys)).status == 200
    assert await showing() == set()
    await desk.put_own(BOB, {"text": MARK})
    assert await showing() == {"/events", "/tail"}


def _without(body: bytes, path: str, query: Mapping[str, str], asked: Mapping[str, Any] | None) -> bytes:
    """What is answered, without what a refusal repeats of the question."""
    for text in (*query.values(), *map(str, (asked or {}).values()), path, *path.split("/")):
        if len(text) > 8:
            body = body.replace(text.encode(), b"")
    return body
