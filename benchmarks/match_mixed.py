"""The heterogeneous bus: 50 sources, each with fields of its own, and rules of every operator on them."""

import random
from collections.abc import Callable, Sequence
from functools import cache

import msgspec

from benchmarks.match_workload import Json, Workload, encode, envelope, hex_id, seeded

SOURCES = 50
FIELDS = 12
RULES_ON_ANY_TYPE = 0.4
"""The share of rules that do not ask for the detail-type."""

_NOUNS = (
    "batch",
    "door",
    "invoice",
    "lease",
    "meter",
    "parcel",
    "room",
    "sensor",
    "ticket",
    "vessel",
    "visit",
)
_ASPECTS = ("code", "grade", "holder", "label", "level", "origin", "place", "rank", "stage", "zone")
_WORDS = ("amber", "basalt", "cedar", "delta", "ember", "fjord", "garnet", "harbor", "indigo", "juniper")

Draw = Callable[[random.Random], object]


class Field(msgspec.Struct, frozen=True):
    """A field of one source's events: where it is, what it holds, and what a rule may ask of it."""

    path: tuple[str, ...]
    value: Draw
    clause: Draw


def heterogeneous(rules: int) -> Workload:
    """Rule n is on source n % 50; each has one to three clauses besides."""

    def near(number: int) -> Sequence[int]:
        return range(_source_of_event(number), rules, SOURCES)

    return Workload(f"heterogeneous-{rules}", rules, _rule, _event, near)


def _source_of_event(number: int) -> int:
    return seeded("mixed source", number).randrange(SOURCES)


def _name(source: int) -> str:
    return f"aws.partner/{_WORDS[source % 10]}{source // 10}.example/{hex_id('bus', source, 6)}"


def _detail_type(source: int, which: int) -> str:
    return f"{_NOUNS[source % 11].capitalize()} {('opened', 'changed', 'closed')[which]}"


@cache
def _fields(source: int) -> tuple[Field, ...]:
    """The fields of a source; half of them lie in one of two objects."""
    chance = seeded("mixed fields", source)
    names = chance.sample([f"{noun}_{aspect}" for noun in _NOUNS for aspect in _ASPECTS], FIELDS + 2)
    parents = ((), (), (names[-1],), (names[-2],))
    kinds = (_word, _word, _identifier, _route, _amount, _flag)
    return tuple(
        kinds[n % len(kinds)]((*parents[n % len(parents)], names[n]), source * FIELDS + n)
        for n in range(FIELDS)
    )


def _rule(number: int) -> str:
    source = number % SOURCES
    chance = seeded("mixed rule", number)
    detail: Json = {}
    for field in chance.sample(_fields(source), chance.choice((1, 2, 2, 3))):
        _put(detail, field.path, field.clause(chance))
    pattern: Json = {"source": [_name(source)], "detail": detail}
    if chance.random() >= RULES_ON_ANY_TYPE:
        pattern["detail-type"] = [_detail_type(source, chance.randrange(3))]
    return encode(pattern).decode()


def _event(number: int) -> bytes:
    source = _source_of_event(number)
    chance = seeded("mixed event", number)
    detail: Json = {}
    for field in _fields(source):
        _put(detail, field.path, field.value(chance))
    detail["remarks"] = [chance.choice(_WORDS) for _ in range(8)]
    detail["payload"] = f"{chance.getrandbits(760):0190x}"
    return encode(envelope(_name(source), _detail_type(source, chance.randrange(3)), chance, detail))


def _put(into: Json, path: tuple[str, ...], value: object) -> None:
    for name in path[:-1]:
        child = into.setdefault(name, {})
        assert isinstance(child, dict)
        into = child
    into[path[-1]] = value


def _word(path: tuple[str, ...], _: int) -> Field:
    """One of ten words."""

    def clause(chance: random.Random) -> object:
        word = chance.choice(_WORDS)
        some: list[object] = chance.sample(_WORDS, 2)
        return chance.choice((some, some, [{"equals-ignore-case": word.upper()}], [{"anything-but": some}]))

    return Field(path, lambda chance: chance.choice(_WORDS), clause)


def _identifier(path: tuple[str, ...], salt: int) -> Field:
    """One of a thousand identifiers."""

    def value(chance: random.Random) -> str:
        return hex_id("id", salt * 1_000 + chance.randrange(1_000))

    def clause(chance: random.Random) -> object:
        return chance.choice(([value(chance) for _ in range(4)], [{"prefix": value(chance)[:4]}]))

    return Field(path, value, clause)


def _route(path: tuple[str, ...], _: int) -> Field:
    """A path of three words."""

    def value(chance: random.Random) -> str:
        return "/".join(chance.choices(_WORDS, k=3))

    def clause(chance: random.Random) -> object:
        first, last = chance.choices(_WORDS, k=2)
        forms = ({"prefix": f"{first}/"}, {"suffix": f"/{last}"}, {"suffix": f"/{last}"})
        return [chance.choice((*forms, {"wildcard": f"{first}/*/{last}"}))]

    return Field(path, value, clause)


def _amount(path: tuple[str, ...], _: int) -> Field:
    """A number with two decimals."""

    def clause(chance: random.Random) -> object:
        bottom = chance.randrange(900)
        return [{"numeric": [">=", bottom, "<", bottom + chance.choice((10, 100, 300))]}]

    return Field(path, lambda chance: round(chance.random() * 1_000, 2), clause)


def _flag(path: tuple[str, ...], _: int) -> Field:
    """True, false or null."""

    def clause(chance: random.Random) -> object:
        return chance.choice(([True], [False], [None], [{"exists": True}]))

    return Field(path, lambda chance: chance.choice((True, False, False, None)), clause)
