"""Numbers as patterns see them: comparable ones by value, all others by their text.

A number written as an integer is *comparable* if its text is the shortest decimal of the double next to it:
5 and 9007199254740992 are, 9007199254740993 is not (observed). One with a fraction or an exponent is the
double next to it, so it is comparable unless that is infinite, as for 1e400. Here we differ from the
service's matcher, which goes by the text of these as well: a decoder gives the double, and to keep the text
of every fraction costs more than all the rest of matching. For a number that is not comparable no range
holds, and two are equal if their texts are.
"""

import math
from decimal import Decimal, DecimalException

import msgspec

EXACT_INTEGERS = 2**53
"""Integers up to this size, of either sign, are comparable."""

ALWAYS_COMPARABLE_CHARACTERS = 15
"""Any decimal of up to 15 digits survives a double (IEEE 754); longer texts are checked."""


class Number(msgspec.Struct, frozen=True, gc=False):
    """A number of a pattern or event. Two compare equal exactly when a pattern says so."""

    value: float | None
    text: str = ""

    @classmethod
    def of(cls, text: str) -> "Number":
        """The number that JSON writes as `text`; its text is kept only if it is not comparable."""
        value = float(text)
        is_integer = not any(mark in text for mark in ".eE")
        comparable = survives_double(text) if is_integer else math.isfinite(value)
        return cls(value) if comparable else cls(None, text)


def as_number(value: "int | float | Number") -> Number:
    """The number that a decoder gave."""
    if isinstance(value, Number):
        return value
    if isinstance(value, float) or -EXACT_INTEGERS <= value <= EXACT_INTEGERS:
        return Number(float(value))
    return Number.of(str(value))


def survives_double(text: str) -> bool:
    """Whether `text` is the shortest decimal of the double next to it, as a number."""
    if len(text) <= ALWAYS_COMPARABLE_CHARACTERS and "e" not in text and "E" not in text:
        return True
    value = float(text)
    try:
        return math.isfinite(value) and Decimal(text) == Decimal(repr(value))
    except DecimalException:  # an exponent that even Decimal cannot hold
        return False
