"""Many ranges of numbers at once: which of them is a number in?

The bounds of all ranges cut the numbers into segments. A segment knows, as a mask, the ranges that cover
it, so one bisection answers for all of them. A range is half open, `low <= number < high`; the next double
after a bound makes any other kind of range one of these.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter

from partnerbus.patterns.syntax import Range

Segment = tuple[float, float]


def segment(wanted: Range) -> Segment:
    """The half-open range of doubles that `wanted` accepts."""
    low = -math.inf if wanted.low is None else wanted.low
    high = math.inf if wanted.high is None else wanted.high
    if wanted.low is not None and not wanted.with_low:
        low = math.nextafter(low, math.inf)
    if wanted.high is not None and wanted.with_high:
        high = math.nextafter(high, math.inf)
    return low, high


def point(number: float) -> Segment:
    """The range that holds `number` only."""
    return number, math.nextafter(number, math.inf)


class RangeTable:
    """Masks by number: `masks[bisect_right(bounds, number)]` has the bits of all ranges it is in."""

    __slots__ = ("_uses", "bounds", "masks")

    def __init__(self) -> None:
        self.bounds: list[float] = []
        self.masks = [0]
        self._uses = Counter[float]()

    def add(self, low: float, high: float, bits: int) -> None:
        self._cut(low)
        self._cut(high)
        for at in self._covered(low, high):
            self.masks[at] |= bits

    def remove(self, low: float, high: float, bits: int) -> None:
        """Undo an `add`; whoever has several ranges under the same bits removes all of them."""
        for at in self._covered(low, high):
            self.masks[at] &= ~bits
        self._mend(low)
        self._mend(high)

    def _covered(self, low: float, high: float) -> range:
        return range(bisect_right(self.bounds, low), bisect_right(self.bounds, high))

    def _cut(self, bound: float) -> None:
        self._uses[bound] += 1
        if self._uses[bound] == 1:
            at = bisect_left(self.bounds, bound)
            self.bounds.insert(at, bound)
            self.masks.insert(at, self.masks[at])

    def _mend(self, bound: float) -> None:
        self._uses[bound] -= 1
        if not self._uses[bound]:
            del self._uses[bound]
            at = bisect_left(self.bounds, bound)
            del self.bounds[at]
            del self.masks[at + 1]
