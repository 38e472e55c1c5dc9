"""Why an event did or did not match: the verdict is the matcher's, the reason is one to act on."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from partnerbus.patterns import PatternIndex, event_fields, parse_pattern
from partnerbus.patterns.event_fields import EventFields, decode_json
from partnerbus.patterns.explain import explain
from partnerbus.patterns.explain_places import Places
from partnerbus.patterns.explain_trace import trace
from partnerbus.patterns.explanation import Explanation, Kind, Outcome
from partnerbus.patterns.leaves import Interest, find_leaves, steps_to
from partnerbus.patterns.parser import conjunctions
from partnerbus.patterns.walk import ClauseTest, ConjunctionTest, EventView
from partnerbus.testing.pattern_oracle import oracle_matches
from tests.effort import examples
from tests.patterns.test_agreement import EVENTS, cases, index_of


def explained(pattern, event):
    text = pattern if isinstance(pattern, str) else json.dumps(pattern)
    found = event if isinstance(event, bytes) else json.dumps(event).encode()
    explanation = explain(parse_pattern(text), event_fields(found))
    index = PatternIndex[str]()
    index.add("rule", parse_pattern(text))
    assert explanation.matched == bool(index.match(event_fields(found)))
    return explanation


def clauses(pattern, event):
    """The clauses of the first conjunction that is shown, by path."""
    return {each.path: each for each in explained(pattern, event).conjunctions[0].clauses}


def clause(pattern, event):
    (found,) = clauses(pattern, event).values()
    return found


# -- agreement -----------------------------------------------------------------------------------------


def check(case):
    event, texts = case
    fields = event_fields(event.encode())
    matched = index_of(texts).match(fields)
    for key, text in enumerate(texts):
        found = explain(parse_pattern(text), fields)
        assert found.matched == (key in matched) == oracle_matches(text, event.encode())
        assert msgspec.json.decode(msgspec.json.encode(found), type=Explanation) == found
        for conjunction in found.conjunctions:
            outcomes = [each.outcome for each in conjunction.clauses]
            assert conjunction.matched == found.matched
            assert conjunction.failing == sum(outcome is not Outcome.FITS for outcome in outcomes)
            assert (conjunction.failing == 0) == conjunction.matched
            for each in conjunction.clauses:
                assert (each.outcome is Outcome.MISSING) <= (not each.seen)
                assert (each.outcome is Outcome.DOES_NOT_FIT) <= (not any(seen.fits for seen in each.seen))
                if found.matched:
                    assert_made(each)


def assert_made(each):
    made = [seen for seen in each.seen if seen.made_it]
    if made:
        assert [seen.fits for seen in made] == [True]
    else:
        assert {one.words for one in each.alternatives if one.fits} == {"exists false"}


@example(('{"a":[[""],{"a":""}]}', ['{"a.a":["",{"exists": false}],"a":[""]}']))
@settings(max_examples=examples(150))
@given(cases())
def test_the_explanation_has_the_verdict_of_the_index_and_of_the_oracle(case):
    check(case)


@pytest.mark.soak
@pytest.mark.timeout(900)
@settings(max_examples=examples(1000))
@given(cases())
def test_the_explanation_has_the_verdict_at_length(case):
    check(case)


def view_of(pattern, fields):
    found = conjunctions(parse_pattern(pattern).group)
    tests = {each: ClauseTest(each) for conjunction in found for each in conjunction.values()}
    interest = Interest()
    interest.add({each.path for each in tests})
    return [ConjunctionTest(each, tests) for each in found], EventView(find_leaves(fields, interest))


@settings(max_examples=examples(150))
@given(cases())
def test_the_trace_ends_as_the_walk_does(case):
    event, texts = case
    for text in texts:
        tests, view = view_of(text, event_fields(event.encode()))
        for test in tests:
            found = trace(test.clauses, view)
            assert (found.picks is not None) == test.matches(view)
            assert (found.picks is None) == (found.blocked is not None)


@settings(max_examples=examples(150))
@given(EVENTS, st.data())
def test_every_leaf_is_where_its_place_says(event, data):
    document: Any = decode_json(event.encode())
    every = sorted({step for path in paths_of(document) for step in (*steps_to(path), path)})
    interest = Interest()
    interest.add(data.draw(st.sets(st.sampled_from(every))))
    places = Places(document, interest)
    for path, leaves in find_leaves(EventFields(document), interest).items():
        for leaf in leaves:
            steps = places.of_leaf(leaf.number).steps()
            assert ".".join(step for step in steps if isinstance(step, str)) == path
            value: Any = document
            for step in steps:
                value = value[step]
            assert leaf_of(value) == leaf.value


def leaf_of(scalar):
    interest = Interest()
    interest.add(["x"])
    return find_leaves(EventFields({"x": scalar}), interest)["x"][0].value


def paths_of(value, path=""):
    if isinstance(value, dict):
        for name, child in value.items():
            yield from paths_of(child, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value:
            yield from paths_of(item, path)
    yield path


# -- values --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matcher", "words"),
    [
        ('"x"', 'equals "x"'),
        ('"10.0.0.1"', 'equals "10.0.0.1" (any spelling of the address)'),
        ("5.0", "equals 5"),
        ("1e400", "equals 1e400"),
        ("null", "equals null"),
        ('{"exactly":"x"}', 'exactly "x"'),
        ('{"prefix":"order."}', 'prefix "order."'),
        ('{"suffix":{"equals-ignore-case":"x"}}', 'suffix "x" (in any letter case)'),
        ('{"equals-ignore-case":"x"}', 'equals-ignore-case "x"'),
        ('{"wildcard":"a\\\\**b"}', 'wildcard "a\\\\**b"'),
        ('{"exists":true}', "exists true"),
        ('{"cidr":"10.0.0.0/8"}', "cidr 10.0.0.0/8"),
        ('{"cidr":"2001:db8::/32"}', "cidr 2001:db8::/32"),
        ('{"numeric":[">",100]}', "numeric > 100"),
        ('{"numeric":[">=",0.5,"<",1e300]}', "numeric >= 0.5 and < 1e+300"),
        ('{"numeric":["=",1]}', "numeric = 1"),
        ('{"anything-but":"draft"}', 'anything-but "draft"'),
        ('{"anything-but":[1,2]}', "anything-but 1, 2"),
        ('{"anything-but":{"prefix":["a","b"]}}', 'anything-but prefix "a", prefix "b"'),
        ('{"anything-but":{"suffix":[]}}', "anything-but nothing"),
    ],
)
def test_operators_in_words(matcher, words):
    assert clause(f'{{"a":[{matcher}]}}', {}).alternatives[0].words == words


def test_a_value_that_does_not_fit_is_shown_where_it_stands():
    found = clause({"detail": {"total": [{"numeric": [">", 100]}]}}, {"detail": {"total": [7, 99.5]}})
    assert found.outcome is Outcome.DOES_NOT_FIT
    assert found.reason == "none of the 2 values fits"
    assert [(seen.place, seen.value) for seen in found.seen] == [
        ("detail.total[0]", "7"),
        ("detail.total[1]", "99.5"),
    ]


def test_a_match_says_which_values_made_it():
    items = [{"sku": "y", "price": 200}, {"sku": "x", "price": 1}, {"sku": "x", "price": 300}]
    pattern = {"items": {"sku": ["x", "z"], "price": [{"numeric": [">", 100]}]}, "gone": [{"exists": False}]}
    found = clauses(pattern, {"items": items})
    made = {path: [seen.place for seen in each.seen if seen.made_it] for path, each in found.items()}
    assert made == {"items.sku": ["items[2].sku"], "items.price": ["items[2].price"], "gone": []}
    assert [(each.words, each.fits) for each in found["items.sku"].alternatives] == [
        ('equals "x"', True),
        ('equals "z"', False),
    ]
    assert found["gone"].reason == "there is no value"


def test_a_match_by_absence_from_one_element():
    event = {"a": [{"b": 1, "c": 1}, {"b": 2}]}
    found = clauses({"a": {"b": [2], "c": [1, {"exists": False}]}}, event)
    assert found["a.c"].reason == "there is no value in the element where the others fit"
    assert found["a.c"].seen == ()
    assert [each.words for each in found["a.c"].alternatives if each.fits] == ["exists false"]


def test_a_value_that_should_not_be_there():
    found = clause({"a": [{"exists": False}]}, {"a": 1})
    assert (found.outcome, found.reason) == (Outcome.DOES_NOT_FIT, "it wants no value, but there is one")


# -- arrays --------------------------------------------------------------------------------------------


def test_values_that_fit_only_in_different_elements():
    items = [{"sku": "x", "price": 1}, {"sku": "y", "price": 200}]
    pattern = {"source": ["s"], "detail": {"items": {"sku": ["x"], "price": [200]}}}
    found = clauses(pattern, {"source": "s", "detail": {"items": items}})
    assert {path: each.outcome for path, each in found.items()} == {
        "detail.items.sku": Outcome.OTHER_ELEMENT,
        "detail.items.price": Outcome.OTHER_ELEMENT,
        "source": Outcome.FITS,
    }
    assert found["detail.items.sku"].reason == (
        "fits in element detail.items[0], but detail.items.price fits only in element detail.items[1]"
    )


def test_a_conflict_is_told_beside_a_clause_that_fails_by_itself():
    pattern = {"a": {"b": [1], "c": [2]}, "d": [3]}
    found = clauses(pattern, {"a": [{"b": 1}, {"c": 2}]})
    assert [each.outcome.value for each in found.values()] == ["other-element", "other-element", "missing"]


def test_a_conflict_at_the_outer_of_two_arrays_names_the_outer_elements():
    event = {"o": [{"n": 1, "i": [{"p": 5}, {"p": 6}]}, {"n": 2, "i": [{"p": 7}]}]}
    found = clauses({"o": {"n": [2], "i": {"p": [5, 6]}}}, event)
    assert found["o.n"].reason == "fits in element o[1], but o.i.p fits only in element o[0]"


def test_a_conflict_of_three_names_the_others():
    event = {"a": [{"b": 1, "c": 1}, {"c": 1, "d": 1}, {"b": 1, "d": 1}]}
    found = clauses({"a": {"b": [1], "c": [1], "d": [1]}}, event)
    assert found["a.d"].outcome is Outcome.OTHER_ELEMENT
    assert found["a.d"].reason == "fits in elements a[1], a[2], but not where all of these fit: a.b, a.c"


def test_a_value_that_should_not_be_in_the_element():
    event = {"a": [{"b": 2, "c": 1}, {"b": 1, "c": 2}, {"b": 0}]}
    found = clauses({"a": {"b": [1], "c": [{"exists": False}]}}, event)
    assert found["a.c"].reason == "it wants no value, but there is one at a[1].c"


# -- what is missing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({}, 'missing: the event has no field "a"'),
        ({"a": {}}, 'missing: a has no field "b"'),
        ({"a": [{"b": {"x": 1}}]}, 'missing: a.b has no field "c"'),
        ({"a": {"b": "text"}}, "missing: a.b holds a string, not an object"),
        ({"a": {"b": None}}, "missing: a.b holds null, not an object"),
        ({"a": [1, 2]}, "missing: a holds a number, not an object"),
        ({"a": {"b": {"c": {"d": 1}}}}, "a.b.c is an object; a pattern names the fields inside it"),
        ({"a": {"b": {"c": [[]]}}}, "a.b.c is an empty array"),
        ({"a.b": 1}, "missing: a.b holds a number, not an object"),
    ],
)
def test_a_missing_value_is_missing_where_the_event_ends(event, reason):
    found = clause({"a": {"b": {"c": [1]}}}, event)
    assert (found.outcome, found.reason, found.seen) == (Outcome.MISSING, reason, ())


# -- hints ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matcher", "value", "kind"),
    [
        ("closed", "Closed", Kind.LETTER_CASE),
        ({"prefix": "order."}, "ORDER.closed", Kind.LETTER_CASE),
        ({"suffix": ".PNG"}, "a.png", Kind.LETTER_CASE),
        ("closed", "closed ", Kind.BLANKS),
        (5, "5", Kind.NUMBER_AS_TEXT),
        ({"numeric": [">", 100]}, "250.5", Kind.NUMBER_AS_TEXT),
        ("5", 5, Kind.TEXT_AS_NUMBER),
        (True, "true", Kind.LITERAL_AS_TEXT),
        ("true", True, Kind.LITERAL_AS_TEXT),
        (None, "null", Kind.LITERAL_AS_TEXT),
    ],
)
def test_a_value_that_nearly_fits(matcher, value, kind):
    found = clause({"a": [matcher]}, {"a": value})
    assert [hint.kind for hint in found.hints] == [kind]


@pytest.mark.parametrize(
    ("matcher", "value"),
    [
        ("closed", "open"),
        ({"anything-but": "5"}, "5"),
        ({"anything-but": ["x"]}, "x"),
        (5, "1_0"),
        (5, "٥"),
        ({"exists": False}, "x"),
        ("x", "x" + " " * 100_000),
    ],
)
def test_no_hint_without_a_near_miss(matcher, value):
    assert clause({"a": [matcher]}, {"a": value}).hints == ()


@pytest.mark.parametrize(
    ("pattern", "event", "kind", "sentence"),
    [
        (
            {"detail": {"State": [1]}},
            {"detail": {"x": 0, "state": 1}},
            Kind.KEY_SPELLING,
            'detail has a field "state"',
        ),
        ({"detail-type": [1]}, {"Detail-Type": 1}, Kind.KEY_SPELLING, 'the event has a field "Detail-Type"'),
        ({"a.B.c": [1]}, {"a.b": {"c": 1}}, Kind.KEY_SPELLING, 'the event has a field "a.b"'),
        ({"a": [1]}, {"a ": 1}, Kind.KEY_SPELLING, 'the event has a field "a "'),
        (
            {"state": [1]},
            {"detail": {"state": 1}},
            Kind.INSIDE_DETAIL,
            "the event has detail.state: put the field inside detail",
        ),
        (
            {"detail": {"source": ["s"]}},
            {"source": "s", "detail": {}},
            Kind.OUTSIDE_DETAIL,
            "the event has source, outside detail",
        ),
    ],
)
def test_a_key_that_is_elsewhere(pattern, event, kind, sentence):
    (hint,) = clause(pattern, event).hints
    assert (hint.kind, hint.sentence) == (kind, sentence)


# -- $or -----------------------------------------------------------------------------------------------


def test_the_nearest_of_many_comes_first():
    branches = [{"a": [1], "b": [1], "c": [1]}, {"a": [0], "b": [1], "d": [1]}, {"e": [1], "f": [1]}]
    found = explained({"$or": branches, "x": [1]}, {"a": 0, "b": 1, "x": 1})
    assert found.tried == 3
    assert [(each.number, each.failing) for each in found.conjunctions] == [(2, 1), (1, 2), (3, 2)]
    assert next(iter(found.conjunctions[0].clauses)).path == "d"


def test_of_many_that_match_the_first_is_shown():
    found = explained({"$or": [{"a": [1]}, {"b": [1]}, {"c": [1]}]}, {"b": 1, "c": 1})
    assert (found.tried, [each.number for each in found.conjunctions]) == (2, [2])
