"""Health per bus, rule, target and partner source, and who sees what of it."""

from datetime import timedelta

import pytest

from partnerbus.api.admin.health_views import (
    BusHealthList,
    Health,
    RuleHealthList,
    SourceHealthList,
    TargetHealthList,
)
from partnerbus.api.admin.sources import SharingView
from partnerbus.testing.receiver import Respond
from tests.admin.world import ACME, ANN, BOB, ORDERS, OTHER, REGION, TICKETS, Desk, _run

REFUSED = "The webhook answered with HTTP status 400."


async def make_trouble(desk: Desk) -> tuple[str, str]:
    """Three events of Ann's: delivered to one target; at the other dead, to be retried, and to be retried."""
    await desk.offer(ORDERS, ANN)
    good, bad = await desk.webhook(ANN, "good"), await desk.webhook(ANN, "bad")
    await desk.rule(ANN, ORDERS, "all", {"source": [ORDERS]}, good, bad)
    desk.receiver.script("/bad", Respond(status=400), Respond(status=503), Respond(status=503))
    await desk.put(ORDERS, {"n": 1})
    await desk.clock.advance(timedelta(seconds=1))
    for number in (2, 3):
        await desk.put(ORDERS, {"n": number})
    return good, bad


async def test_health_counts_by_bus_rule_and_target(desk: Desk) -> None:
    good, bad = await make_trouble(desk)
    (bus,) = (await desk.ask("/health/buses", ANN)).read(BusHealthList).buses
    counts = bus.counts
    assert (counts.accepted, counts.unmatched, counts.delivered) == (3, 0, 3)
    assert (counts.dead, counts.retrying, counts.pending, counts.lag_seconds) == (1, 2, 2, 0.0)
    assert counts.oldest_pending_seconds == 0.0
    (rule,) = (await desk.ask("/health/rules", ANN)).read(RuleHealthList).rules
    assert (rule.name, rule.owed.delivered, rule.owed.failed, rule.owed.retrying) == ("all", 3, 3, 2)
    targets = {each.arn: each for each in (await desk.ask("/health/targets")).read(TargetHealthList).targets}
    assert (targets[good].owed.delivered, targets[good].owed.failed) == (3, 0)
    assert (targets[bad].owed.delivered, targets[bad].owed.dead, targets[bad].owed.pending) == (0, 1, 2)
    assert targets[bad].owed.error == "ERROR_FROM_TARGET"
    health = (await desk.ask("/health", ANN)).read(Health)
    assert [(each.subject, each.account) for each in health.faults] == [(bad, ANN)]
    assert "Dead letters: 1." in health.faults[0].sentence
    assert health.counts == counts
    assert sum(each.delivered for each in health.minutes) == 3
    assert sum(each.failed for each in health.minutes) == 3
    assert len(health.minutes) == 60


async def test_minutes_are_forgotten_after_an_hour(desk: Desk) -> None:
    await make_trouble(desk)
    await desk.clock.advance(timedelta(minutes=61))
    minutes = (await desk.ask("/health", ANN)).read(Health).minutes
    assert sum(each.delivered for each in minutes[:-1]) == 0


async def test_health_comes_in_pages(desk: Desk) -> None:
    for number in range(5):
        await _run(desk.client(ANN).put_rule, Name=f"r{number}", EventPattern='{"source":["x"]}')
    first = (await desk.ask("/health/rules", ANN, limit=3)).read(RuleHealthList)
    assert first.next is not None
    second = (await desk.ask("/health/rules", ANN, limit=3, after=first.next)).read(RuleHealthList)
    assert [each.name for each in (*first.rules, *second.rules)] == ["r0", "r1", "r2", "r3", "r4"]
    assert second.next is None


async def test_a_target_of_two_accounts_is_two_and_on_one_page(desk: Desk) -> None:
    queue = f"arn:aws:events:{REGION}:{ANN}:event-bus/shared"
    for account in (ANN, BOB):
        role = f"arn:aws:iam::{account}:role/to-bus"
        await desk.rule(account, "default", "r", {"source": ["x"]}, queue, RoleArn=role)
    first = (await desk.ask("/health/targets", limit=1)).read(TargetHealthList)
    assert [(each.arn, each.account) for each in first.targets] == [(queue, ANN), (queue, BOB)]
    assert first.next is None
    (own,) = (await desk.ask("/health/targets", BOB)).read(TargetHealthList).targets
    assert (own.account, len(own.rules)) == (BOB, 1)


async def test_a_partner_sees_counts_always_and_errors_only_if_the_customer_shares_them(desk: Desk) -> None:
    await make_trouble(desk)
    (seen,) = (await desk.ask("/health/sources", ACME)).read(SourceHealthList).sources
    assert (seen.name, seen.account, seen.state, seen.shares_errors) == (ORDERS, ANN, "ACTIVE", False)
    assert seen.counts is not None
    assert (seen.counts.accepted, seen.counts.delivered, seen.counts.dead) == (3, 3, 1)
    assert seen.errors == []
    (own,) = (await desk.ask("/health/sources", ANN)).read(SourceHealthList).sources
    assert [each.message for each in own.errors] == ["The webhook answered with HTTP status 503."]
    for account in (ACME, BOB, OTHER):
        refused = await desk.ask(
            "/sources/share", account, method="POST", body={"source": ORDERS, "errors": True}
        )
        assert refused.status == 404
    answer = await desk.ask("/sources/share", ANN, method="POST", body={"source": ORDERS, "errors": True})
    assert answer.read(SharingView).shares_errors
    (seen,) = (await desk.ask("/health/sources", ACME)).read(SourceHealthList).sources
    assert (seen.shares_errors, len(seen.errors)) == (True, 1)
    for account in (BOB, OTHER):
        assert (await desk.ask("/health/sources", account)).read(SourceHealthList).sources == []
    assert (
        await desk.ask("/sources/share", ANN, method="POST", body={"source": ORDERS, "errors": False})
    ).status == 200
    (seen,) = (await desk.ask("/health/sources", ACME)).read(SourceHealthList).sources
    assert (seen.shares_errors, seen.errors) == (False, [])


async def test_a_source_that_is_offered_anew_shares_nothing(desk: Desk) -> None:
    await desk.offer(ORDERS, ANN)
    assert (
        await desk.ask("/sources/share", ANN, method="POST", body={"source": ORDERS, "errors": True})
    ).status == 200
    await _run(desk.client(ANN).delete_event_bus, Name=ORDERS)
    await _run(desk.client(ACME).delete_partner_event_source, Name=ORDERS, Account=ANN)
    await _run(desk.client(ACME).create_partner_event_source, Name=ORDERS, Account=ANN)
    (seen,) = (await desk.ask("/health/sources", ACME)).read(SourceHealthList).sources
    assert (seen.state, seen.shares_errors, seen.counts) == ("PENDING", False, None)


@pytest.mark.slow
async def test_a_source_about_to_go_is_a_fault_of_its_customer(desk: Desk) -> None:
    await _run(desk.client(ACME).create_partner_event_source, Name=TICKETS, Account=BOB)
    assert (await desk.ask("/health", BOB)).read(Health).faults == []
    await desk.advance(timedelta(days=12))
    (fault,) = (await desk.ask("/health", BOB)).read(Health).faults
    assert fault.subject.endswith(TICKETS)
    assert "2026-01-15" in fault.sentence
