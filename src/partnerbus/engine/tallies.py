"""What became of the attempts of each subscription, counted since this node started, and minute by minute.

The store knows what is owed now, and the balance of each log; who has delivered how much lately, and what
failed last, is only of use while it is fresh. So it is kept in memory, by subscription, and begins anew with
the node. Minutes are kept for the subscriptions that were attempted last, `SERIES_KEPT` of them.
"""

from array import array
from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from partnerbus.engine.attempts import Ended
from partnerbus.kernel.clock import Clock
from partnerbus.model.delivery import Claim, DeliveryState

MINUTES = 60
SERIES_KEPT = 10_000
TALLIES_KEPT = 100_000


class Tally(msgspec.Struct):
    """What became of a subscription's attempts: how many of them delivered, were to be tried again, died, …

    The last failure stays until there is another one.
    """

    delivered: int = 0
    retried: int = 0
    dead: int = 0
    cancelled: int = 0
    delivered_at: datetime | None = None
    failed_at: datetime | None = None
    error: str | None = None
    message: str = ""


class Minute(msgspec.Struct, frozen=True, kw_only=True):
    """How many attempts delivered, and failed, in the minute that began `at`."""

    at: datetime
    delivered: int
    failed: int


class _Series:
    """The last hour of a subscription: two counts a minute, at the place of the minute in a ring."""

    __slots__ = ("counts", "newest")

    def __init__(self, minute: int) -> None:
        self.newest = minute
        self.counts = array("L", bytes(2 * MINUTES * array("L").itemsize))

    def add(self, minute: int, has_failed: bool) -> None:
        self.move_to(minute)
        self.counts[2 * (minute % MINUTES) + has_failed] += 1

    def move_to(self, minute: int) -> None:
        """Forget what is older than an hour before `minute`. A clock that was put back changes nothing."""
        for passed in range(max(self.newest + 1, minute - MINUTES + 1), minute + 1):
            place = 2 * (passed % MINUTES)
            self.counts[place] = self.counts[place + 1] = 0
        self.newest = max(self.newest, minute)


class Tallies:
    """Counts the ends of attempts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tallies: OrderedDict[str, Tally] = OrderedDict()
        self._series: OrderedDict[str, _Series] = OrderedDict()
        self.since = clock.now()
        """Since when is counted."""

    def judged(self, claim: Claim, ended: Ended) -> None:
        """Count how an attempt ended, or that none was made."""
        tally = self._tallies.get(claim.subscription)
        if tally is None:
            tally = self._tallies[claim.subscription] = Tally()
            if len(self._tallies) > TALLIES_KEPT:
                self._tallies.popitem(last=False)
        now, settlement = self._clock.now(), ended.settlement
        if settlement.state is DeliveryState.DELIVERED:
            tally.delivered += 1
            tally.delivered_at = now
        elif settlement.state is DeliveryState.CANCELLED:
            tally.cancelled += 1
            return
        else:
            tally.failed_at = now
            tally.error, tally.message = settlement.error, settlement.message
            if settlement.state is DeliveryState.DEAD:
                tally.dead += 1
            else:
                tally.retried += 1
        self._count(claim.subscription, now, settlement.state is not DeliveryState.DELIVERED)

    def _count(self, subscription: str, now: datetime, has_failed: bool) -> None:
        minute = int(now.timestamp()) // 60
        series = self._series.get(subscription)
        if series is None:
            series = self._series[subscription] = _Series(minute)
            if len(self._series) > SERIES_KEPT:
                self._series.popitem(last=False)
        elif len(self._series) >= SERIES_KEPT:
            self._series.move_to_end(subscription)
        series.add(minute, has_failed)

    def of(self, subscription: str) -> Tally:
        """The tally of a subscription; all zeros if it was not attempted."""
        return self._tallies.get(subscription) or Tally()

    def minutes(self, subscriptions: Iterable[str]) -> list[Minute]:
        """The last hour of some subscriptions together, the oldest minute first."""
        newest = int(self._clock.now().timestamp()) // 60
        sums = [0] * (2 * MINUTES)
        for subscription in subscriptions:
            series = self._series.get(subscription)
            if series is not None:
                series.move_to(newest)
                sums = [one + other for one, other in zip(sums, series.counts, strict=True)]
        return [
            Minute(
                at=datetime.fromtimestamp(minute * 60, UTC),
                delivered=sums[2 * (minute % MINUTES)],
                failed=sums[2 * (minute % MINUTES) + 1],
            )
            for minute in range(newest - MINUTES + 1, newest + 1)
        ]
