"""From a matcher to a function that says whether it accepts a value."""

from collections.abc import Callable
from functools import partial

from partnerbus.patterns import folding
from partnerbus.patterns.addresses import network, parse_address
from partnerbus.patterns.numbers import Number
from partnerbus.patterns.syntax import (
    AnythingBut,
    Cidr,
    EqualsIgnoreCase,
    Exactly,
    Exists,
    Literal,
    LiteralIs,
    Matcher,
    NumberIs,
    Prefix,
    Range,
    Suffix,
    Text,
    Wildcard,
)
from partnerbus.patterns.wildcards import matches_wildcard

Value = str | Number | bool | None
"""What a leaf of an event holds."""
Accepts = Callable[[Value], bool]

LITERAL_VALUES = {Literal.TRUE: True, Literal.FALSE: False, Literal.NULL: None}


def accepts_any(matchers: tuple[Matcher, ...]) -> Accepts:
    """Whether one of `matchers` accepts a value. All plain texts and numbers together are one look-up."""
    plain = _all_plain(matchers)
    others = [accepts(matcher) for matcher in matchers if not _plain(matcher)]
    if not others:
        return plain.__contains__
    return lambda value: value in plain or any(other(value) for other in others)


def plain_values(matchers: tuple[Matcher, ...]) -> frozenset[str | Number] | None:
    """The values that `matchers` accept if each accepts one text or number only; None if not."""
    return _all_plain(matchers) if all(map(_plain, matchers)) else None


def _all_plain(matchers: tuple[Matcher, ...]) -> frozenset[str | Number]:
    return frozenset(found for matcher in matchers for found in _plain(matcher))


def _plain(matcher: Matcher) -> tuple[str | Number, ...]:
    if isinstance(matcher, Exactly) or (isinstance(matcher, Text) and parse_address(matcher.text) is None):
        return (matcher.text,)
    return (matcher.number,) if isinstance(matcher, NumberIs) else ()


def accepts(matcher: Matcher) -> Accepts:
    """Whether `matcher` accepts the value of a leaf. `Exists(False)` accepts none: it wants no leaf."""
    match matcher:
        case Exists(present=present):
            return lambda _value: present
        case LiteralIs(literal=literal):
            wanted = LITERAL_VALUES[literal]
            return lambda value: value is wanted
        case NumberIs(number=number):
            return lambda value: value == number
        case Range():
            return partial(_in_range, matcher)
        case AnythingBut(excluded=excluded):
            accepted = accepts_any(excluded)
            return lambda value: not accepted(value)
        case _:
            on_text = _text_test(matcher)
            return lambda value: isinstance(value, str) and on_text(value)


def _in_range(wanted: Range, value: Value) -> bool:
    if not isinstance(value, Number) or value.value is None:
        return False
    number, low, high = value.value, wanted.low, wanted.high
    above = low is None or number > low or (wanted.with_low and number == low)
    return above and (high is None or number < high or (wanted.with_high and number == high))


TextMatcher = Text | Exactly | Prefix | Suffix | EqualsIgnoreCase | Wildcard | Cidr


def _text_test(matcher: TextMatcher) -> Callable[[str], bool]:
    match matcher:
        case Text(text=text):
            return _same_text_or_address(text)
        case Exactly(text=text):
            return text.__eq__
        case Prefix(text=text, ignore_case=ignore_case):
            return partial(folding.starts_with, folding.forms(text)) if ignore_case else _prefix(text)
        case Suffix(text=text, ignore_case=ignore_case):
            return _folded_suffix(text) if ignore_case else _suffix(text)
        case EqualsIgnoreCase(text=text):
            return partial(folding.equals, folding.forms(text))
        case Wildcard(literals=literals):
            return partial(matches_wildcard, literals)
        case Cidr(address=address, bits=bits):
            return _in_block(address, bits)


def _same_text_or_address(text: str) -> Callable[[str], bool]:
    address = parse_address(text)
    if address is None:
        return text.__eq__
    return lambda value: value == text or parse_address(value) == address


def _prefix(text: str) -> Callable[[str], bool]:
    return lambda value: value.startswith(text)


def _suffix(text: str) -> Callable[[str], bool]:
    return lambda value: value.endswith(text)


def _folded_suffix(text: str) -> Callable[[str], bool]:
    forms = folding.reversed_forms(text)
    longest = sum(max(map(len, choices)) for choices in forms)
    return lambda value: folding.starts_with(forms, value[len(value) - min(longest, len(value)) :][::-1])


def _in_block(address: bytes, bits: int) -> Callable[[str], bool]:
    size, block = len(address), network(address, bits)

    def contains(value: str) -> bool:
        found = parse_address(value)
        return found is not None and len(found) == size and network(found, bits) == block

    return contains
