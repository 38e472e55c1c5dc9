"""One clause as a function of a decoded value, for conjunctions that are tested one by one."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from msgspec import UNSET

from partnerbus.patterns.matching import accepts_any, plain_values
from partnerbus.patterns.memo import LONGEST_TEXT
from partnerbus.patterns.numbers import Number, as_number
from partnerbus.patterns.path_test import flat_scalars
from partnerbus.patterns.ranges import segment
from partnerbus.patterns.syntax import Exists, Matcher, Range

ScalarTest = Callable[[object], bool]
"""Whether a scalar passes, or `UNSET` for a field that is not there. An array never does: see `holds`."""


class Test(NamedTuple):
    """The test of a clause. With a `low` it is that of a range, and `test` is where the range ends.

    (A program compares these by itself: numbers at hand cost half of what a call does.)
    """

    low: float | None
    test: ScalarTest | float


TESTS_KEPT, VALUES_KEPT = 1_024, 64
"""Like clauses share a test, which remembers some values."""

BEYOND: tuple[object, ...] = (object(),)
"""Stands for the values of a path that leads through an array of objects: more than a function can tell."""


class Irregular(Exception):
    """The event is not of the shape that a short cut is for; the exact way must be taken."""


def _plain_texts(matchers: Sequence[Matcher]) -> frozenset[str] | None:
    """The texts that the matchers accept, if they accept a few exact texts and nothing else."""
    values = plain_values(tuple(matchers))
    if values is None or any(isinstance(value, Number) for value in values):
        return None
    return values  # type: ignore[return-value]  # no number is left


def make_test(matchers: tuple[Matcher, ...]) -> Test:
    """The test for a clause."""
    if len(matchers) == 1 and isinstance(matchers[0], Range):
        return Test(*segment(matchers[0]))
    return _shared_test(matchers)


@lru_cache(TESTS_KEPT)
def _shared_test(matchers: tuple[Matcher, ...]) -> Test:
    texts = _plain_texts(matchers)
    if texts is not None:
        return Test(None, texts.__contains__)
    return Test(None, _Remembered(_any_test(matchers)).__getitem__)


class _Remembered(dict[object, bool]):
    """`remembered[value]` is whether a value passes, remembered for texts, null and absence."""

    __slots__ = ("_test",)

    def __init__(self, test: ScalarTest) -> None:
        super().__init__()
        self._test = test

    def __missing__(self, value: object) -> bool:
        passes = self._test(value)
        is_short = value.__class__ is str and len(value) <= LONGEST_TEXT
        if is_short or value is None or value is UNSET:
            if len(self) >= VALUES_KEPT:
                self.clear()
            self[value] = passes
        return passes


def holds(low: float | None, test: ScalarTest | float, value: object) -> bool:
    """Whether a value as decoded passes: a scalar, one in an array, or `UNSET`.

    An array without scalars is as if not there.
    """
    if value.__class__ is not tuple:
        return test(value) if low is None else _is_between(low, test, value)  # type: ignore[operator, arg-type]
    if value is BEYOND:
        raise Irregular
    scalars = tuple(flat_scalars(value))
    return any(holds(low, test, scalar) for scalar in scalars or (UNSET,))


def _is_between(low: float, high: float, value: object) -> bool:
    if value.__class__ not in (int, float, Number):
        return False
    number = as_number(value).value
    return number is not None and low <= number < high


def _any_test(matchers: tuple[Matcher, ...]) -> ScalarTest:
    accepted = accepts_any(matchers)
    may_be_absent = Exists(False) in matchers

    def test(value: object) -> bool:
        if value is None or isinstance(value, (str, bool)):
            return accepted(value)
        if isinstance(value, (int, float, Number)):
            return accepted(as_number(value))
        return may_be_absent and not isinstance(value, tuple)

    return test
