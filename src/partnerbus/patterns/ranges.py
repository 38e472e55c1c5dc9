"""Many ranges of numbers at once: which of them is a number in?

The bounds of all ranges cut the numbers into segments. A segment knows, as a mask, the ranges that cover
it, so one bisection answers for all of them. A range is half open, `low <= number < high`; the next double
after a bound makes any other kind of range one of these.

A change touches two bounds only: each says which ranges begin or end there, and the mask of a segment is that
of the one before it with these changed. Masks are made as far as numbers ask for them, and forgotten from a
changed bound on.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate
from operator import xor

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


def joined(ranges: Iterable[Segment]) -> list[Segment]:
    """The same numbers in ranges that are not empty, and of which no two meet."""
    found: list[Segment] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1]:
            found[-1] = found[-1][0], max(high, found[-1][1])
        elif low < high:
            found.append((low, high))
    return found


class RangeTable:
    """Masks by number. Ranges under the same bits must not meet: see `joined`."""

    __slots__ = ("_edges", "_masks", "bounds")

    def __init__(self) -> None:
        self.bounds: list[float] = []
        self._edges: list[int] = []
        """By bound, the bits of the ranges that begin or end there."""
        self._masks = [0]
        """Of the first segments, as far as they are known."""

    def hits(self, number: float) -> int:
        """The bits of all ranges that `number` is in."""
        at, masks = bisect_right(self.bounds, number), self._masks
        if at >= len(masks):
            masks[-1:] = accumulate(self._edges[len(masks) - 1 : at], xor, initial=masks[-1])
        return masks[at]

    def toggle(self, low: float, high: float, bits: int) -> None:
        """Add a range, or remove one that was added."""
        self._toggle(low, bits)
        self._toggle(high, bits)

    def _toggle(self, bound: float, bits: int) -> None:
        at = bisect_left(self.bounds, bound)
        del self._masks[at + 1 :]
        if at == len(self.bounds) or self.bounds[at] != bound:
            self.bounds.insert(at, bound)
            self._edges.insert(at, bits)
        elif self._edges[at] != bits:
            self._edges[at] ^= bits
        else:
            del self.bounds[at], self._edges[at]
