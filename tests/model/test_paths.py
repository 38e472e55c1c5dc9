"""The path subset and dynamic path parameters."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partnerbus.model.event import Event
from partnerbus.model.paths import ANY, VALUES_LIMIT, EventDocument, PathError, parse_path, resolve
from tests.bounded import bounded


def an_event(detail: str = "{}") -> Event:
    return Event(
        id="e-1",
        detail_type="Order Placed",
        source="aws.partner/example.com/1",
        account="123456789012",
        time="2026-01-01T00:00:00Z",
        region="us-east-1",
        resources=("arn:r1", "arn:r2"),
        detail=detail.encode(),
    )


def find(path: str, detail: str = "{}") -> str | None:
    parsed = parse_path(path)
    assert parsed is not None
    found = EventDocument(an_event(detail)).find(parsed)
    return None if found is None else found.decode()


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("$", ()),
        ("$.detail", ("detail",)),
        ("$.detail-type", ("detail-type",)),
        ("$.detail.a/b.c_d", ("detail", "a/b", "c_d")),
        ("$.resources[0]", ("resources", 0)),
        ("$.detail.items[*].id", ("detail", "items", ANY, "id")),
        ("$.detail.*", ("detail", ANY)),
        ("$[0][12]", (0, 12)),
        ("$.detail.0", ("detail", "0")),
    ],
)
def test_paths(text, steps):
    path = parse_path(text)
    assert path is not None
    assert path.steps == steps


@pytest.mark.parametrize(
    "text",
    [
        "", "detail", "$detail", "$.", "$..a", "$.a.", "$['a']", "$.a[-1]", "$.a[1:2]", "$.a[?(@.b)]",
        "$.a b", "$.é", "$.a[0", "$.a.length()", " $.a", "$.a\n", "$.a[0,1]", "$.a[]",
    ],
)  # fmt: skip
def test_no_paths(text):
    assert parse_path(text) is None


@pytest.mark.parametrize(
    ("path", "detail", "expected"),
    [
        ("$.detail", '{"a":1}', '{"a":1}'),
        ("$.detail-type", "{}", '"Order Placed"'),
        ("$.version", "{}", '"0"'),
        ("$.resources", "{}", '["arn:r1","arn:r2"]'),
        ("$.resources[1]", "{}", '"arn:r2"'),
        ("$.resources[2]", "{}", None),
        ("$.detail.a.b", '{"a":{"b":1.10e5}}', "1.10e5"),
        ("$.detail.n", '{"n":123456789012345678901234567890}', "123456789012345678901234567890"),
        ("$.detail.s", '{"s":"\\u00e9\\n\\""}', '"\\u00e9\\n\\""'),
        ("$.detail.a[1].b", '{"a":[0,{"b":null}]}', "null"),
        ("$.detail.a[*].b", '{"a":[{"b":1},{"c":2},{"b":"x"}]}', '[1,"x"]'),
        ("$.detail.a[*]", '{"a":[]}', "[]"),
        ("$.detail.*", '{"a":1,"b":{"c":2}}', '[1,{"c":2}]'),
        ("$.detail.x[*]", "{}", None),
        ("$.detail.s.x", '{"s":"text"}', None),
        ("$.detail[0]", '{"0":1}', None),
        ("$.detail.a.0", '{"a":[1]}', None),
        ("$.nothing", "{}", None),
    ],
)
def test_find(path, detail, expected):
    assert find(path, detail) == expected


def test_the_whole_event():
    assert find("$") == an_event().encode().decode()


def test_too_many_values_are_refused_before_they_cost_memory():
    detail = json.dumps({"a": [0] * (VALUES_LIMIT + 1)})
    with pytest.raises(PathError):
        find("$.detail.a[*]", detail)
    assert resolve("$.detail.a[*]", EventDocument(an_event(detail))) is None


names = st.text("abcXYZ019-_/", min_size=1, max_size=4)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=20,
)


@given(
    detail=st.dictionaries(names, documents, max_size=3),
    steps=st.lists(names | st.integers(0, 2), max_size=4),
)
def test_agrees_with_a_walk_over_python_objects(detail, steps):
    path = "$.detail" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    value = detail
    missing = object()
    for step in steps:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else missing
        else:
            value = value.get(step, missing) if isinstance(value, dict) else missing
        if value is missing:
            break
    found = find(path, json.dumps(detail))
    if value is missing:
        assert found is None
    else:
        assert found is not None
        assert json.loads(found) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("$.detail.s", 'a"b'),
        ("$.detail.n", "1.50"),
        ("$.detail.o", '{"x":[1,true]}'),
        ("$.detail.none", None),
        ("prefix $.detail.s", "prefix $.detail.s"),
        ("$", "$"),
        ("$5.00", "$5.00"),
        ("$.not a path", "$.not a path"),
        ("$.id", "e-1"),
    ],
)
def test_dynamic_path_parameters(value, expected):
    detail = '{"s":"a\\"b","n":1.50,"o":{"x":[1,true]}}'
    assert resolve(value, EventDocument(an_event(detail))) == expected


def test_deep_and_many_paths_stay_cheap():
    """A hundred paths into a megabyte parse it once; the deepest possible path walks it level by level."""
    depth = 120
    detail = '{"a":' * depth + json.dumps(["x" * 1000] * 900) + "}" * depth
    document = EventDocument(an_event(detail))
    with bounded(50):
        for length in range(1, 101):
            path = parse_path("$.detail" + ".a" * length)
            assert path is not None
            document.find(path)


def test_nesting_that_cannot_be_read_is_an_error_of_its_own():
    with pytest.raises(PathError):
        find("$.detail.a.b", '{"a":' + "[" * 100_000 + "]" * 100_000 + "}")
