"""Explaining hostile patterns and events takes bounded time, and what comes out is short and printable."""

import json

import msgspec
import pytest

from partnerbus.patterns import event_fields, parse_pattern
from partnerbus.patterns.explain import GIVEN_UP, explain
from partnerbus.patterns.explanation import (
    MAX_ALTERNATIVES_SHOWN,
    MAX_CLAUSES_SHOWN,
    MAX_CONJUNCTIONS_SHOWN,
    MAX_VALUES_SHOWN,
)
from tests.bounded import bounded

pytestmark = pytest.mark.slow

LONGEST = 200_000
"""Bytes of JSON that an explanation may take at the very most."""


def explained(pattern, event):
    text = pattern if isinstance(pattern, str) else json.dumps(pattern)
    found = event if isinstance(event, bytes) else json.dumps(event).encode()
    explanation = explain(parse_pattern(text), event_fields(found))
    encoded = msgspec.json.encode(explanation)
    assert len(encoded) < LONGEST
    assert encoded.decode().isprintable()
    return explanation


@bounded(200)
def test_many_of_everything_is_counted_and_cut():
    fields = {f"k{number}": list(range(50)) for number in range(80)}
    event = {f"k{number}": [-1] * 1000 for number in range(80)}
    branches = [{**fields, "z": [branch]} for branch in range(100)]
    found = explained({"$or": branches}, event)
    assert (found.tried, len(found.conjunctions)) == (100, MAX_CONJUNCTIONS_SHOWN)
    first = found.conjunctions[0]
    assert (len(first.clauses), first.more_clauses) == (MAX_CLAUSES_SHOWN, 81 - MAX_CLAUSES_SHOWN)
    clause = first.clauses[0]
    assert (len(clause.alternatives), clause.more_alternatives) == (MAX_ALTERNATIVES_SHOWN, 40)
    assert (len(clause.seen), clause.more_seen) == (MAX_VALUES_SHOWN, 1000 - MAX_VALUES_SHOWN)


def test_a_fitting_value_or_alternative_is_shown_however_many_there_are():
    (conjunction,) = explained({"a": list(range(50))}, {"a": [*range(100, 200), 49]}).conjunctions
    (clause,) = conjunction.clauses
    assert [(seen.place, seen.value) for seen in clause.seen if seen.made_it] == [("a[100]", "49")]
    assert [each.words for each in clause.alternatives if each.fits] == ["equals 49"]


def test_the_value_that_made_it_is_shown_however_many_fit():
    items = [{"b": 1, "c": int(number == 30)} for number in range(50)]
    (conjunction,) = explained({"a": {"b": [1], "c": [1]}}, {"a": items}).conjunctions
    assert [[seen.place for seen in each.seen if seen.made_it] for each in conjunction.clauses] == [
        ["a[30].b"],
        ["a[30].c"],
    ]


def test_a_value_that_fits_in_another_element_is_shown_however_many_do_not():
    items = [{"b": int(number == 30), "c": int(number == 40)} for number in range(50)]
    (conjunction,) = explained({"a": {"b": [1], "c": [1]}}, {"a": items}).conjunctions
    assert [[seen.place for seen in each.seen if seen.fits] for each in conjunction.clauses] == [
        ["a[30].b"],
        ["a[40].c"],
    ]


@bounded()
def test_long_texts_are_cut():
    long = "x" * 500_000
    found = explained({"a": {"y" * 3000: [1]}, "b": [long], "c": [1]}, {"a": {}, "b": long + "y", "c": long})
    assert "…" in found.conjunctions[0].clauses[1].seen[0].value


@pytest.mark.parametrize("name", ["\x1b[31m", "\u202e", "\n\x00", "\x9b", "\ud800", "a\u2028b"])
def test_what_a_terminal_would_obey_is_escaped(name):
    pattern = json.dumps({name: [name], "b": {name: [1]}})
    explained(pattern, {"b": {}})
    if name != "\ud800":
        explained(pattern, {name: name + "x", "b": {name.upper() + " ": 1}})


def test_a_lone_surrogate_of_a_pattern_is_escaped():
    found = explained('{"a":["\\ud83d"]}', {"a": "x"})
    assert found.conjunctions[0].clauses[0].alternatives[0].words == 'equals "\\ud83d"'


@bounded()
def test_many_elements_that_never_fit_together():
    names = "abcdefgh"
    event = {"x": [{names[number % 8]: 1} for number in range(50_000)]}
    found = explained({"x": {name: [1] for name in names}}, event)
    assert found.conjunctions[0].failing == 2
    assert "x[0], x[8], x[16]" in found.conjunctions[0].clauses[0].reason


@bounded()
def test_many_conjunctions_against_many_elements():
    ors = {f"f{number}": {"$or": [{f"b{branch}": [branch]} for branch in range(30)]} for number in range(2)}
    event = {"x": [{"f0": {"b1": 1}, "f1": {"b2": 2}} for _ in range(5000)]}
    found = explained({"x": {**ors, "z": [1]}}, event)
    assert (found.tried, found.conjunctions[0].failing) == (900, 1)


@bounded()
def test_deep_arrays_and_long_ways():
    deep = b'{"detail":{"a":' + b"[" * 300 + b"1," * 100_000 + b"1" + b"]" * 300 + b"}}"
    found = explained({"detail": {"a": [2], "b": [1]}}, deep)
    assert found.conjunctions[0].clauses[0].seen[0].place.endswith("…")
    dotted = ".".join("a" * 1000)
    explained({dotted: [1]}, {dotted[:-2]: {"b": 1}, "A": 1})


@bounded()
def test_many_names_are_looked_at_once():
    event = {"detail": {f"K{number}": 1 for number in range(50_000)}}
    found = explained({"detail": {f"k{number}": [1] for number in range(200)}}, event)
    assert all(clause.hints for clause in found.conjunctions[0].clauses)


@bounded(200)
def test_a_search_that_is_given_up_is_said_to_be():
    event = {"a.b": [{"c": 1} for _ in range(2000)], "a": {"b": [{"d": 1} for _ in range(2000)]}}
    pattern = {"a": {"b": {"c": [1], "d": [1], "e": [{"exists": False}]}}}
    found = explained(pattern, event)
    assert not found.matched
    assert GIVEN_UP in {clause.reason for clause in found.conjunctions[0].clauses}
