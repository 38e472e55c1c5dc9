"""Hostile patterns and events cost bounded time; limits are refused in the service's manner."""

import json
import sys

import pytest

from partnerbus.cli.serve import RECURSION_LEVELS
from partnerbus.patterns import PatternError, PatternIndex, event_fields, parse_pattern
from partnerbus.patterns.json_reader import MAX_NESTING
from partnerbus.patterns.parser import MAX_CONJUNCTIONS, MAX_PATHS
from partnerbus.patterns.wildcards import complexity, read_wildcard
from tests.bounded import bounded


def matches(pattern, event):
    index = PatternIndex[str]()
    index.add("rule", parse_pattern(pattern if isinstance(pattern, str) else json.dumps(pattern)))
    return bool(index.match(event_fields(event if isinstance(event, bytes) else json.dumps(event).encode())))


def reason(pattern):
    with pytest.raises(PatternError) as refusal:
        parse_pattern(pattern)
    return refusal.value.reason


@pytest.mark.parametrize(
    ("wildcard", "measure"),
    [
        ("abc", 1),
        ("*", 2),
        ("a*", 2),
        ("*a*", 3),
        ("*/lib/*", 4),
        ("dir/*.png", 2),
        ("/Users/*/doc.txt", 2),
        ("arn:aws:events:us-east-1:*:event-bus/*", 3),
        ("/Users/*/dir/dir/dir/dir/dir/doc.txt", 7),
        ("a*b*c*d*e*f*g*h", 8),
        ("*:*:*:*:*:event-bus/*", 11),
        ("*a*a*a*a*a*a*", 13),
        ("*aab*", 4),
        ("*abab*aba", 6),
        ("x*yx*y", 4),
        ("*aaaa", 5),
        ("*😀😁", 3),
        ("*\\**", 3),
        ("é*é", 2),
    ],
)
def test_wildcard_complexity(wildcard, measure):
    assert complexity(read_wildcard(wildcard)) == measure


def test_a_wildcard_that_is_too_complex_is_refused_without_a_place():
    assert reason('{"a":[{"wildcard":"*:*:*:*:*:event-bus/*"}]}') == (
        "Rule is too complex - try using fewer wildcard characters "
        "or fewer repeating character sequences after a wildcard character"
    )
    assert reason('{"a":[{"anything-but":{"wildcard":["x","*a*a*a*a*a*a*"]}}]}').startswith(
        "Rule is too complex"
    )


def test_nesting_is_limited():
    deepest = '{"a":' * (MAX_NESTING - 1) + "[1]" + "}" * (MAX_NESTING - 1)
    assert parse_pattern(deepest)
    assert reason('{"a":' + deepest + "}").startswith(f"Document nesting depth ({MAX_NESTING + 1}) exceeds")
    assert reason('{"a":' * 100_000).startswith("Document nesting depth")


def ors(*sizes):
    """A pattern with one `$or` of each size."""
    return {
        f"f{number}": {"$or": [{f"b{branch}": [branch]} for branch in range(size)]}
        for number, size in enumerate(sizes)
    }


@bounded()
def test_or_combinations_are_limited():
    assert MAX_CONJUNCTIONS == 1000
    assert parse_pattern(json.dumps(ors(10, 10, 10)))
    assert "$or" in reason(json.dumps(ors(7, 11, 13)))
    assert "$or" in reason(json.dumps(ors(*[2] * 200)))


def test_nested_ors_count_through_expansion():
    inner = [{"c": [1]}, {"d": [1]}]
    assert parse_pattern(json.dumps({"$or": [{"$or": inner}] * 500}))
    assert "$or" in reason(json.dumps({"$or": [{"$or": inner}] * 501}))


def test_paths_are_limited():
    assert parse_pattern(json.dumps({f"k{number}": [1] for number in range(MAX_PATHS)}))
    assert "fields" in reason(json.dumps({f"k{number}": [1] for number in range(MAX_PATHS + 1)}))


@bounded()
def test_many_conjunctions_against_many_elements():
    pattern = {"x": {**ors(30, 30), "z": [1]}}
    assert not matches(pattern, {"x": [{"f0": {"b1": 1}, "f1": {"b2": 2}} for _ in range(5000)]})


@bounded()
def test_wildcards_do_not_backtrack():
    assert not matches({"a": [{"wildcard": "*a*a*a*a*b"}]}, {"a": "a" * 1_000_000})
    assert not matches({"a": [{"wildcard": f"*{'ab' * 4}*c"}]}, {"a": "ab" * 500_000})
    assert not matches({"a": [{"equals-ignore-case": "ß" * 1000}]}, {"a": "S" * 1_000_000})


@bounded()
def test_arrays_are_walked_once():
    elements = [{"b": 1, "c": 2, "d": {"e": [{"f": 3}, {"g": 4}]}} for _ in range(5000)]
    assert not matches({"a": {"b": [1], "c": [2], "d": {"e": {"f": [3], "g": [4]}}}}, {"a": elements})
    assert matches({"a": {"b": [1], "c": [2], "d": {"e": {"f": [3]}}}}, {"a": elements})


@pytest.mark.parametrize("alternative", [7, "x", {"anything-but": "zz"}, {"exists": True}])
@bounded()
def test_many_patterns_share_a_look_at_many_values(alternative):
    """Plain values are looked up, not searched for; of other matchers the first hit is enough."""
    index = PatternIndex[int]()
    for number in range(1000):
        pattern = {"detail": {"a": [alternative], "b": [number, "never"]}}
        index.add(number, parse_pattern(json.dumps(pattern)))
    values = json.dumps({"detail": {"a": [*range(20_000), "x"], "b": list(range(500, 20_000))}})
    assert list(index.match(event_fields(values.encode()))) == list(range(500, 1000))


@bounded()
def test_independent_arrays_do_not_multiply():
    arrays = {name: [{"x": 1, "y": 2}] * 2000 for name in "abcdef"}
    pattern = {name: {"x": [1], "y": [2]} for name in "abcdef"}
    assert matches(pattern, arrays)
    assert not matches({**pattern, "g": [{"exists": True}]}, arrays)
    assert not matches({**pattern, "a": {"x": [1], "y": [3]}}, arrays)


@pytest.mark.parametrize(("rows", "verdict"), [(100, True), (2000, False)])
@bounded()
def test_arrays_at_one_path_are_given_up_on(rows, verdict):
    """Two spellings of one path, each an array: choices multiply, and the walk stops at its limit."""
    event = {"a.b": [{"c": 1} for _ in range(rows)], "a": {"b": [{"d": 1} for _ in range(rows)]}}
    pattern = {"a": {"b": {"c": [1], "d": [1], "e": [{"exists": False}]}}}
    assert matches(pattern, event) == verdict


@bounded()
def test_all_conjunctions_of_an_event_are_given_up_on_together():
    event = {"a.b": [{"c": 1} for _ in range(2_000)], "a": {"b": [{"d": 1} for _ in range(2_000)]}}
    branches = [{"a": {"b": {"e": [{"exists": False}, number]}}} for number in range(40)]
    assert not matches({"a": {"b": {"c": [1], "d": [1]}}, "$or": branches}, event)


@pytest.fixture
def deep_enough():
    """The recursion limit of a server."""
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(RECURSION_LEVELS)
    yield
    sys.setrecursionlimit(usual)


def test_a_deep_event_is_matched(deep_enough):
    deep = b'{"a":{"b":"x"},"detail":' + b'{"k":' * 998 + b"[1]" + b"}" * 998 + b"}"
    assert matches({"a": {"b": ["x"]}, "detail": [{"exists": False}]}, deep)
    nested = b'{"detail":{"a":' + b"[" * 997 + b'"x"' + b"]" * 997 + b"}}"
    assert matches({"detail": {"a": ["x"]}}, nested)


def test_an_absurdly_deep_event_is_an_error():
    with pytest.raises(ValueError, match="deep"):
        event_fields(b'{"detail":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    huge = b"1" * 5_000  # read by another way
    with pytest.raises(ValueError, match="deep"):
        event_fields(b'{"detail":[' + huge + b"," + b"[" * 100_000 + b"]" * 100_000 + b"]}")


def test_the_recursion_limit_is_left_alone():
    """It belongs to the whole process, whatever thread reads an event."""
    usual = sys.getrecursionlimit()
    seen = set()
    sys.setprofile(lambda *_: seen.add(sys.getrecursionlimit()))
    try:
        matches(
            {"detail": {"a": [1]}},
            b'{"detail":{"a":' + b"1" * 5_000 + b',"b":' + b"[" * 300 + b"]" * 300 + b"}}",
        )
    finally:
        sys.setprofile(None)
    assert seen == {usual}


@bounded()
def test_numbers_of_any_length():
    digits = b"1" * 100_000
    assert matches('{"detail":{"a":[{"anything-but":1}]}}', b'{"detail":{"a":' + digits + b"}}")
    assert not matches('{"a":[{"numeric":[">",0]}]}', b'{"a":1e99999999999999999999}')
    assert matches('{"a":[1e99999999999999999999]}', b'{"a":1e99999999999999999999}')


@pytest.mark.parametrize(
    "event", [b"", b"[]", b'"x"', b"{", b'{"a":1,}', b'{"detail":{]}', b'{"a":nan}', b"\xff"]
)
def test_what_is_not_an_event(event):
    with pytest.raises(ValueError):
        event_fields(event)


def test_the_last_of_duplicate_members_counts():
    assert matches({"detail": {"a": [2]}}, b'{"detail":{"a":3},"detail":{"a":1,"a":2}}')
    assert not matches({"detail": {"a": [1]}}, b'{"detail":{"a":1,"a":2}}')


def test_patterns_of_other_sources_are_not_evaluated():
    index = PatternIndex[int]()
    for number in range(1000):
        index.add(number, parse_pattern(json.dumps({"source": [f"s{number}"], "detail": {"a": [1]}})))
    index.add(-1, parse_pattern('{"source":[{"prefix":"s7"}]}'))
    index.add(-2, parse_pattern('{"$or":[{"source":["s5"]},{"source":["s7"]}]}'))
    broken = event_fields(b'{"source":"s7"}')
    assert list(index.match(event_fields(b'{"source":"s7","detail":{"a":1}}'))) == [7, -1, -2]
    assert list(index.match(broken)) == [-1, -2]
    assert list(index.match(event_fields(b'{"source":["s5","s6"],"detail":{"a":1}}'))) == [5, 6, -2]
    assert list(index.match(event_fields(b'{"detail":{"a":1}}'))) == []


def test_adding_again_replaces():
    index = PatternIndex[str]()
    index.add("rule", parse_pattern('{"a":[1]}'))
    index.add("rule", parse_pattern('{"a":[2]}'))
    index.remove("unknown")
    assert len(index) == 1
    assert list(index.match(event_fields(b'{"a":1}'))) == []
    assert list(index.match(event_fields(b'{"a":2}'))) == ["rule"]


def test_a_pattern_tells_its_text_and_whether_it_has_a_wildcard():
    text = '{"a": [{"wildcard": "*"}]}  '
    assert parse_pattern(text).text == text
    assert parse_pattern(text).has_wildcard
    assert parse_pattern('{"$or":[{"a":[1]},{"b":[{"anything-but":{"wildcard":"x*"}}]}]}').has_wildcard
    assert not parse_pattern('{"wildcard":["*"]}').has_wildcard


def test_a_long_pattern_is_quoted_in_part():
    text = '{"a":["' + "x" * 600 + '"],"b":1}'
    assert reason(text).endswith(f'(String)"{text[:500]}"[truncated 116 chars]; line: 1, column: 616]')
