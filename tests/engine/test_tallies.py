"""Counting attempts: by subscription, minute by minute, within bounds."""

from datetime import timedelta

import pytest

from partnerbus.engine import tallies as module
from partnerbus.engine.attempts import Ended
from partnerbus.engine.tallies import Tallies
from partnerbus.kernel.clock import ManualClock
from partnerbus.model.delivery import Claim, DeliveryState, Record, Settlement
from partnerbus.model.reply import ErrorCode
from partnerbus.testing.store_contract.world import make_event


def judge(tallies: Tallies, clock: ManualClock, state: DeliveryState, subscription: str = "sub") -> None:
    record = Record(log="log", position=1, stored_at=clock.now(), event=make_event(1))
    claim = Claim(
        subscription=subscription, lane="lane", record=record, attempt=1, token=1, owed_at=clock.now()
    )
    error = None if state is DeliveryState.DELIVERED else ErrorCode.TIMEOUT
    tallies.judged(claim, Ended(settlement=Settlement(state=state, error=error, message="late")))


async def test_the_ends_of_attempts_are_counted() -> None:
    clock = ManualClock()
    tallies = Tallies(clock)
    for state in (
        DeliveryState.OWED,
        DeliveryState.OWED,
        DeliveryState.DEAD,
        DeliveryState.DELIVERED,
        DeliveryState.CANCELLED,
    ):
        judge(tallies, clock, state)
        await clock.advance(timedelta(seconds=1))
    tally = tallies.of("sub")
    assert (tally.retried, tally.dead, tally.delivered, tally.cancelled) == (2, 1, 1, 1)
    assert (tally.error, tally.message) == ("TIMEOUT", "late")
    assert tally.failed_at == clock.now() - timedelta(seconds=3)
    assert tallies.of("another").delivered == 0
    (*_, minute) = tallies.minutes(["sub", "another"])
    assert (minute.delivered, minute.failed) == (1, 3)


async def test_a_minute_stands_in_its_place_for_an_hour() -> None:
    clock = ManualClock()
    tallies = Tallies(clock)
    judge(tallies, clock, DeliveryState.DELIVERED)
    begun = clock.now()
    for passed in range(61):
        counted = {each.at: each.delivered for each in tallies.minutes(["sub"]) if each.delivered}
        assert counted == ({begun: 1} if passed < 60 else {}), passed
        await clock.advance(timedelta(minutes=1))
    judge(tallies, clock, DeliveryState.DEAD)
    await clock.advance(timedelta(hours=5))
    assert not any(each.delivered or each.failed for each in tallies.minutes(["sub"]))


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SERIES_KEPT", 2)
    monkeypatch.setattr(module, "TALLIES_KEPT", 3)
    clock = ManualClock()
    tallies = Tallies(clock)
    for name in "abcd":
        judge(tallies, clock, DeliveryState.DELIVERED, name)
    assert [tallies.of(name).delivered for name in "abcd"] == [0, 1, 1, 1]
    assert sum(each.delivered for each in tallies.minutes("abcd")) == 2
