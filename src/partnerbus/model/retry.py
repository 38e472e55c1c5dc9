"""When a delivery is tried again, and when it is given up.

The service tries for 24 hours or 185 retries with exponential backoff and jitter (documented); its base and
cap are not published. With the values below a retry waits half of its bound on average, so all 185 take
14.7 hours on average: under the default policy the number of retries runs out first, and the age limit
only when a target asks for longer waits (Retry-After) or this node was down.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec

from partnerbus.model.reply import Reply
from partnerbus.model.resources import RetryPolicy

BASE = timedelta(seconds=1)
"""The bound of the first wait (assumed); each later bound is twice the one before."""

CAP = timedelta(minutes=10)
"""The highest bound (assumed)."""

MAX_RETRIES = "MaximumRetryAttempts"
MAX_AGE = "MaximumEventAgeInSeconds"
"""What a dead letter says ran out (documented)."""


class Retry(msgspec.Struct, frozen=True):
    """Try again at `at`."""

    at: datetime


class GiveUp(msgspec.Struct, frozen=True):
    """Try no more. `exhausted` names what ran out of the policy; None if a retry could not help."""

    exhausted: str | None


Decision: TypeAlias = Retry | GiveUp


def decide(
    policy: RetryPolicy,
    attempt: int,
    owed_at: datetime,
    reply: Reply,
    now: datetime,
    random: Callable[[], float],
) -> Decision:
    """What follows attempt number `attempt` (from 1), which ended with the failure `reply`.

    The wait is drawn between zero and the bound (full jitter: deliveries that failed together do not come
    back together); a longer Retry-After is waited for, a negative one stops (documented). The age counts
    from `owed_at`: the event's ingestion (documented), and the redrive for a dead letter that was redriven.
    A retry that would come after the age limit is given up at once: waiting for it could change nothing,
    and moving it forwards would break what the target asked for.
    `random` gives numbers from 0 up to 1.
    """
    asked = reply.retry_after or timedelta(0)
    if not reply.retryable or asked < timedelta(0):
        return GiveUp(None)
    if attempt > policy.max_retries:
        return GiveUp(MAX_RETRIES)
    wait = max(backoff_bound(attempt) * random(), asked)
    if wait > owed_at + timedelta(seconds=policy.max_age_seconds) - now:
        return GiveUp(MAX_AGE)
    return Retry(now + wait)


def is_too_old(policy: RetryPolicy, owed_at: datetime, now: datetime) -> bool:
    """Whether a delivery that waited (for its rate, its target, or this node) is past the age limit."""
    return now - owed_at > timedelta(seconds=policy.max_age_seconds)


def backoff_bound(attempt: int) -> timedelta:
    """The longest wait after attempt number `attempt`, before any Retry-After."""
    doublings = min(attempt - 1, 32)  # more would only make a number that the cap cuts
    return min(CAP, BASE * (1 << doublings))
