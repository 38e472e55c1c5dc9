"""How an index keeps its patterns: what it compiles, what it remembers, and what takes the slow way."""

import json

import pytest

from partnerbus.patterns import EventFields, PatternIndex, event_fields, parse_pattern
from partnerbus.patterns.block import CONJUNCTIONS_PER_BLOCK
from partnerbus.patterns.group import SMALL_GROUP
from partnerbus.patterns.memo import LONGEST_TEXT, MEMO_VALUES, TRIAL_VALUES
from partnerbus.patterns.path_test import PathTest
from partnerbus.patterns.program import MOST_PATHS, NOT_PLAIN_AT_MOST
from partnerbus.patterns.syntax import Prefix, Text
from partnerbus.testing.pattern_oracle import oracle_matches

SOURCE = "aws.partner/acme.com/orders"


def index_of(*patterns, compile_after=0):
    index = PatternIndex[int](compile_after=compile_after)
    for key, pattern in enumerate(patterns):
        index.add(key, parse_pattern(json.dumps(pattern)))
    return index


def detail_of(pattern):
    return {"source": [SOURCE], "detail": pattern}


def both_ways(index, event):
    """What an index says to an event, decoded in part and not at all."""
    text = json.dumps(event).encode()
    found = list(index.match(event_fields(text)))
    assert list(index.match_json(text)) == found
    return found


def tenants(count):
    return [detail_of({"tenant": [f"t{n // 2}"], "total": [{"numeric": [">", n]}]}) for n in range(count)]


def only_group(index):
    [group] = vars(index)["_groups"].values()
    return group


def order(tenant, total):
    return {"source": SOURCE, "detail": {"tenant": tenant, "total": total}}


FIRST_NOT_PLAIN = 2
"""Of whole events and of details: one matched the slow way before there is a function for it."""

REGULAR = [
    {"source": SOURCE, "detail": {"a": "x"}},
    {"source": SOURCE, "detail": {"a": None, "b": {"c": 3}}},
    {"source": SOURCE, "detail": {"a": ["y", "x"], "b": [{"c": 1}, 7, [{"c": 2.5}]]}},
    {"source": SOURCE, "detail": {"a": {"other": 1}, "b": "text"}},
    {"source": SOURCE, "detail": {}},
    {"source": SOURCE},
    {"source": "elsewhere", "detail": {"a": "x"}},
]


@pytest.mark.parametrize("event", REGULAR)
def test_regular_events_need_no_slow_way(event):
    index = index_of(
        detail_of({"a": ["x"]}),
        detail_of({"b": {"c": [{"numeric": [">", 2]}]}}),
        detail_of({"a": [{"exists": False}]}),
        {"detail": {"a": [{"anything-but": "y"}]}},
    )
    both_ways(index, event)
    already = index.slow_matches
    both_ways(index, event)
    assert index.slow_matches == already <= FIRST_NOT_PLAIN


@pytest.mark.parametrize(
    "event",
    [
        {"source": SOURCE, "detail": {"b.c": 3}},
        {"source": SOURCE, "detail": {"a": ["y", ["x"]]}},
        {"source": SOURCE, "detail": {"b": [{"c": 3}]}},
        {"source": SOURCE, "detail": {"b": [{"d": 3}, {"c": 1}]}},
        {"source": SOURCE, "detail": {"b": {"c": 2**53 + 1}}},
        {"source": SOURCE, "detail": {"b": [[[[[{"c": 3}]]]]]}},
        {"source": [SOURCE, "other"], "detail": {"b": {"c": 3}}},
    ],
)
def test_an_event_that_is_not_regular_is_matched_all_the_same(event):
    patterns = (
        detail_of({"a": ["x", "v", "w"]}),
        detail_of({"b": {"c": [{"numeric": [">", 2]}]}}),
        detail_of({"b": {"c": [{"exists": True}], "d": [{"exists": False}]}}),
    )
    text = json.dumps(event).encode()
    expected = [key for key, each in enumerate(patterns) if oracle_matches(json.dumps(each), text)]
    index = index_of(*patterns)
    assert both_ways(index, event) == expected
    already = index.slow_matches
    assert both_ways(index, event) == expected
    assert index.slow_matches > already or event["detail"].get("b") == {"c": 2**53 + 1}


def test_the_first_events_are_not_worth_a_program():
    index = index_of(detail_of({"a": ["x"]}), compile_after=3)
    for _ in range(5):
        assert both_ways(index, REGULAR[0]) == [0]
    assert index.slow_matches == 3


def test_patterns_are_found_by_the_text_that_tells_them_apart():
    index = index_of(*tenants(10 * SMALL_GROUP))
    group = only_group(index)
    assert set(group.tables) == {("detail.tenant",)}
    assert sum(map(len, group.blocks)) == 0
    assert both_ways(index, order("t3", 6.5)) == [6]
    assert both_ways(index, order(["t1", "t3", "t3"], 6.5)) == [2, 3, 6]
    assert both_ways(index, order(3, 6.5)) == []
    assert index.slow_matches == FIRST_NOT_PLAIN
    nested = {"source": SOURCE, "detail": [{"tenant": "t1"}, {"tenant": "t3", "total": 6.5}]}
    assert both_ways(index, nested) == [6]
    assert index.slow_matches == FIRST_NOT_PLAIN + 2


def test_a_text_that_many_patterns_want_finds_only_some_of_them():
    patterns = tenants(2 * SMALL_GROUP)
    patterns += [detail_of({"tenant": ["t0"], "total": [{"numeric": ["=", n]}]}) for n in range(100)]
    index = index_of(*patterns)
    assert both_ways(index, order("t0", 0.5)) == [0]
    assert both_ways(index, order("t0", 77)) == [0, 1, 2 * SMALL_GROUP + 77]
    assert index.slow_matches == 0


def test_more_paths_than_are_compiled():
    patterns = [detail_of({f"f{number}": ["x"]}) for number in range(MOST_PATHS + 1)]
    index = index_of(*patterns)
    event = {"source": SOURCE, "detail": {"f7": "x", f"f{MOST_PATHS}": "x"}}
    assert both_ways(index, event) == [7, MOST_PATHS]
    assert index.slow_matches == 2
    index.remove(0)
    assert both_ways(index, event) == [7, MOST_PATHS]
    assert index.slow_matches == 2


def test_more_patterns_than_a_block_holds():
    count = 2 * CONJUNCTIONS_PER_BLOCK + 10
    index = index_of(*(detail_of({"n": [{"numeric": [">=", number]}]}) for number in range(count)))
    assert both_ways(index, {"source": SOURCE, "detail": {"n": count - 3}}) == list(range(count - 2))
    for number in range(count):
        index.remove(number)
    assert vars(index)["_groups"] == {}


def remembering():
    """A test of one path, what it remembers, and a list that grows with each change of mind."""
    test, changes = PathTest(), []
    test.add((Prefix("x"),), 1)
    test.add((Text("x7"),), 2)
    return test, test.memo(lambda: changes.append(1)), changes


def test_what_is_remembered_of_values_is_bounded():
    _, memo, _ = remembering()
    for number in range(3 * MEMO_VALUES):
        assert memo[f"x{number}"] == (0 if number == 7 else 2)
        assert memo[number] == 3
        assert len(memo) <= MEMO_VALUES


def test_a_path_is_varied_if_its_first_values_do_not_come_again():
    test, memo, changes = remembering()
    for number in range(2 * TRIAL_VALUES + 1):
        assert memo[f"x{number}"] == (0 if number == 7 else 2)
    assert (test.is_varied, changes) == (True, [1])


def test_a_path_is_not_varied_if_they_do():
    test, memo, changes = remembering()
    for number in range(5 * TRIAL_VALUES):
        memo[f"x{number % (TRIAL_VALUES + 5)}"]
    assert (test.is_varied, changes) == (False, [])


def test_long_texts_are_not_remembered():
    _, memo, _ = remembering()
    for length in (LONGEST_TEXT, LONGEST_TEXT + 1):
        assert memo["x" * length] == 2
    assert [len(text) for text in memo] == [LONGEST_TEXT]


def test_beginnings_at_the_end_of_all_texts():
    last = "\U0010ffff"
    texts = (
        "",
        "a",
        "ab",
        f"a{last}",
        f"a{last}x",
        "b",
        last,
        f"{last}a",
        f"{last}{last}",
        "\ud7ff",
        "\ue000",
    )
    for prefix in ("", "a", last, f"a{last}", f"{last}{last}", "\ud7ff"):
        index = index_of(detail_of({"a": [{"prefix": prefix}]}))
        for text in texts:
            event = {"source": SOURCE, "detail": {"a": text}}
            assert both_ways(index, event) == [0] * text.startswith(prefix)


def test_sources_that_nobody_has_patterns_for_are_not_remembered():
    index = index_of(detail_of({"a": ["x"]}), {"source": ["other"]}, {"detail": {"a": ["x"]}})
    for number in range(1000):
        event = {"source": f"s{number}", "detail": {"a": "x"}}
        assert both_ways(index, event) == [2]
    assert index.slow_matches == 0
    for name in ("_groups", "_programs", "_for_details", "_for_events"):
        assert len(vars(index)[name]) <= 3


def test_patterns_come_and_go_between_events():
    index = index_of(*tenants(3 * SMALL_GROUP))
    event = {"source": SOURCE, "detail": {"tenant": "t1", "total": 10, "new": {"field": "x"}}}
    extra = parse_pattern(json.dumps(detail_of({"new": {"field": [{"prefix": "x"}]}})))
    anywhere = parse_pattern('{"detail":{"total":[10]}}')
    for _ in range(3):
        assert both_ways(index, event) == [2, 3]
        index.add(-1, extra)
        assert both_ways(index, event) == [2, 3, -1]
        index.add(-2, anywhere)
        assert both_ways(index, event) == [2, 3, -1, -2]
        index.remove(-1)
        assert both_ways(index, event) == [2, 3, -2]
        index.remove(-2)
    assert index.slow_matches == 0


def test_a_pattern_of_the_source_alone():
    index = index_of({"source": [SOURCE]}, {"source": [SOURCE, "other"]})
    assert both_ways(index, {"source": SOURCE, "detail": {}}) == [0, 1]
    assert both_ways(index, {"source": "other"}) == [1]
    assert list(index.match(EventFields({"source": SOURCE}))) == [0, 1]


def test_arrays_in_the_envelope_are_no_absence():
    patterns = [dict(each, resources=[{"exists": False}]) for each in tenants(2 * SMALL_GROUP)]
    index = index_of(*patterns)
    for resources, expected in 2 * [(["x"], []), ([], [6]), (None, []), ("x", []), ({"a": 1}, [6])]:
        assert both_ways(index, {**order("t3", 6.5), "resources": resources}) == expected


def test_elements_that_are_asked_for_and_looked_into():
    index = index_of({"a": [0], "a.a": [""]})
    for _ in range(2):
        assert both_ways(index, {"a": [{"a": ""}, [0]]}) == []
    assert both_ways(index, {"a": [{"a": ""}, [0, {"a": ""}]]}) == [0]


def test_a_detail_that_is_asked_for_and_looked_into():
    index = index_of({"detail": [""], "detail.a": [""]}, {"detail": [{"exists": False}]})
    for _ in range(3):
        assert both_ways(index, {"detail": [[""], {"a": ""}]}) == []
        assert both_ways(index, {"detail": ["", {"a": ""}]}) == [0]
        assert both_ways(index, {"detail": {"a": ""}}) == [1]


def test_where_few_events_are_plain_one_function_is_for_all():
    index = index_of(detail_of({"a": ["x"]}), detail_of({"b": {"c": [{"numeric": [">", 2]}]}}))
    plain = {"source": SOURCE, "detail": {"a": "x", "b": {"c": 3}}}
    for number in range(2 * NOT_PLAIN_AT_MOST):
        found = [0, 1] if number % 2 else [0]
        event = {"source": SOURCE, "detail": {"a": ["y", "x"], "b": [{"c": 1}, {"c": number % 2 * 3}]}}
        assert both_ways(index, event) == found
        assert both_ways(index, plain) == [0, 1]
    assert index.slow_matches == FIRST_NOT_PLAIN


def test_a_detail_that_is_not_json():
    index = index_of(detail_of({"a": ["x"]}))
    with pytest.raises(ValueError):
        index.match(EventFields({"source": SOURCE}, b'{"a":'))
    with pytest.raises(ValueError):
        index.match_json(b'{"source":"' + SOURCE.encode() + b'","detail":{]}')


def test_truth_is_no_number():
    index = index_of(detail_of({"a": [1]}), detail_of({"a": [True]}), detail_of({"a": ["x", 0]}))
    for _ in range(2):
        assert both_ways(index, {"source": SOURCE, "detail": {"a": 1}}) == [0]
        assert both_ways(index, {"source": SOURCE, "detail": {"a": True}}) == [1]
        assert both_ways(index, {"source": SOURCE, "detail": {"a": 0.0}}) == [2]
        assert both_ways(index, {"source": SOURCE, "detail": {"a": False}}) == []
