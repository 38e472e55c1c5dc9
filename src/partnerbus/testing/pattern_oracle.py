"""What an event pattern means, written down as plainly as possible, to hold the real matcher against.

It shares nothing with the matcher, not even its parser: it reads the pattern's text, expands, flattens,
compares and walks on its own, without regard for time. Use it on small events, and on patterns that
`parse_pattern` accepts.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple, TypeAlias


class NumberText(NamedTuple):
    """A number, as it was written."""

    text: str


class Members(NamedTuple):
    """An object of a pattern: its members in the order of the text, with those that have one name."""

    pairs: list[tuple[str, "Json"]]


Json: TypeAlias = "Members | list[Json] | str | NumberText | bool | None"

Memberships = dict[int, int]
"""Which element (by index) of which array (by identity) a leaf is in."""

Alternatives = list[Json]
Conjunction = dict[str, Alternatives]


class Leaf(NamedTuple):
    path: str
    value: object
    memberships: Memberships


def oracle_matches(pattern: str, event_json: bytes) -> bool:
    """Whether the event matches, by the book."""
    event = json.loads(event_json, parse_int=NumberText, parse_float=NumberText)
    leaves = list(_flatten(event, "", {}))
    for conjunction in _expand(_read(pattern).pairs, ""):
        order = sorted(conjunction, key=lambda path: path.encode("utf-16-be", "surrogatepass"))
        if _walk([(path, conjunction[path]) for path in order], {}, leaves):
            return True
    return False


def _read(pattern: str) -> Members:
    """The pattern's object; what follows it is ignored."""
    decoder = json.JSONDecoder(object_pairs_hook=Members, parse_int=NumberText, parse_float=NumberText)
    found, _ = decoder.raw_decode(pattern.lstrip())
    assert isinstance(found, Members)
    return found


def _expand(pairs: list[tuple[str, Json]], prefix: str) -> Iterator[Conjunction]:
    """Every way to take one branch of each `$or`; of equal paths the last counts."""
    if not pairs:
        yield {}
        return
    for first in _readings(*pairs[0], prefix):
        for rest in _expand(pairs[1:], prefix):
            yield {**first, **rest}


def _readings(name: str, value: Json, prefix: str) -> Iterator[Conjunction]:
    if isinstance(value, Members):
        yield from _expand(value.pairs, f"{prefix}{name}.")
        return
    assert isinstance(value, list)
    if name != "$or":
        yield {prefix + name: value}
        return
    for branch in value:
        assert isinstance(branch, Members)
        yield from _expand(branch.pairs, prefix)


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


def _walk(clauses: list[tuple[str, Alternatives]], chosen: Memberships, leaves: list[Leaf]) -> bool:
    if not clauses:
        return True
    (path, alternatives), rest = clauses[0], clauses[1:]
    here = [leaf for leaf in leaves if leaf.path == path and _fits(leaf.memberships, chosen)]
    if Members([("exists", False)]) in alternatives and not here and _walk(rest, chosen, leaves):
        return True
    return any(
        _walk(rest, chosen | leaf.memberships, leaves)
        for leaf in here
        if any(_accepts(alternative, leaf.value) for alternative in alternatives)
    )


def _fits(memberships: Memberships, chosen: Memberships) -> bool:
    return all(chosen.get(array, index) == index for array, index in memberships.items())


def _accepts(alternative: Json, value: object) -> bool:
    match alternative:
        case Members(pairs=[(operator, operand)]):
            return _accepts_by(operator, operand, value)
        case NumberText():
            return isinstance(value, NumberText) and _same_number(alternative, value)
        case str():
            return isinstance(value, str) and (value == alternative or _same_address(alternative, value))
        case _:
            return value is alternative


def _accepts_by(operator: str, operand: Json, value: object) -> bool:
    match operator:
        case "exists":
            return operand is True
        case "anything-but":
            return not any(_accepts(excluded, value) for excluded in _excluded(operand))
        case "numeric":
            assert isinstance(operand, list)
            return isinstance(value, NumberText) and _in_range(operand, value)
        case _:
            return isinstance(value, str) and _accepts_text(operator, operand, value)


def _excluded(operand: Json) -> Alternatives:
    """What anything-but excludes, as alternatives; its strings are not addresses."""
    if isinstance(operand, Members):
        [(operator, texts)] = operand.pairs
        return [Members([(operator, text)]) for text in (texts if isinstance(texts, list) else [texts])]
    values = operand if isinstance(operand, list) else [operand]
    return [Members([("exactly", value)]) if isinstance(value, str) else value for value in values]


def _decimal(number: NumberText) -> Decimal | None:
    """The value it is compared by, None if by its text.

    With a fraction or an exponent it is the double next to it; without, it must be the shortest decimal of
    one.
    """
    nearest = float(number.text)
    if abs(nearest) == float("inf"):
        return None
    shortest = Decimal(repr(nearest))
    return shortest if re.search("[.eE]", number.text) or shortest == Decimal(number.text) else None


def _same_number(wanted: NumberText, value: NumberText) -> bool:
    number = _decimal(wanted)
    return wanted.text == value.text if number is None else number == _decimal(value)


def _in_range(bounds: list[Json], value: NumberText) -> bool:
    number = _decimal(value)
    if number is None:
        return False
    for operator, bound in zip(bounds[::2], bounds[1::2], strict=True):
        assert isinstance(bound, NumberText)
        limit = Decimal(bound.text)
        holds = {
            "=": number == limit,
            "<": number < limit,
            "<=": number <= limit,
            ">": number > limit,
            ">=": number >= limit,
        }
        if not holds[str(operator)]:
            return False
    return True


def _accepts_text(operator: str, operand: Json, value: str) -> bool:
    ignore_case = operator == "equals-ignore-case"
    if isinstance(operand, Members):
        [(_, operand)] = operand.pairs
        ignore_case = True
    assert isinstance(operand, str)
    match operator:
        case "prefix":
            return any(_equal(operand, value[:end], ignore_case) for end in range(len(value) + 1))
        case "suffix":
            return any(_equal(operand, value[start:], ignore_case) for start in range(len(value) + 1))
        case "exactly" | "equals-ignore-case":
            return _equal(operand, value, ignore_case)
        case "wildcard":
            return re.fullmatch(_regex(operand), value, re.DOTALL) is not None
        case _:
            assert operator == "cidr"
            return _in_block(operand, value)


def _regex(wildcard: str) -> str:
    parts = re.findall(r"\\.|.", wildcard, re.DOTALL)
    return "".join(".*" if part == "*" else re.escape(part[-1]) for part in parts)


def _in_block(block: str, value: str) -> bool:
    base, bits = block.split("/")
    found = _address(value)
    return found is not None and found in ip_network(f"{_address(base)}/{int(bits)}", strict=False)


def _same_address(wanted: str, value: str) -> bool:
    address = _address(wanted)
    return address is not None and address == _address(value)


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
