"""One clause as a function of a decoded value, for conjunctions that are tested one by one."""

from collections.abc import Callable, Sequence

from msgspec import UNSET

from partnerbus.patterns.matching import accepts_any, plain_values
from partnerbus.patterns.numbers import EXACT_INTEGERS, Number, as_number
from partnerbus.patterns.path_test import flat_scalars
from partnerbus.patterns.ranges import segment
from partnerbus.patterns.syntax import Exists, Matcher, Prefix, Range

ScalarTest = Callable[[object], bool]
"""Whether a scalar passes, or `UNSET` for a field that is not there. An array never does: see `passes`."""

BEYOND: tuple[object, ...] = (object(),)
"""Stands for the values of a path that leads through an array of objects: more than a function can tell."""


class Irregular(Exception):
    """The event is not of the shape that a short cut is for; the exact way must be taken."""


def plain_texts(matchers: Sequence[Matcher]) -> frozenset[str] | None:
    """The texts that the matchers accept, if they accept a few exact texts and nothing else."""
    values = plain_values(tuple(matchers))
    if values is None or any(isinstance(value, Number) for value in values):
        return None
    return values  # type: ignore[return-value]  # no number is left


def scalar_test(matchers: tuple[Matcher, ...]) -> ScalarTest:
    """The test for a clause."""
    texts = plain_texts(matchers)
    if texts is not None:
        return texts.__contains__
    if len(matchers) == 1 and isinstance(matchers[0], Range):
        return _range_test(matchers[0])
    if len(matchers) == 1 and isinstance(matchers[0], Prefix) and not matchers[0].ignore_case:
        return _prefix_test(matchers[0].text)
    return _any_test(matchers)


def passes(test: ScalarTest, values: tuple[object, ...]) -> bool:
    """Whether one of the scalars in an array passes; an array without scalars is as if not there."""
    if values is BEYOND:
        raise Irregular
    scalars = tuple(flat_scalars(values))
    return any(map(test, scalars)) if scalars else test(UNSET)


def _range_test(wanted: Range) -> ScalarTest:
    low, high = segment(wanted)

    def test(value: object) -> bool:
        if value.__class__ is float or (
            value.__class__ is int and -EXACT_INTEGERS <= value <= EXACT_INTEGERS
        ):
            return low <= value < high
        number = as_number(value).value if value.__class__ is int else None
        return number is not None and low <= number < high

    return test


def _prefix_test(text: str) -> ScalarTest:
    return lambda value: value.__class__ is str and value.startswith(text)


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
