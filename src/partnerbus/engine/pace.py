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
"""So many lanes, or twice as many as began something within a second, are remembered."""


class _Begun(msgspec.Struct):
    at: datetime
    count: int


class _Second:
    """The attempts of one lane that began within the last second."""

    def __init__(self) -> None:
        self.count = 0
        self._begun: deque[_Begun] = deque()

    @property
    def oldest_at(self) -> datetime:
        return self._begun[0].at

    def add(self, at: datetime, count: int) -> None:
        self._begun.append(_Begun(at, count))
        self.count += count

    def take_back(self, count: int) -> None:
        """Forget so many, the latest first."""
        while self._begun and count > 0:
            last = self._begun[-1]
            returned = min(last.count, count)
            last.count -= returned
            self.count -= returned
            count -= returned
            if not last.count:
                self._begun.pop()

    def forget_until(self, instant: datetime) -> None:
        while self._begun and self._begun[0].at <= instant:
            self.count -= self._begun.popleft().count


class Paces:
    """What may begin now, by lane. `rate_of` gives attempts per second, None for a lane without a limit."""

    def __init__(self, clock: Clock, rate_of: Callable[[str], int | None]) -> None:
        self._clock = clock
        self._rate_of = rate_of
        self._seconds: dict[str, _Second] = {}
        self._sweep_at = LANES_KEPT

    def take(self, lane: str, wanted: int) -> int:
        """Let up to `wanted` attempts begin; give how many."""
        rate = self._rate_of(lane)
        if rate is None:
            return wanted
        second = self._second(lane)
        taken = max(0, min(wanted, rate - second.count))
        if taken:
            second.add(self._clock.now(), taken)
        return taken

    def give_back(self, lane: str, count: int) -> None:
        """So many of those that might have begun did not: the latest, which is the stricter guess."""
        second = self._seconds.get(lane)
        if second is not None:
            second.take_back(count)

    def opens_at(self, lane: str) -> datetime:
        """When one more may begin."""
        rate = self._rate_of(lane)
        if rate is None:
            return self._clock.now()
        second = self._second(lane)
        return second.oldest_at + WINDOW if second.count >= rate else self._clock.now()

    def _second(self, lane: str) -> _Second:
        second = self._seconds.get(lane)
        if second is None:
            self._sweep()
            second = self._seconds[lane] = _Second()
        second.forget_until(self._clock.now() - WINDOW)
        return second

    def _sweep(self) -> None:
        if len(self._seconds) < self._sweep_at:
            return
        since = self._clock.now() - WINDOW
        for second in self._seconds.values():
            second.forget_until(since)
        self._seconds = {lane: second for lane, second in self._seconds.items() if second.count}
        self._sweep_at = max(LANES_KEPT, 2 * len(self._seconds))
