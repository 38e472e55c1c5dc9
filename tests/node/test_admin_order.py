"""Ordering a rule's target over the admin face."""

import msgspec
import pytest

from partnerbus.api.admin.viewer import OPERATOR
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.model.resources import FailingTarget, Rule, RuleState, Target
from partnerbus.node.folder import DataFolder, opened
from tests.node.faces import admin_face

ACCOUNT, REGION = "111122223333", "us-east-1"
WANTED = {"rule": "r", "target": "1", "by": "$.detail.customer"}


class Desk:
    """The admin face, and rules for it."""

    def __init__(self, found, clock):
        self.catalog, self.clock = found.catalog, clock
        self.face = admin_face(found, clock)

    async def order(self, **members):
        body = msgspec.json.encode(WANTED | members)
        answer = await self.face.answer(OPERATOR, "POST", "/targets/order", {}, body)
        return answer.status, msgspec.json.decode(answer.body)

    async def ask(self, path, **query):
        answer = await self.face.answer(OPERATOR, "GET", path, query, b"")
        return answer.status, msgspec.json.decode(answer.body)

    async def listed(self, **query):
        status, found = await self.ask("/targets/ordered", **query)
        assert status == 200
        return found["targets"]

    async def rule(self, bus="default"):
        targets = tuple(Target(id=name, arn="arn", subscription=bus + name, since=0) for name in "12")
        made = Rule(
            account=ACCOUNT,
            region=REGION,
            bus=bus,
            name="r",
            state=RuleState.ENABLED,
            created_by=ACCOUNT,
            created_at=self.clock.now(),
            targets=targets,
        )
        await self.catalog.create(made)

    def ordered(self):
        return [target.ordered_by for rule in self.catalog.list(Rule, "rule:") for target in rule.targets]


@pytest.fixture
async def desk(tmp_path):
    clock = ManualClock()
    async with opened(DataFolder(tmp_path / "data"), clock, Failpoints()) as found:
        desk = Desk(found, clock)
        await desk.rule()
        yield desk


async def test_a_target_is_ordered_and_not_any_more(desk):
    arn = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/r"
    assert await desk.order() == (200, {"rule_arn": arn, "target": "1", "ordered_by": "$.detail.customer"})
    assert desk.ordered() == ["$.detail.customer", None]
    assert (await desk.order(by=None))[0] == 200
    assert desk.ordered() == [None, None]


async def test_which_rule_must_be_clear(desk):
    await desk.rule("orders")
    sentence = "there are 2 rules r; say whose, in which region, on which bus"
    assert await desk.order() == (400, {"error": sentence})
    assert (await desk.order(bus="orders"))[0] == 200
    assert desk.ordered() == [None, None, "$.detail.customer", None]


async def test_what_is_ordered_is_listed(desk):
    await desk.rule("orders")
    assert await desk.listed() == []
    await desk.order(bus="orders")
    arn = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/orders/r"
    ordered = {"rule_arn": arn, "target": "1", "ordered_by": "$.detail.customer"}
    assert await desk.listed() == await desk.listed(bus="orders") == [ordered]
    assert await desk.listed(bus="default") == await desk.listed(account="1") == []


async def test_a_failing_target_says_its_order(desk):
    await desk.order()
    now = desk.clock.now()
    arn = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/"
    for rule_arn, target in ((arn + "r", "arn"), (arn + "other", "arn"), (arn + "r", "else")):
        made = FailingTarget(
            account=ACCOUNT,
            region=REGION,
            arn=target,
            rule_arn=rule_arn,
            since=now,
            failures=10,
            error="TIMEOUT",
            message="late",
            told_at=now,
        )
        await desk.catalog.create(made)
        _, found = await desk.ask("/targets/failing")
        [by] = [each["ordered_by"] for each in found["targets"]]
        assert by == ("$.detail.customer" if (rule_arn, target) == (arn + "r", "arn") else None)
        await desk.catalog.remove(made)


@pytest.mark.parametrize(
    ("members", "status", "sentence"),
    [
        ({"by": "customer"}, 400, "'customer' is no path to one value"),
        ({"by": "$.detail.*"}, 400, "'$.detail.*' is no path to one value"),
        ({"rule": "x"}, 404, "there is no rule x with a target 1"),
        ({"target": "3"}, 404, "there is no rule r with a target 3"),
        ({"by": 5}, 400, "the body cannot be used"),
    ],
)
async def test_a_refusal_is_a_sentence_and_changes_nothing(desk, members, status, sentence):
    answer = await desk.order(**members)
    assert answer[0] == status
    assert answer[1]["error"].startswith(sentence)
    assert desk.ordered() == [None, None]
