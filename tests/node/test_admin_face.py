"""The admin face on a folder of its own: deliveries, dead letters, ledgers, and what it refuses."""

from datetime import timedelta

import msgspec
import pytest

from partnerbus.api.admin.viewer import OPERATOR
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.model.delivery import (
    Attempt,
    DeliveryState,
    NewDelivery,
    NewRecord,
    Settlement,
)
from partnerbus.model.event import Event
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.resources import EventBus, Rule, RuleState, Target
from partnerbus.node.folder import DataFolder, opened
from partnerbus.store.protocol import LIVE
from tests.node.faces import admin_face

ACCOUNT, REGION, BUS, LOG = "111122223333", "us-east-1", "orders", "log-of-orders"
LANE = "arn:aws:sqs:us-east-1:111122223333:queue"
LEASE = timedelta(seconds=60)


class Desk:
    """The admin face, and ways to make what it shows."""

    def __init__(self, found, clock):
        self.found = found
        self.store, self.catalog, self.clock = found.store, found.catalog, clock
        self.face = admin_face(found, clock)

    async def ask(self, method, path, body=None, **query):
        asked = {name: str(value) for name, value in query.items()}
        answer = await self.face.answer(OPERATOR, method, path, asked, msgspec.json.encode(body or {}))
        return answer.status, msgspec.json.decode(answer.body)

    async def ok(self, method, path, body=None, **query):
        status, view = await self.ask(method, path, body, **query)
        assert status == 200, view
        return view

    async def prepare(self):
        now = self.clock.now()
        await self.catalog.create(
            EventBus(account=ACCOUNT, region=REGION, name=BUS, log=LOG, created_at=now, modified_at=now)
        )
        targets = [Target(id=name, arn=LANE, subscription=f"sub-{name}", since=0) for name in ("one", "two")]
        await self.catalog.create(
            Rule(
                account=ACCOUNT,
                region=REGION,
                bus=BUS,
                name="closed",
                state=RuleState.ENABLED,
                created_by=ACCOUNT,
                created_at=now,
                pattern='{"source":["shop"]}',
                targets=tuple(targets),
            )
        )

    async def bury(self, number, subscription, log=LOG):
        """Append an event that is owed to a subscription, and let it die at the first attempt."""
        event = Event(
            id=f"event-{number}",
            detail_type="order",
            source="shop",
            account=ACCOUNT,
            time="2026-01-01T00:00:00Z",
            region=REGION,
            detail=b'{"number":%d}' % number,
        )
        dedup_id = f"{log}{number}".encode().ljust(16, b"-")[:16]
        (record,) = await self.store.append([NewRecord(log=log, dedup_id=dedup_id, event=event)])
        owed = NewDelivery(subscription=subscription, lane=LANE, position=record.position, claimed=True)
        (claim,) = await self.store.advance(log, LIVE, record.position, owed=[owed], unmatched=0, lease=LEASE)
        reply = Reply(error=ErrorCode.NO_PERMISSIONS, message="Forbidden", status=403, body_head="go away")
        attempt = Attempt(number=1, started_at=self.clock.now(), seconds=0.25, reply=reply)
        dead = Settlement(state=DeliveryState.DEAD, attempt=attempt, error=reply.error, message="Forbidden")
        assert await self.store.settle(claim, dead)
        return claim.delivery_id


@pytest.fixture
async def desk(tmp_path):
    clock = ManualClock()
    async with opened(DataFolder(tmp_path / "data"), clock, Failpoints()) as found:
        desk = Desk(found, clock)
        await desk.prepare()
        yield desk


async def test_a_dead_letter_says_whose_it_is_and_why_it_died(desk):
    made = await desk.bury(1, "sub-one")
    (listed,) = (await desk.ok("GET", "/dead-letters"))["deliveries"]
    assert (listed["account"], listed["bus"], listed["rule"], listed["target"]) == (
        ACCOUNT,
        BUS,
        "closed",
        "one",
    )
    assert (listed["id"], listed["state"], listed["error"]) == (made, "dead", "NO_PERMISSIONS")
    shown = await desk.ok("GET", f"/dead-letters/{made}")
    assert shown["event"]["detail"] == {"number": 1}
    (attempt,) = shown["attempts"]
    assert (attempt["number"], attempt["reply"]["status"]) == (1, 403)
    assert attempt["reply"]["body_head"] == "go away"


async def test_a_list_comes_in_pages_the_newest_first(desk):
    made = [await desk.bury(number, "sub-one") for number in range(5)]
    first = await desk.ok("GET", "/dead-letters", limit=2)
    second = await desk.ok("GET", "/dead-letters", limit=2, after=first["next"])
    third = await desk.ok("GET", "/dead-letters", limit=2, after=second["next"])
    pages = [each["id"] for page in (first, second, third) for each in page["deliveries"]]
    assert pages == made[::-1]
    assert third["next"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, {1, 2, 3}),
        ({"account": ACCOUNT}, {1, 2}),
        ({"account": "999999999999"}, set()),
        ({"bus": BUS}, {1, 2}),
        ({"bus": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{BUS}"}, {1, 2}),
        ({"region": "eu-west-1"}, set()),
        ({"rule": "closed"}, {1, 2}),
        ({"rule": "open"}, set()),
        ({"target": "one"}, {1}),
        ({"target": LANE}, {1, 2}),
        ({"rule": "closed", "target": "two", "bus": BUS}, {2}),
        ({"error": "NO_PERMISSIONS"}, {1, 2, 3}),
        ({"error": "TIMEOUT"}, set()),
        ({"source": "shop", "bus": BUS}, {1, 2}),
        ({"source": "other"}, set()),
        ({"detail_type": "order", "error": "NO_PERMISSIONS", "target": "one"}, {1}),
        ({"detail_type": "Order"}, set()),
    ],
)
async def test_filters_pick_dead_letters_to_list_and_to_redrive(desk, query, found):
    await desk.bury(1, "sub-one")
    await desk.bury(2, "sub-two")
    await desk.bury(3, "sub-gone", log="log-of-a-deleted-bus")
    listed = (await desk.ok("GET", "/dead-letters", **query))["deliveries"]
    assert {int(each["event_id"].removeprefix("event-")) for each in listed} == found
    done = await desk.ok("POST", "/dead-letters/redrive", {"every": True, **query})
    assert done["redriven"] == len(found)
    assert len((await desk.ok("GET", "/dead-letters"))["deliveries"]) == 3 - len(found)


async def test_a_redriven_dead_letter_is_owed_again(desk):
    one, two = await desk.bury(1, "sub-one"), await desk.bury(2, "sub-two")
    assert (await desk.ok("POST", "/dead-letters/redrive", {"ids": [one]}))["redriven"] == 1
    assert (await desk.ok("POST", "/dead-letters/redrive", {"ids": [one]}))["redriven"] == 0
    (owed,) = (await desk.ok("GET", "/deliveries", state="owed"))["deliveries"]
    assert (owed["id"], owed["redriven"]) == (one, 1)
    assert [each["id"] for each in (await desk.ok("GET", "/dead-letters"))["deliveries"]] == [two]


async def test_more_dead_letters_than_a_page_are_redriven_together(desk, monkeypatch):
    monkeypatch.setattr("partnerbus.api.admin.redriving.PAGE", 3)
    for number in range(10):
        await desk.bury(number, "sub-one")
    assert (await desk.ok("POST", "/dead-letters/redrive", {"every": True}))["redriven"] == 10
    assert (await desk.ok("GET", "/dead-letters"))["deliveries"] == []


async def test_ledgers_name_their_bus(desk):
    await desk.bury(1, "sub-one")
    await desk.bury(2, "sub-two", log=f"default:{ACCOUNT}:{REGION}")
    every = (await desk.ok("GET", "/ledgers"))["ledgers"]
    assert {each["bus"].rpartition("/")[2] for each in every} == {BUS, "default"}
    (orders,) = (await desk.ok("GET", "/ledgers", bus=BUS))["ledgers"]
    assert (
        orders["ledger"] | {"log": LOG, "accepted": 1, "matched": 1, "owed": 1, "dead": 1} == orders["ledger"]
    )
    assert await desk.ok("GET", f"/ledgers/{LOG}") == orders


async def test_status_counts(desk):
    await desk.bury(1, "sub-one")
    status = await desk.ok("GET", "/status")
    assert (status["server"], status["buses"], status["rules"]) == (None, 1, 1)
    assert (status["accepted"], status["dead"], status["pending"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("method", "path", "body", "query", "status", "sentence"),
    [
        ("GET", "/nothing", {}, {}, 404, "there is no /nothing"),
        ("PUT", "/accounts", {}, {}, 405, "does not take PUT"),
        ("GET", "/accounts//keys", {}, {}, 404, "there is no"),
        ("POST", "/accounts", {"id": 5}, {}, 400, "Expected `str`"),
        ("POST", "/accounts", {"id": "111122223333", "admin": True}, {}, 400, "admin"),
        ("DELETE", "/accounts/123456789012", {}, {}, 404, "there is no account"),
        ("GET", "/dead-letters", {}, {"limit": "0"}, 400, "limit"),
        ("GET", "/dead-letters", {}, {"limit": "many"}, 400, "limit"),
        ("GET", "/dead-letters", {}, {"colour": "red"}, 400, "colour"),
        ("GET", "/dead-letters", {}, {"after": "here"}, 400, "no delivery id"),
        ("GET", "/deliveries", {}, {"state": "lost"}, 400, "a state is one of"),
        ("GET", "/dead-letters/sub-1", {}, {}, 404, "there is no delivery"),
        ("POST", "/dead-letters/redrive", {}, {}, 400, "either ids, or every"),
        ("POST", "/dead-letters/redrive", {"ids": ["x"]}, {}, 400, "no delivery id"),
        ("POST", "/dead-letters/redrive", {"every": True, "rate": 0}, {}, 400, "rate"),
        ("POST", "/dead-letters/redrive", {"every": True, "before": "2026-01-01"}, {}, 400, "before"),
        (
            "POST",
            "/dead-letters/redrive",
            {"every": True, "before": "2026-01-01T00:00:00"},
            {},
            400,
            "before",
        ),
        ("POST", "/dead-letters/redrive", {"every": True, "to_rule": "r"}, {}, 400, "to_rule goes with to"),
        ("GET", "/ledgers/none", {}, {}, 404, "there is no log"),
        ("POST", "/clock/advance", {"seconds": 1}, {}, 409, "no server runs"),
    ],
)
async def test_a_refusal_is_a_sentence(desk, method, path, body, query, status, sentence):
    found, view = await desk.ask(method, path, body, **query)
    assert found == status
    assert sentence in view["error"]


async def test_a_body_that_is_no_json_is_refused(desk):
    answer = await desk.face.answer(OPERATOR, "POST", "/accounts", {}, b"{")
    assert answer.status == 400
