"""What an event pattern means, written down as plainly as possible, to hold the real matcher against.

It shares the parser's values with the matcher and nothing else: it expands, flattens, compares and walks on
its own, without regard for time. Use it on small events only.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

from partnerbus.patterns import Pattern
from partnerbus.patterns.syntax import (
    AnythingBut,
    Cidr,
    Clause,
    EqualsIgnoreCase,
    Exactly,
    Exists,
    Group,
    Literal,
    LiteralIs,
    Matcher,
    NumberIs,
    Or,
    Prefix,
    Range,
    Suffix,
    Text,
    Wildcard,
)


class NumberText(NamedTuple):
    """A number of the event, as it was written."""

    text: str


Memberships = dict[int, int]
"""Which element (by index) of which array (by identity) a leaf is in."""


class Leaf(NamedTuple):
    path: str
    value: object
    memberships: Memberships


def oracle_matches(pattern: Pattern, event_json: bytes) -> bool:
    """Whether the event matches, by the book."""
    event = json.loads(event_json, parse_int=NumberText, parse_float=NumberText)
    leaves = list(_flatten(event, "", {}))
    for clauses in _expand(pattern.group):
        by_path = {clause.path: clause for clause in clauses}
        order = sorted(by_path, key=lambda path: path.encode("utf-16-be", "surrogatepass"))
        if _walk([by_path[path] for path in order], {}, leaves):
            return True
    return False


def _expand(group: Group) -> Iterator[list[Clause]]:
    if not group:
        yield []
        return
    first, rest = group[0], group[1:]
    heads = [[first]] if isinstance(first, Clause) else _expand_or(first)
    for head in heads:
        for tail in _expand(rest):
            yield [*head, *tail]


def _expand_or(either: Or) -> Iterator[list[Clause]]:
    for branch in either.branches:
        yield from _expand(branch)


def _flatten(value: object, path: str, memberships: Memberships) -> Iterator[Leaf]:
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _flatten(child, f"{path}.{name}" if path else name, memberships)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            inside = {**memberships, id(value): index} if isinstance(item, (dict, list)) else memberships
            yield from _flatten(item, path, inside)
    else:
        yield Leaf(path, value, memberships)


def _walk(clauses: list[Clause], chosen: Memberships, leaves: list[Leaf]) -> bool:
    if not clauses:
        return True
    clause, rest = clauses[0], clauses[1:]
    here = [leaf for leaf in leaves if leaf.path == clause.path and _fits(leaf.memberships, chosen)]
    if Exists(False) in clause.matchers and not here and _walk(rest, chosen, leaves):
        return True
    return any(
        _walk(rest, chosen | leaf.memberships, leaves)
        for leaf in here
        if any(_accepts(matcher, leaf.value) for matcher in clause.matchers)
    )


def _fits(memberships: Memberships, chosen: Memberships) -> bool:
    return all(chosen.get(array, index) == index for array, index in memberships.items())


def _accepts(matcher: Matcher, value: object) -> bool:
    match matcher:
        case Exists(present=present):
            return present
        case AnythingBut(excluded=excluded):
            return not any(_accepts(one, value) for one in excluded)
        case LiteralIs(literal=literal):
            return {Literal.TRUE: value is True, Literal.FALSE: value is False, Literal.NULL: value is None}[
                literal
            ]
        case NumberIs() | Range():
            return isinstance(value, NumberText) and _accepts_number(matcher, value.text)
        case _:
            return isinstance(value, str) and _accepts_text(matcher, value)


def _accepts_number(matcher: NumberIs | Range, text: str) -> bool:
    value = float(text)
    comparable = abs(value) != float("inf") and Decimal(repr(value)) == Decimal(text)
    if isinstance(matcher, NumberIs):
        wanted = matcher.number
        return text == wanted.text if wanted.value is None else comparable and value == wanted.value
    if not comparable:
        return False
    above = matcher.low is None or value > matcher.low or (value == matcher.low and matcher.with_low)
    below = matcher.high is None or value < matcher.high or (value == matcher.high and matcher.with_high)
    return above and below


_TextMatcher = Text | Exactly | Prefix | Suffix | EqualsIgnoreCase | Wildcard | Cidr


def _accepts_text(matcher: _TextMatcher, value: str) -> bool:
    match matcher:
        case Text(text=text):
            address = _address(text)
            return value == text or (address is not None and address == _address(value))
        case Exactly(text=text):
            return value == text
        case Prefix(text=text, ignore_case=ignore_case):
            return any(_equal(text, value[:end], ignore_case) for end in range(len(value) + 1))
        case Suffix(text=text, ignore_case=ignore_case):
            return any(_equal(text, value[start:], ignore_case) for start in range(len(value) + 1))
        case EqualsIgnoreCase(text=text):
            return _equal(text, value, ignore_case=True)
        case Wildcard(literals=literals):
            return re.fullmatch(".*".join(map(re.escape, literals)), value, re.DOTALL) is not None
        case Cidr(address=address_bytes, bits=bits):
            found = _address(value)
            return found is not None and found in ip_network((address_bytes, bits), strict=False)


def _equal(pattern: str, value: str, ignore_case: bool) -> bool:
    if not ignore_case:
        return pattern == value
    if not pattern:
        return not value
    first = pattern[0]
    forms = {first} if ord(first) > 0xFFFF else {first.lower(), first.upper()}
    return any(value.startswith(form) and _equal(pattern[1:], value[len(form) :], True) for form in forms)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    if "%" in text or ("." in text and ":" in text):
        return None
    plain = ".".join(part.lstrip("0") or "0" for part in text.split(".")) if "." in text else text
    try:
        found = ip_address(plain)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
