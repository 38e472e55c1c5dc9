"""Ordering a rule's target over the admin face."""

import msgspec
import pytest

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.model.resources import Rule, RuleState, Target
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
        answer = await self.face.answer("POST", "/targets/order", {}, body)
        return answer.status, msgspec.json.decode(answer.body)

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
