"""Redriving over the admin face: at a rate, to other targets, again after an interruption."""

from datetime import timedelta

import msgspec
import pytest

from partnerbus.api.admin import redriving
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.errors import StoreUnavailable
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.model.delivery import DeliveryState, Settlement
from partnerbus.model.resources import Rule, RuleState, Target
from partnerbus.node.folder import DataFolder, opened
from tests.node.faces import admin_face
from tests.node.test_admin_face import ACCOUNT, BUS, LANE, REGION, Desk

SECOND = timedelta(seconds=1)
REDRIVE = ("POST", "/dead-letters/redrive")
OTHER = "444455556666"


@pytest.fixture
async def desk(tmp_path):
    clock = ManualClock()
    async with opened(DataFolder(tmp_path / "data"), clock, Failpoints()) as found:
        desk = Desk(found, clock)
        await desk.prepare()
        yield desk


async def rule(desk, name, *targets, account=ACCOUNT, bus=BUS):
    """A rule with targets by id; each has a subscription of the same name."""
    made = Rule(
        account=account,
        region=REGION,
        bus=bus,
        name=name,
        state=RuleState.ENABLED,
        created_by=account,
        created_at=desk.clock.now(),
        pattern='{"source":["shop"]}',
        targets=tuple(
            Target(id=each, arn=f"{LANE}-{each}", subscription=f"sub-{each}", since=0) for each in targets
        ),
    )
    await desk.catalog.create(made)
    return made


async def states(desk):
    """Deliveries by subscription and event number."""
    found = (await desk.ok("GET", "/deliveries"))["deliveries"]
    return {
        (each["id"].rpartition("-")[0], int(each["event_id"].removeprefix("event-"))): each["state"]
        for each in found
    }


# -- at a rate ---------------------------------------------------------------------------------------------


async def test_at_a_rate_they_fall_due_one_after_the_other(desk, monkeypatch):
    monkeypatch.setattr(redriving, "PAGE", 4)
    for number in range(10):
        await desk.bury(number, "sub-one")
    done = await desk.ok(*REDRIVE, {"every": True, "rate": 2})
    start = desk.clock.now()
    assert done["redriven"] == 10
    assert done["last_due_at"] == (start + 4.5 * SECOND).isoformat().replace("+00:00", "Z")
    found = (await desk.ok("GET", "/deliveries", state="owed"))["deliveries"]
    due = sorted(msgspec.convert(each["due_at"], type(start)) for each in found)
    assert due == [start + index * SECOND / 2 for index in range(10)]


async def test_in_steps_it_is_what_it_is_at_once(desk, monkeypatch):
    """Each step goes on behind the last one, and due after it; what dies meanwhile is left alone."""
    monkeypatch.setattr(redriving, "PAGE", 2)
    for number in range(7):
        await desk.bury(number, "sub-one")
    start, looked_at, due_from, wanted = desk.clock.now(), [], desk.clock.now(), {"every": True, "rate": 2}
    done = await desk.ok(*REDRIVE, wanted | {"limit": 3})
    looked_at.append(done["looked_at"])
    while done["next"] is not None:
        due_from = msgspec.convert(done["last_due_at"], type(start)) + SECOND / 2
        step = {"limit": 3, "after": done["next"], "before": done["before"], "due_from": due_from.isoformat()}
        done = await desk.ok(*REDRIVE, wanted | step)
        looked_at.append(done["looked_at"])
    assert looked_at == [4, 3, 0]  # whole pages, and the last one does not know that it is the last
    found = (await desk.ok("GET", "/deliveries", state="owed"))["deliveries"]
    due = sorted(msgspec.convert(each["due_at"], type(start)) for each in found)
    assert due == [start + index * SECOND / 2 for index in range(7)]


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"ids": ["sub-1"], "limit": 1}, "go with every"),
        ({"ids": ["sub-1"], "after": "sub-1"}, "go with every"),
        ({"every": True, "after": "nonsense"}, "nonsense"),
        ({"every": True, "due_from": "9999-12-31T23:59:59Z"}, "ten years"),
    ],
)
async def test_steps_that_make_no_sense_are_refused(desk, wanted, sentence):
    status, said = await desk.ask(*REDRIVE, wanted)
    assert status == 400
    assert sentence in said["error"]


async def test_without_a_rate_all_are_due_at_once(desk):
    await desk.bury(1, "sub-one")
    done = await desk.ok(*REDRIVE, {"every": True})
    assert (done["redriven"], done["last_due_at"]) == (1, done["before"])
    assert (await desk.ok(*REDRIVE, {"every": True}))["last_due_at"] is None


# -- again -------------------------------------------------------------------------------------------------


async def test_a_redrive_that_broke_off_is_repeated_and_redrives_nothing_twice(desk, monkeypatch):
    monkeypatch.setattr(redriving, "PAGE", 3)
    for number in range(8):
        await desk.bury(number, "sub-one")
    before = desk.clock.now().isoformat()
    store_redrive, calls = desk.store.redrive, 0

    async def break_off(ids, how):
        nonlocal calls
        calls += 1
        if calls == 2:
            raise StoreUnavailable
        return await store_redrive(ids, how)

    desk.face = admin_face(desk.found, desk.clock, redrive=break_off)
    status, _ = await desk.ask(*REDRIVE, {"every": True, "before": before})
    assert status == 503
    assert sum(state == "owed" for state in (await states(desk)).values()) == 3

    await desk.clock.advance(SECOND)
    for claim in (await desk.store.claim(LANE, 3, 60 * SECOND)).claims:  # these die again
        await desk.store.settle(claim, Settlement(state=DeliveryState.DEAD))
    desk.face = admin_face(desk.found, desk.clock)
    done = await desk.ok(*REDRIVE, {"every": True, "before": before})
    assert done["redriven"] == 5
    assert (await desk.ok(*REDRIVE, {"every": True, "before": before}))["redriven"] == 0
    assert sorted((await states(desk)).values()) == ["dead"] * 3 + ["owed"] * 5


# -- to others ---------------------------------------------------------------------------------------------


async def test_to_another_target_of_the_same_rule(desk):
    await desk.bury(1, "sub-one")
    assert (await desk.ok(*REDRIVE, {"every": True, "to": "two"}))["redriven"] == 1
    assert await states(desk) == {("sub-one", 1): "dropped", ("sub-two", 1): "owed"}
    assert (await desk.ok("GET", "/dead-letters"))["deliveries"] == []
    assert (await desk.ok(*REDRIVE, {"every": True, "to": "two"}))["redriven"] == 0


async def test_to_a_target_of_another_rule_of_the_account(desk):
    await rule(desk, "spare", "three", bus="default")
    one, two = await desk.bury(1, "sub-one"), await desk.bury(2, "sub-two")
    done = await desk.ok(*REDRIVE, {"ids": [one, two], "to": f"{LANE}-three", "rate": 1})
    assert done["redriven"] == 2
    (first, second) = (await desk.ok("GET", "/deliveries", state="owed"))["deliveries"]
    assert (first["rule"], first["target"], first["target_arn"]) == ("spare", "three", f"{LANE}-three")
    assert sorted([first["due_at"], second["due_at"]])[1] == done["last_due_at"]


async def test_a_dead_letter_whose_rule_is_gone_goes_to_its_account(desk):
    await rule(desk, "spare", "three")
    await desk.bury(1, "sub-gone")
    assert (await desk.ok(*REDRIVE, {"every": True, "to": "three"}))["redriven"] == 1
    assert (await states(desk))[("sub-three", 1)] == "owed"


async def test_an_arn_that_two_targets_of_the_rule_have_names_none_of_them(desk):
    await desk.bury(1, "sub-one")
    status, view = await desk.ask(*REDRIVE, {"every": True, "to": LANE})
    assert (status, view["error"]) == (400, f"2 targets are {LANE}; say its id, or the rule's name, too")


async def test_never_to_a_target_of_somebody_else(desk):
    await rule(desk, "theirs", "three", account=OTHER)
    made = await desk.bury(1, "sub-one")
    status, view = await desk.ask(*REDRIVE, {"every": True, "to": "three"})
    assert (status, view["error"]) == (404, f"the account of dead letter {made} has no target three")
    assert await states(desk) == {("sub-one", 1): "dead"}


async def test_which_rule_must_be_clear(desk):
    await rule(desk, "spare", "x1")
    twin = await rule(desk, "twin", "x2")
    await desk.catalog.replace(
        twin, msgspec.structs.replace(twin, targets=(msgspec.structs.replace(twin.targets[0], id="x1"),))
    )
    await desk.bury(1, "sub-one")
    status, view = await desk.ask(*REDRIVE, {"every": True, "to": "x1"})
    assert (status, view["error"]) == (400, "2 targets are x1; say its id, or the rule's name, too")
    assert (await desk.ok(*REDRIVE, {"every": True, "to": "x1", "to_rule": "twin"}))["redriven"] == 1
    assert (await states(desk))[("sub-x2", 1)] == "owed"


async def test_the_event_that_the_other_target_has_is_not_sent_twice(desk):
    await desk.bury(1, "sub-one")
    two = await desk.bury(2, "sub-two")
    assert (await desk.ok(*REDRIVE, {"every": True, "to": "two"}))["redriven"] == 2
    assert await states(desk) == {
        ("sub-one", 1): "dropped",
        ("sub-two", 1): "owed",
        ("sub-two", 2): "owed",
    }
    assert (await desk.ok("GET", f"/deliveries/{two}"))["redriven"] == 1
