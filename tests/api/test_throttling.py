"""Token buckets: how many calls pass, who shares one, and what is remembered."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partnerbus.api.contract import load_contract
from partnerbus.api.throttling import GROUPS, Group, Throttle, rate_of
from partnerbus.kernel.clock import ManualClock
from partnerbus.model.quotas import Quotas

ACCOUNT, OTHER, REGION = "111122223333", "444455556666", "us-east-1"
SLOW = Quotas(
    put_events_rate=7,
    put_partner_events_rate=2,
    put_partner_events_burst=5,
    control_plane_rate=3,
    endpoint_changes_rate=1,
)


class Jumping:
    """A clock that a test sets, also back."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


def passed(
    throttle: Throttle, operation: str, calls: int, account: str = ACCOUNT, region: str = REGION
) -> int:
    return sum(throttle.admits(account, region, operation) for _ in range(calls))


def test_the_documented_rates() -> None:
    rates = {group: (rate_of(group, Quotas()).rate, rate_of(group, Quotas()).burst) for group in Group}
    assert rates == {
        Group.PUT_EVENTS: (10_000, 10_000),
        Group.PUT_PARTNER_EVENTS: (1_400, 3_600),
        Group.CREATE_ENDPOINT: (5, 5),
        Group.UPDATE_ENDPOINT: (5, 5),
        Group.DELETE_ENDPOINT: (5, 5),
        Group.CONTROL: (50, 50),
    }


def test_every_operation_has_a_bucket() -> None:
    assert set(GROUPS) < set(load_contract())


@pytest.mark.parametrize(
    ("operation", "burst", "rate"),
    [("PutPartnerEvents", 5, 2), ("PutEvents", 7, 7), ("ListRules", 3, 3), ("CreateEndpoint", 1, 1)],
)
async def test_a_burst_passes_and_then_the_rate(operation: str, burst: int, rate: int) -> None:
    clock = ManualClock()
    throttle = Throttle(clock, lambda _: SLOW)
    assert passed(throttle, operation, 20) == burst
    await clock.advance(timedelta(seconds=1 / rate) - timedelta(microseconds=10))
    assert passed(throttle, operation, 1) == 0
    await clock.advance(timedelta(microseconds=11))
    assert passed(throttle, operation, 5) == 1
    await clock.advance(timedelta(seconds=1))
    assert passed(throttle, operation, 20) == rate
    await clock.advance(timedelta(days=1))
    assert passed(throttle, operation, 20) == burst


def test_what_is_shared_and_what_is_not() -> None:
    throttle = Throttle(ManualClock(), lambda _: SLOW)
    assert passed(throttle, "ListRules", 9) == 3
    assert passed(throttle, "PutRule", 9) == 0
    assert passed(throttle, "PutEvents", 9) == 7
    assert passed(throttle, "CreateEndpoint", 9) == passed(throttle, "DeleteEndpoint", 9) == 1
    assert passed(throttle, "PutRule", 9, account=OTHER) == 3
    assert passed(throttle, "PutRule", 9, region="us-west-2") == 3


def test_a_clock_that_is_put_back_locks_nobody_out() -> None:
    clock = Jumping()
    throttle = Throttle(clock, lambda _: SLOW)  # type: ignore[arg-type]
    assert passed(throttle, "PutEvents", 9) == 7
    clock.at -= timedelta(days=30)
    assert passed(throttle, "PutEvents", 9) == 0
    clock.at += timedelta(seconds=1)
    assert passed(throttle, "PutEvents", 9) == 7


def test_a_changed_rate_counts_from_the_next_call() -> None:
    clock = Jumping()
    now = SLOW
    throttle = Throttle(clock, lambda _: now)  # type: ignore[arg-type]
    assert passed(throttle, "CreateEndpoint", 9) == 1
    now = Quotas(endpoint_changes_rate=100)
    clock.at += timedelta(seconds=0.5)
    assert passed(throttle, "CreateEndpoint", 99) == 50


@given(
    rate=st.integers(1, 2_000),
    burst=st.integers(1, 4_000),
    steps=st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(1, 30)), min_size=1, max_size=20),
)
def test_it_agrees_with_a_bucket_that_counts(rate: int, burst: int, steps: list[tuple[int, int]]) -> None:
    quotas = Quotas(put_partner_events_rate=rate, put_partner_events_burst=burst)
    clock = Jumping()
    throttle = Throttle(clock, lambda _: quotas)  # type: ignore[arg-type]
    tokens = burst * 1_000_000  # millionths, so that the sums are exact
    for pause, calls in steps:
        clock.at += timedelta(microseconds=pause)
        tokens = min(burst * 1_000_000, tokens + pause * rate)
        for _ in range(calls):
            admitted = throttle.admits(ACCOUNT, REGION, "PutPartnerEvents")
            if abs(tokens - 1_000_000) > 10 * rate:  # within ten microseconds of the instant both are right
                assert admitted is (tokens > 1_000_000)
            tokens -= 1_000_000 * admitted


async def test_full_buckets_are_forgotten() -> None:
    clock = ManualClock()
    throttle = Throttle(clock, lambda _: Quotas())
    for number in range(5_000):
        throttle.admits(f"{number:012}", REGION, "PutEvents")
        throttle.admits(ACCOUNT, f"us-east-{number}", "ListRules")
        await clock.advance(timedelta(milliseconds=1))
    # What 25 ms brought is not full yet, one of a control plane's tokens; the rest is gone.
    assert len(throttle) < 200
    await clock.advance(timedelta(seconds=1))
    for number in range(200):
        throttle.admits(OTHER, f"us-west-{number}", "PutEvents")
        await clock.advance(timedelta(milliseconds=1))
    assert len(throttle) <= 2


def test_a_bucket_in_use_is_not_forgotten_for_new_ones() -> None:
    throttle = Throttle(ManualClock(), lambda _: SLOW)
    assert passed(throttle, "PutRule", 9) == 3
    for number in range(1_000):
        throttle.admits(f"{number:012}", REGION, "PutRule")
    assert passed(throttle, "PutRule", 9) == 0
