"""Why an event did or did not match a pattern, as values to print, encode or show.

Everything here is bounded: whatever stood in the event or the pattern, an explanation is at most a few
hundred short lines. Texts are printable as they are: names and values of others are escaped and cut.
"""

from enum import StrEnum

import msgspec

MAX_CONJUNCTIONS_SHOWN = 5
MAX_CLAUSES_SHOWN = 40
MAX_ALTERNATIVES_SHOWN = 10
MAX_VALUES_SHOWN = 5
MAX_ELEMENTS_SHOWN = 5
MAX_PATHS_SHOWN = 5


class Outcome(StrEnum):
    """What became of a clause."""

    FITS = "fits"
    MISSING = "missing"
    """There is no value at its path."""
    DOES_NOT_FIT = "does-not-fit"
    """There are values at its path, and no alternative accepts one."""
    OTHER_ELEMENT = "other-element"
    """It fits by itself, but not in the array element in which the others fit."""


class Kind(StrEnum):
    """How near a miss is."""

    LETTER_CASE = "letter-case"
    BLANKS = "blanks"
    NUMBER_AS_TEXT = "number-as-text"
    TEXT_AS_NUMBER = "text-as-number"
    LITERAL_AS_TEXT = "literal-as-text"
    KEY_SPELLING = "key-spelling"
    INSIDE_DETAIL = "inside-detail"
    OUTSIDE_DETAIL = "outside-detail"


class Hint(msgspec.Struct, frozen=True):
    """What was probably meant. `sentence` is for people."""

    kind: Kind
    sentence: str


class Alternative(msgspec.Struct, frozen=True):
    """One alternative of a clause: its operator and operand in words, and whether a value shown fits it."""

    words: str
    fits: bool


class Seen(msgspec.Struct, frozen=True):
    """A value at a clause's path: where it stands, array indices included, and its JSON, which may be cut.

    `made_it` marks the value that a match rests on.
    """

    place: str
    value: str
    fits: bool
    made_it: bool = False


class ClauseExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a pattern. The `more_…` count what was left out."""

    path: str
    outcome: Outcome
    reason: str
    alternatives: tuple[Alternative, ...]
    more_alternatives: int = 0
    seen: tuple[Seen, ...] = ()
    more_seen: int = 0
    hints: tuple[Hint, ...] = ()


class ConjunctionExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that must fit together: one choice of a branch per `$or`, the `number`th, counted from 1.

    Clauses that fail come first, `failing` of them.
    """

    number: int
    matched: bool
    failing: int
    clauses: tuple[ClauseExplanation, ...]
    more_clauses: int = 0


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a pattern did or did not match.

    `conjunctions` is the one that matched; if none did, those that came nearest, out of `tried`.
    """

    matched: bool
    tried: int
    conjunctions: tuple[ConjunctionExplanation, ...]
