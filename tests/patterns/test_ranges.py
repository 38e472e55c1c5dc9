"""Patterns that only numeric bounds tell apart come and go; each event finds those that are there."""

import json
import random
from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partnerbus.patterns import PatternIndex, event_fields, parse_pattern, terms
from partnerbus.patterns.ranges import RangeTable, joined
from partnerbus.testing.pattern_oracle import oracle_matches

BOUNDS = st.integers(-3, 3)
SEGMENTS = st.tuples(BOUNDS, BOUNDS)


def pattern_of(*matchers, path="a"):
    return json.dumps({"source": ["s"], "detail": {path: list(matchers)}})


def between(low, high, *, including=True):
    return {"numeric": [">=" if including else ">", low, "<=" if including else "<", high]}


CLAUSES = st.lists(
    st.one_of(
        BOUNDS,
        st.tuples(BOUNDS, st.integers(1, 4), st.booleans()).map(
            lambda drawn: between(drawn[0], drawn[0] + drawn[1], including=drawn[2])
        ),
        st.tuples(st.sampled_from(["<", "<=", ">", ">=", "="]), BOUNDS).map(
            lambda drawn: {"numeric": [*drawn]}
        ),
        st.lists(BOUNDS, min_size=1, max_size=3).map(lambda numbers: {"anything-but": numbers}),
        st.sampled_from([True, None, {"exists": False}]),
    ),
    min_size=1,
    max_size=4,
)
VALUES = st.one_of(
    BOUNDS,
    BOUNDS.map(lambda number: number + 0.5),
    st.sampled_from([1e300, 2**53 + 1, "x", True, None, [], [0, 2.5], {"b": 1}]),
)
STEPS = st.lists(st.tuples(st.integers(0, 5), st.none() | CLAUSES, VALUES), min_size=1, max_size=12)
"""A rule's number, what it becomes (None: it goes), and the value of the event that comes next."""


def expected(rules, event):
    """Keys by the oracle. Their order is that of adding, so it is not looked at."""
    return sorted(key for key, text in rules.items() if oracle_matches(text, event))


@pytest.mark.parametrize("compared", [-1, 15])
@given(STEPS)
def test_ranges_come_and_go_between_events(compared, steps):
    index = PatternIndex[int](compile_after=1)
    rules: dict[int, str] = {}
    with patch.object(terms, "COMPARED_BOUNDS", compared):
        for key, clause, value in steps:
            if clause is None:
                index.remove(key)
                rules.pop(key, None)
            else:
                rules[key] = pattern_of(*clause)
                index.add(key, parse_pattern(rules[key]))
            event = json.dumps({"source": "s", "detail": {"a": value}}).encode()
            found = expected(rules, event)
            assert sorted(index.match_json(event)) == found
            assert sorted(index.match(event_fields(event))) == found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float", "integer", "array", "elements"])
def test_hundreds_of_rules_with_bounds_of_their_own(kind):
    chance = random.Random(kind)
    index = PatternIndex[int](compile_after=0)
    rules: dict[int, str] = {}

    def number():
        drawn = chance.uniform(-1000, 1000)
        return int(drawn) if kind == "integer" else drawn

    def event():
        inner = {"b": [number(), number()] if kind == "array" else number()}
        return {"source": "s", "detail": {"a": [inner, {"b": number()}] if kind == "elements" else inner}}

    for step in range(600):
        key = chance.randrange(200)
        if key in rules and step > 300:
            index.remove(key)
            del rules[key]
        else:
            low = chance.uniform(-1000, 1000)
            rules[key] = pattern_of(
                between(low, low + 100), {"numeric": [">", low + 50, "<", low + 150]}, path="a.b"
            )
            index.add(key, parse_pattern(rules[key]))
        if step % 3 == 0:
            text = json.dumps(event()).encode()
            assert sorted(index.match_json(text)) == expected(rules, text)


@given(st.lists(st.tuples(SEGMENTS, SEGMENTS), max_size=8), st.data())
def test_a_table_is_what_its_ranges_are(pairs, data):
    table = RangeTable()
    kept = {1 << n: joined(pair) for n, pair in enumerate(pairs)}
    present: dict[int, list[tuple[float, float]]] = {}

    def toggle(bits):
        for low, high in kept[bits]:
            table.toggle(low, high, bits)
        if present.pop(bits, None) is None:
            present[bits] = kept[bits]

    for bits in data.draw(st.lists(st.sampled_from([*kept]), max_size=20)) if kept else ():
        toggle(bits)
        number = data.draw(BOUNDS)
        wanted = sum(
            bits for bits, found in present.items() if any(low <= number < high for low, high in found)
        )
        assert table.hits(number) == wanted
    for bits in [*present]:
        toggle(bits)
    assert table.bounds == []
    assert table.hits(0) == 0


@given(st.lists(SEGMENTS, max_size=5), BOUNDS)
def test_joined_ranges_hold_the_same_numbers(ranges, number):
    found = joined(ranges)
    assert any(low <= number < high for low, high in found) == any(
        low <= number < high for low, high in ranges
    )
    assert all(low < high for low, high in found)
    assert all(first[1] < second[0] for first, second in pairwise(found))


@pytest.mark.parametrize(
    "number", [2**53 - 1, 2**53, 2**53 + 1, 2**53 + 2, 1 - 2**53, -(2**53), -(2**53) - 1]
)
@pytest.mark.parametrize("wanted", [{"numeric": [">", 0]}, {"numeric": ["<", 0]}, {"numeric": ["=", 2**53]}])
def test_an_integer_that_no_double_holds_is_in_no_range(number, wanted):
    rules = {0: pattern_of(wanted), 1: pattern_of(wanted, path="b.c")}
    index = PatternIndex[int](compile_after=0)
    for key, text in rules.items():
        index.add(key, parse_pattern(text))
    for inner in ({"c": number}, [{"c": number}, {"c": None}]):
        event = json.dumps({"source": "s", "detail": {"a": number, "b": inner}}).encode()
        for _ in range(3):  # the second function is not there for the first array
            assert list(index.match_json(event)) == expected(rules, event)
