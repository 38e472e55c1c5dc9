"""What values of a path fail, remembered: most paths have the same few values again and again."""

from collections.abc import Callable, Sequence
from math import inf, nextafter
from typing import TYPE_CHECKING

from msgspec import UNSET

if TYPE_CHECKING:  # it has a memo
    from partnerbus.patterns.path_test import PathTest

MEMO_VALUES = 256
"""How many values of one path are remembered."""

TRIAL_VALUES, SEEN_AGAIN = 24, 8
"""A path is varied, and its values not worth remembering, if of the first 24 that came less than one in eight
comes again among the next 24."""

ENOUGH_VALUES = 20
"""So many of these next ones are enough to tell when a program is made anew anyway."""

LONGEST_TEXT = 256
"""Longer texts are not remembered."""


class Segments(dict[int, int | None]):
    """`segments[bisect(bounds, value)]` is what a float fails where only numbers count, as below.

    A segment is worked out when a number is in it: all of them, two for each range of a block, would take
    milliseconds after every change.
    """

    __slots__ = ("_bounds", "_shift", "_test")

    def __init__(self, test: "PathTest", bounds: Sequence[float], shift: int) -> None:
        super().__init__()
        self._test = test
        self._bounds = bounds
        self._shift = shift

    def __missing__(self, at: int) -> int:
        sample = self._bounds[at - 1] if at else nextafter(self._bounds[0], -inf)
        failed = self[at] = self._test.failed(sample) >> self._shift
        return failed


class WholeNumbers(dict[object, int]):
    """`whole_numbers[value]` is what an integer fails where only numbers count, moved down by `shift`."""

    __slots__ = ("_shift", "_test")

    def __init__(self, test: "PathTest", shift: int) -> None:
        super().__init__()
        self._test = test
        self._shift = shift

    def __missing__(self, value: object) -> int:
        failed = self._test.failed(value) >> self._shift
        if len(self) < MEMO_VALUES:
            self[value] = failed
        return failed


class Memo(dict[object, int]):
    """`memo[value]` is `failed(value)`, remembered for texts, null and absence.

    Numbers and booleans are not remembered: 1, 1.0 and True are one key of a dictionary. Its first values are
    forgotten once, to see whether they come again; `changed` is called if they do not.
    """

    __slots__ = ("_changed", "_first", "_is_tried", "_test", "_text_test")

    def __init__(self, test: "PathTest", changed: Callable[[], None]) -> None:
        super().__init__()
        self._test = test
        self._text_test = test.text_test()
        self._changed = changed
        self._first: frozenset[object] = frozenset()
        self._is_tried = False

    def __missing__(self, value: object) -> int:
        is_text = value.__class__ is str
        failed = self._text_test(value) if is_text else self._test.failed(value)  # type: ignore[arg-type]
        if is_text or value is None or value is UNSET:
            if is_text and len(value) > LONGEST_TEXT:  # type: ignore[arg-type]  # it is a text
                return failed
            if len(self) >= TRIAL_VALUES and not self._is_tried:
                self._try()
            if len(self) >= MEMO_VALUES:
                self.clear()
            self[value] = failed
        return failed

    def _try(self) -> None:
        if not self._first:
            self._first = frozenset(self)
            self.clear()
            return
        self._is_tried = True
        if self.is_varied():
            self._test.varied = True
            self._changed()

    def is_varied(self) -> bool:
        """Whether few of the first values have come again, as far as that can be told."""
        again = sum(value in self for value in self._first)
        return bool(self._first) and len(self) >= ENOUGH_VALUES and SEEN_AGAIN * again < len(self)
