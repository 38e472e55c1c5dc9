"""Near misses: what somebody who wrote such a pattern for such an event probably meant.

A hint is found by asking the clause itself whether it would accept a slightly different value.
"""

import re
from collections.abc import Iterator

from partnerbus.patterns.explain_places import Places
from partnerbus.patterns.explain_words import THE_EVENT, cut, quoted, value_words
from partnerbus.patterns.explanation import Hint, Kind
from partnerbus.patterns.leaves import DETAIL
from partnerbus.patterns.matching import Value, accepts_any
from partnerbus.patterns.numbers import Number
from partnerbus.patterns.syntax import (
    AnythingBut,
    EqualsIgnoreCase,
    Exactly,
    Exists,
    Matcher,
    Prefix,
    Suffix,
    Text,
)

LONGEST_NUMBER = 40
LONGEST_COMPARED = 10_000
"""Longer texts get no hint: they are no slips."""

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_LITERALS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def elsewhere(path: str) -> str:
    """The path that was meant if `detail` was forgotten, or was too much."""
    inner = path.removeprefix(DETAIL + ".")
    return inner if inner != path else f"{DETAIL}.{path}"


# -- values --------------------------------------------------------------------------------------------


class ValueHints:
    """The near misses of one clause's values."""

    def __init__(self, matchers: tuple[Matcher, ...]) -> None:
        wanting = tuple(each for each in matchers if not isinstance(each, AnythingBut | Exists))
        self._accepts = accepts_any(wanting)
        self._accepts_any_case = accepts_any(tuple(map(_any_case, wanting)))

    def of(self, value: Value) -> Hint | None:
        """What is nearly right about a value that does not fit."""
        if isinstance(value, str):
            return next(self._of_text(value), None) if len(value) <= LONGEST_COMPARED else None
        if self._accepts(text := value_words(value)):
            wanted = f"the pattern wants the text {quoted(text)}"
            if isinstance(value, Number):
                return Hint(Kind.TEXT_AS_NUMBER, f"{text} is a number, and {wanted}")
            return Hint(Kind.LITERAL_AS_TEXT, f"{text} is no text, and {wanted}")
        return None

    def _of_text(self, value: str) -> Iterator[Hint]:
        bare, shown = value.strip(), quoted(value)
        if bare != value and self._accepts(bare):
            yield Hint(Kind.BLANKS, f"{shown} has blanks around it; {quoted(bare)} would fit")
        if self._accepts_any_case(value):
            yield Hint(Kind.LETTER_CASE, f"{shown} would fit but for letter case; see equals-ignore-case")
        if len(bare) <= LONGEST_NUMBER and _NUMBER.fullmatch(bare) and self._accepts(Number.of(bare)):
            yield Hint(Kind.NUMBER_AS_TEXT, f"{shown} is text; the number {bare} would fit")
        if bare in _LITERALS and self._accepts(_LITERALS[bare]):
            yield Hint(Kind.LITERAL_AS_TEXT, f"{shown} is text; {bare} without quotes would fit")


def _any_case(matcher: Matcher) -> Matcher:
    match matcher:
        case Text(text=text) | Exactly(text=text):
            return EqualsIgnoreCase(text)
        case Prefix(text=text):
            return Prefix(text, ignore_case=True)
        case Suffix(text=text):
            return Suffix(text, ignore_case=True)
    return matcher


# -- keys ----------------------------------------------------------------------------------------------


def key_hints(path: str, parent: str | None, places: Places) -> Iterator[Hint]:
    """Where the value that is missing at `path` may be; `parent` is as far as the event goes."""
    rest = path if parent is None else path[len(parent) + 1 :]
    name = _similar(rest, parent, places)
    if name is not None:
        where = THE_EVENT if parent is None else cut(parent)
        yield Hint(Kind.KEY_SPELLING, f"{where} has a field {quoted(name)}")
    other = elsewhere(path)
    if places.holds(other):
        if other.startswith(DETAIL + "."):
            yield Hint(Kind.INSIDE_DETAIL, f"the event has {cut(other)}: put the field inside detail")
        else:
            yield Hint(Kind.OUTSIDE_DETAIL, f"the event has {cut(other)}, outside detail")


def _similar(rest: str, parent: str | None, places: Places) -> str | None:
    """A name much like the beginning of `rest`, of which any dot may be part of the name."""
    ends = [at for at, character in enumerate(rest) if character == "."] + [len(rest)]
    found = (places.similar_name(parent, rest[:end]) for end in ends)
    return next((name for name in found if name is not None), None)
