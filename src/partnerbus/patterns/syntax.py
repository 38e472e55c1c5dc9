"""What a pattern says, as values: frozen, typed, without behaviour.

A pattern is a group of clauses and `$or`s in the order of its text. Objects leave no trace: their names are
in the clauses' paths, joined with dots, because a dot in a name means the same as nesting.
"""

from enum import Enum

import msgspec

from partnerbus.patterns.numbers import Number
from partnerbus.patterns.wildcards import Literals


class Literal(Enum):
    """The JSON literals."""

    TRUE = "true"
    FALSE = "false"
    NULL = "null"


class Text(msgspec.Struct, frozen=True):
    """A plain string; if it is an IP address, any spelling of that address."""

    text: str


class Exactly(msgspec.Struct, frozen=True):
    """A string and nothing but: `{"exactly": …}` (undocumented), and the values of anything-but."""

    text: str


class NumberIs(msgspec.Struct, frozen=True):
    number: Number


class LiteralIs(msgspec.Struct, frozen=True):
    literal: Literal


class Prefix(msgspec.Struct, frozen=True):
    text: str
    ignore_case: bool = False


class Suffix(msgspec.Struct, frozen=True):
    text: str
    ignore_case: bool = False


class EqualsIgnoreCase(msgspec.Struct, frozen=True):
    text: str


class Wildcard(msgspec.Struct, frozen=True):
    """`literals` are the texts between the stars."""

    literals: Literals


class Cidr(msgspec.Struct, frozen=True):
    """The addresses of `address`'s family that share its first `bits`."""

    address: bytes
    bits: int


class Range(msgspec.Struct, frozen=True):
    """Comparable numbers between the bounds; a bound that is None is not there."""

    low: float | None
    high: float | None
    with_low: bool = False
    with_high: bool = False


class Exists(msgspec.Struct, frozen=True):
    """Whether there is a leaf at all. `present=False` is the one matcher that needs no value."""

    present: bool


Excluded = Exactly | NumberIs | Prefix | Suffix | EqualsIgnoreCase | Wildcard


class AnythingBut(msgspec.Struct, frozen=True):
    """Any value that none of `excluded` accepts, whatever its type."""

    excluded: tuple[Excluded, ...]


Matcher = (
    Text
    | Exactly
    | NumberIs
    | LiteralIs
    | Prefix
    | Suffix
    | EqualsIgnoreCase
    | Wildcard
    | Cidr
    | Range
    | Exists
    | AnythingBut
)


class Clause(msgspec.Struct, frozen=True):
    """At `path` there is a leaf that one of `matchers` accepts."""

    path: str
    matchers: tuple[Matcher, ...]


class Or(msgspec.Struct, frozen=True):
    """At least one of `branches` holds."""

    branches: "tuple[Group, ...]"


Group = tuple[Clause | Or, ...]


class Pattern(msgspec.Struct, frozen=True):
    """A valid event pattern. `text` is the JSON it was read from; what it says is `group`."""

    text: str
    group: Group
    has_wildcard: bool
