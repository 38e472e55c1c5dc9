"""Matchers, values, paths and places in words. All of it is printable and short, whatever it was made of."""

import json
from ipaddress import ip_address

from partnerbus.patterns.addresses import parse_address
from partnerbus.patterns.explain_places import Place
from partnerbus.patterns.matching import Value
from partnerbus.patterns.numbers import Number
from partnerbus.patterns.syntax import (
    AnythingBut,
    Cidr,
    EqualsIgnoreCase,
    Exactly,
    Exists,
    LiteralIs,
    Matcher,
    NumberIs,
    Prefix,
    Range,
    Suffix,
    Text,
    Wildcard,
)

MAX_CHARACTERS = 120
"""How much is shown of one text, name or path."""
MAX_EXCLUDED_SHOWN = 10
LARGEST_PLAIN_INTEGER = 1e16

THE_EVENT = "the event"


def matcher_words(matcher: Matcher) -> str:
    """A matcher's operator and operand."""
    match matcher:
        case Text(text=text):
            note = " (any spelling of the address)" if parse_address(text) is not None else ""
            return f"equals {quoted(text)}{note}"
        case NumberIs(number=number):
            return f"equals {value_words(number)}"
        case LiteralIs(literal=literal):
            return f"equals {literal.value}"
        case Range():
            return f"numeric {_range_words(matcher)}"
        case Exists(present=present):
            return f"exists {'true' if present else 'false'}"
        case Cidr(address=address, bits=bits):
            return f"cidr {ip_address(address)}/{bits}"
        case AnythingBut():
            return f"anything-but {_excluded_words(matcher)}"
        case _:
            return _text_matcher_words(matcher)


def _text_matcher_words(matcher: Exactly | Prefix | Suffix | EqualsIgnoreCase | Wildcard) -> str:
    match matcher:
        case Exactly(text=text):
            return f"exactly {quoted(text)}"
        case EqualsIgnoreCase(text=text):
            return f"equals-ignore-case {quoted(text)}"
        case Wildcard(literals=literals):
            return f"wildcard {quoted('*'.join(map(_escape_star, literals)))}"
        case Prefix(text=text, ignore_case=ignore_case):
            return f"prefix {quoted(text)}{_case_words(ignore_case)}"
        case Suffix(text=text, ignore_case=ignore_case):
            return f"suffix {quoted(text)}{_case_words(ignore_case)}"


def _case_words(ignore_case: bool) -> str:
    return " (in any letter case)" if ignore_case else ""


def _escape_star(literal: str) -> str:
    return literal.replace("\\", "\\\\").replace("*", "\\*")


def _range_words(wanted: Range) -> str:
    low, high = wanted.low, wanted.high
    if low is not None and low == high:
        return f"= {_float_words(low)}"
    bounds = []
    if low is not None:
        bounds.append(f"{'>=' if wanted.with_low else '>'} {_float_words(low)}")
    if high is not None:
        bounds.append(f"{'<=' if wanted.with_high else '<'} {_float_words(high)}")
    return " and ".join(bounds)


def _excluded_words(matcher: AnythingBut) -> str:
    if not matcher.excluded:
        return "nothing"
    shown = [
        matcher_words(each).removeprefix("exactly ").removeprefix("equals ")
        for each in matcher.excluded[:MAX_EXCLUDED_SHOWN]
    ]
    more = len(matcher.excluded) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def value_words(value: Value) -> str:
    """The JSON of a value."""
    if isinstance(value, Number):
        return cut(value.text) if value.value is None else _float_words(value.value)
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def _float_words(value: float) -> str:
    if value.is_integer() and abs(value) < LARGEST_PLAIN_INTEGER:
        return str(int(value))
    return repr(value)


def kind_words(value: object) -> str:
    """What sort of value it is."""
    if isinstance(value, str):
        return "a string"
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return "an empty array" if isinstance(value, list | tuple) else "a number"


def quoted(text: str) -> str:
    """A text as JSON."""
    shown = json.dumps(text[:MAX_CHARACTERS], ensure_ascii=False)
    return printable(shown) + ("…" if len(text) > MAX_CHARACTERS else "")


def cut(text: str) -> str:
    """A name, path or place, without quotes."""
    return printable(text[:MAX_CHARACTERS]) + ("…" if len(text) > MAX_CHARACTERS else "")


def printable(text: str) -> str:
    """`text` with escapes for what a terminal would obey or could not show."""
    return text if text.isprintable() else "".join(map(_printable_character, text))


def _printable_character(character: str) -> str:
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def place_words(place: Place) -> str:
    return steps_words(place.steps())


def steps_words(steps: list[str | int]) -> str:
    """Steps written as in `detail.items[0].price`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return cut(text.removeprefix(".")) if steps else THE_EVENT
