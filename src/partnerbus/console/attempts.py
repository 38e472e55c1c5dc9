"""How often somebody may try to sign in: failures are counted by address, and by address and name."""

from collections import OrderedDict, deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from partnerbus.kernel.clock import Clock

WINDOW = timedelta(minutes=5)
FAILURES_OF_ONE_NAME = 10
FAILURES_OF_ONE_ADDRESS = 100
"""Larger, since all who come through one proxy have one address."""

COUNTED_AT_MOST = 10_000
NAME_CHARACTERS = 128


class Attempts:
    """Failures of the last minutes, in bounded memory: those that are longest ago are forgotten first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, ...], deque[datetime]] = OrderedDict()

    def wait(self, address: str, name: str) -> timedelta | None:
        """How long to wait before another attempt; None if it may be made now."""
        now = self._clock.now()
        waits = [
            failures[-most] + WINDOW - now
            for key, most in _counted(address, name)
            if len(failures := self._failures.get(key, deque())) >= most
        ]
        longest = max(waits, default=timedelta(0))
        return longest if longest > timedelta(0) else None

    def failed(self, address: str, name: str) -> None:
        for key, most in _counted(address, name):
            self._failures.setdefault(key, deque(maxlen=most)).append(self._clock.now())
            self._failures.move_to_end(key)
        while len(self._failures) > COUNTED_AT_MOST:
            self._failures.popitem(last=False)


def _counted(address: str, name: str) -> Sequence[tuple[tuple[str, ...], int]]:
    return (
        ((address, name[:NAME_CHARACTERS]), FAILURES_OF_ONE_NAME),
        ((address,), FAILURES_OF_ONE_ADDRESS),
    )
