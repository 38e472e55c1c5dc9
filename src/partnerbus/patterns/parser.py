"""From the text of a pattern to what it says, or to the service's refusal."""

import math

from partnerbus.patterns.errors import PatternError
from partnerbus.patterns.json_reader import JsonReader, Token
from partnerbus.patterns.numbers import Number
from partnerbus.patterns.operators import read_matcher
from partnerbus.patterns.syntax import (
    AnythingBut,
    Clause,
    Group,
    Literal,
    LiteralIs,
    Matcher,
    NumberIs,
    Or,
    Pattern,
    Text,
    Wildcard,
)

MAX_CONJUNCTIONS = 1000
"""Conjunctions that the `$or`s of a pattern may multiply to (documented; the sentence is assumed)."""
MAX_PATHS = 256
"""Paths in one conjunction (observed; the sentence is assumed)."""

RESERVED = frozenset(
    {
        "exactly",
        "equals-ignore-case",
        "prefix",
        "suffix",
        "anything-but",
        "exists",
        "wildcard",
        "numeric",
        "cidr",
        "=",
        "<",
        "<=",
        ">",
        ">=",
        "regex",
        "not-wildcard",
        "not-equals-ignore-case",
        "date-after",
        "date-on-or-after",
        "date-before",
        "date-on-or-before",
        "in-date-range",
        "ip-address-in-range",
        "ip-address-not-in-range",
    }
)
"""What cannot name a field inside `$or`."""

OR = "$or"
_LITERALS = {
    Token.TRUE: LiteralIs(Literal.TRUE),
    Token.FALSE: LiteralIs(Literal.FALSE),
    Token.NULL: LiteralIs(Literal.NULL),
}


def parse_pattern(text: str) -> Pattern:
    """What `text` says; `PatternError` with the service's sentence if it is no pattern.

    The length of `text` is not limited here; every other limit is, before memory is spent on what it limits.
    """
    reader = JsonReader(text)
    if reader.next() is not Token.OBJECT:
        reader.refuse("Filter is not an object")
    group = _read_object(reader, "", in_or=False)
    if count_conjunctions(group) > MAX_CONJUNCTIONS:
        raise PatternError(f"Rule is too complex - at most {MAX_CONJUNCTIONS} $or combinations are allowed")
    if any(len(conjunction) > MAX_PATHS for conjunction in conjunctions(group)):
        raise PatternError(f"Rule is too complex - at most {MAX_PATHS} fields are allowed")
    return Pattern(text, group, _has_wildcard(group))


def _read_object(reader: JsonReader, prefix: str, *, in_or: bool) -> Group:
    """The members of the object whose brace was just read; `prefix` is its path and a dot, if it has one."""
    members: list[Clause | Or] = []
    while reader.next() is not Token.OBJECT_END:
        members.extend(_read_member(reader, prefix, in_or=in_or))
    if not members:
        reader.refuse("Empty objects are not allowed")
    return tuple(members)


def _read_member(reader: JsonReader, prefix: str, *, in_or: bool) -> Group:
    name = reader.text()
    if in_or and name in RESERVED:
        reader.refuse(f"{name} is Ruler reserved fieldName which cannot be used inside $or.")
    token = reader.next()
    if name == OR:
        return (_read_or(reader, token, prefix),)
    if token is Token.OBJECT:
        return _read_object(reader, f"{prefix}{name}.", in_or=in_or)
    if token is not Token.ARRAY:
        reader.refuse(f'"{name}" must be an object or an array')
    return (Clause(prefix + name, _read_matchers(reader)),)


def _read_or(reader: JsonReader, token: Token, prefix: str) -> Or:
    if token is not Token.ARRAY:
        reader.refuse("It must be an Array followed with $or.")
    branches: list[Group] = []
    while (token := reader.next()) is not Token.ARRAY_END:
        if token is not Token.OBJECT:
            reader.refuse("Only JSON object is allowed in array of $or relationship.")
        branches.append(_read_object(reader, prefix, in_or=True))
    if len(branches) < 2:
        reader.refuse("There must have at least 2 Objects in $or relationship.")
    return Or(tuple(branches))


def _read_matchers(reader: JsonReader) -> tuple[Matcher, ...]:
    matchers: list[Matcher] = []
    while (token := reader.next()) is not Token.ARRAY_END:
        matchers.append(_read_alternative(reader, token))
    if not matchers:
        reader.refuse("Empty arrays are not allowed")
    return tuple(matchers)


def _read_alternative(reader: JsonReader, token: Token) -> Matcher:
    if token is Token.OBJECT:
        return read_matcher(reader)
    if token is Token.STRING:
        return Text(reader.text())
    if token is Token.NUMBER:
        return NumberIs(Number.of(reader.text()))
    if token not in _LITERALS:
        reader.refuse("Match value must be String, number, true, false, or null")
    return _LITERALS[token]


# -- $or -----------------------------------------------------------------------------------------------

Conjunction = dict[str, Clause]
"""Clauses that must hold together, by path."""


def count_conjunctions(group: Group) -> int:
    """How many conjunctions `conjunctions` would give."""
    ors = (member for member in group if isinstance(member, Or))
    return math.prod(sum(count_conjunctions(branch) for branch in member.branches) for member in ors)


def conjunctions(group: Group) -> list[Conjunction]:
    """`group` without `$or`: at least one of these holds. Of clauses with one path the last counts."""
    return _extend([{}], group)


def _extend(found: list[Conjunction], group: Group) -> list[Conjunction]:
    """Add `group` to each of `found`, which may be changed."""
    for member in group:
        if isinstance(member, Or):
            found = [extended for branch in member.branches for extended in _extend(_copies(found), branch)]
        else:
            for conjunction in found:
                conjunction[member.path] = member
    return found


def _copies(found: list[Conjunction]) -> list[Conjunction]:
    return [dict(conjunction) for conjunction in found]


def _has_wildcard(group: Group) -> bool:
    return any(
        any(_has_wildcard(branch) for branch in member.branches)
        if isinstance(member, Or)
        else any(_is_wildcard(matcher) for matcher in member.matchers)
        for member in group
    )


def _is_wildcard(matcher: Matcher) -> bool:
    if isinstance(matcher, AnythingBut):
        return any(isinstance(excluded, Wildcard) for excluded in matcher.excluded)
    return isinstance(matcher, Wildcard)
