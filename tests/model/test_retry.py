"""When a delivery is tried again."""

import random as randoms
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.resources import RetryPolicy
from partnerbus.model.retry import BASE, CAP, MAX_AGE, MAX_RETRIES, GiveUp, Retry, backoff_bound, decide

START = datetime(2026, 1, 1, tzinfo=UTC)
BUSY = Reply(error=ErrorCode.ERROR_FROM_TARGET, retryable=True)
GONE = Reply(error=ErrorCode.NO_RESOURCE)


def asking(seconds: float, retryable: bool = True) -> Reply:
    return Reply(
        error=ErrorCode.THROTTLING, retryable=retryable, retry_after=timedelta(seconds=seconds), status=429
    )


def test_a_permanent_failure_is_not_tried_again():
    assert decide(RetryPolicy(), 1, START, GONE, START, lambda: 0.5) == GiveUp(None)


@pytest.mark.parametrize("attempt", [1, 2, 3, 10, 11, 40])
def test_the_wait_is_drawn_below_the_bound(attempt: int):
    bound = min(CAP, BASE * 2 ** (attempt - 1))
    assert backoff_bound(attempt) == bound
    assert decide(RetryPolicy(), attempt, START, BUSY, START, lambda: 0.0) == Retry(START)
    assert decide(RetryPolicy(), attempt, START, BUSY, START, lambda: 0.5) == Retry(START + bound / 2)


def test_the_bound_stays_at_the_cap_for_ever():
    assert backoff_bound(185) == backoff_bound(10_000_000) == CAP


@pytest.mark.parametrize(("max_retries", "last"), [(0, 1), (1, 2), (185, 186)])
def test_attempts_end_with_the_policy(max_retries: int, last: int):
    policy = RetryPolicy(max_retries=max_retries)
    if last > 1:
        assert isinstance(decide(policy, last - 1, START, BUSY, START, lambda: 0.0), Retry)
    assert decide(policy, last, START, BUSY, START, lambda: 0.0) == GiveUp(MAX_RETRIES)


def test_the_age_counts_from_when_it_was_stored():
    policy = RetryPolicy(max_age_seconds=60)
    late = START + timedelta(seconds=59)
    assert decide(policy, 1, START, BUSY, late, lambda: 0.5) == Retry(late + BASE / 2)
    assert decide(policy, 3, START, BUSY, late, lambda: 0.5) == GiveUp(MAX_AGE)


def test_retry_after_is_waited_for_if_longer():
    assert decide(RetryPolicy(), 1, START, asking(30), START, lambda: 0.9) == Retry(
        START + timedelta(seconds=30)
    )
    assert decide(RetryPolicy(), 9, START, asking(30), START, lambda: 0.5) == Retry(
        START + timedelta(seconds=128)
    )


def test_a_negative_retry_after_stops():
    assert decide(RetryPolicy(), 1, START, asking(-1), START, lambda: 0.0) == GiveUp(None)


@pytest.mark.parametrize(
    "asked", [timedelta.max, datetime.max.replace(tzinfo=UTC) - START + timedelta(hours=12)]
)
def test_a_retry_after_beyond_the_calendar(asked: timedelta):
    reply = Reply(error=ErrorCode.THROTTLING, retryable=True, retry_after=asked)
    assert decide(RetryPolicy(), 1, START, reply, START, lambda: 0.5) == GiveUp(MAX_AGE)


def test_a_retry_after_past_the_age_limit_gives_up_at_once():
    assert decide(RetryPolicy(), 1, START, asking(86_401), START, lambda: 0.0) == GiveUp(MAX_AGE)


policies = st.builds(RetryPolicy, max_retries=st.integers(0, 185), max_age_seconds=st.integers(60, 86_400))


@given(
    policy=policies,
    seed=st.integers(0, 2**32),
    call_seconds=st.floats(0, 5),
    wishes=st.lists(st.none() | st.integers(0, 4_000), max_size=5),
)
def test_no_life_breaks_the_policy(policy, seed, call_seconds, wishes):
    draw = randoms.Random(seed)
    now, attempt = START, 0
    while True:
        attempt += 1
        assert now <= START + timedelta(seconds=policy.max_age_seconds)
        now += timedelta(seconds=call_seconds)
        wish = wishes[attempt % len(wishes)] if wishes else None
        reply = BUSY if wish is None else asking(wish)
        decision = decide(policy, attempt, START, reply, now, draw.random)
        if isinstance(decision, GiveUp):
            break
        assert decision.at >= now + (reply.retry_after or timedelta(0))
        now = decision.at
    assert attempt <= policy.max_retries + 1
    assert decision.exhausted in (MAX_RETRIES, MAX_AGE)
    if decision.exhausted == MAX_RETRIES:
        assert attempt == policy.max_retries + 1


def test_all_retries_of_the_default_policy_take_fourteen_to_fifteen_hours_on_average():
    policy = RetryPolicy()
    expected = sum((backoff_bound(attempt) for attempt in range(1, policy.max_retries + 1)), timedelta(0)) / 2
    assert timedelta(hours=14.5) < expected < timedelta(hours=15) < timedelta(seconds=policy.max_age_seconds)
