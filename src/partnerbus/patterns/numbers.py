"""Numbers as patterns see them: comparable ones by value, all others by their text.

A number is *comparable* if its text is the shortest decimal of the double next to it, as a number: 5, 5.0,
1e2 and 0.10 are; 9007199254740993 and 1e400 are not (observed). For one that is not, no range holds, and
two are equal if their texts are.
"""

import math
from decimal import Decimal, DecimalException

import msgspec

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
        return cls(value) if _comparable(text, value) else cls(None, text)


def _comparable(text: str, value: float) -> bool:
    if len(text) <= ALWAYS_COMPARABLE_CHARACTERS and "e" not in text and "E" not in text:
        return True
    try:
        return math.isfinite(value) and Decimal(text) == Decimal(repr(value))
    except DecimalException:  # an exponent that even Decimal cannot hold
        return False
