"""The rate of each API destination: no more attempts begin within a second than it wants.

`InvocationRateLimitPerSecond` delays, and never drops (documented): what is above it waits in the store and
ages there. Remembered is when the attempts of the last second began, one entry for those that began together.
"""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from partnerbus.kernel.clock import Clock

WINDOW = timedelta(seconds=1)
LANES_KEPT = 1_000
"""So many lanes, or as many as began something within the last second, are remembered."""


class _Begun(msgspec.Struct):
    at: datetime
    count: int


class Paces:
    """What may begin now, by lane. `rate_of` gives attempts per second, None for a lane without a limit."""

    def __init__(self, clock: Clock, rate_of: Callable[[str], int | None]) -> None:
        self._clock = clock
        self._rate_of = rate_of
        self._begun: dict[str, deque[_Begun]] = {}

    def take(self, lane: str, wanted: int) -> int:
        """Let up to `wanted` attempts begin; give how many."""
        rate = self._rate_of(lane)
        if rate is None:
            return wanted
        begun = self._recent(lane)
        taken = max(0, min(wanted, rate - sum(one.count for one in begun)))
        if taken:
            if lane not in self._begun:
                self._sweep()
                self._begun[lane] = begun
            begun.append(_Begun(self._clock.now(), taken))
        return taken

    def give_back(self, lane: str, count: int) -> None:
        """So many of those that might have begun did not: the latest, which is the stricter guess."""
        begun = self._begun.get(lane)
        while begun and count > 0:
            last = begun[-1]
            returned = min(last.count, count)
            last.count -= returned
            count -= returned
            if not last.count:
                begun.pop()

    def opens_at(self, lane: str) -> datetime:
        """When one more may begin."""
        now, rate = self._clock.now(), self._rate_of(lane)
        begun = self._recent(lane)
        if rate is None or sum(one.count for one in begun) < rate:
            return now
        return begun[0].at + WINDOW

    def _recent(self, lane: str) -> deque[_Begun]:
        begun = self._begun.get(lane)
        if begun is None:
            return deque()
        since = self._clock.now() - WINDOW
        while begun and begun[0].at <= since:
            begun.popleft()
        return begun

    def _sweep(self) -> None:
        if len(self._begun) >= LANES_KEPT:
            self._begun = {lane: begun for lane, begun in self._begun.items() if self._recent(lane)}
