"""The compiled transform agrees with the oracle, on templates, maps and events made for one another."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partnerbus.model.paths import EventDocument, parse_path
from partnerbus.model.resources import InputTransformer
from partnerbus.model.transform import TransformError, compile_input, input_refusal
from partnerbus.testing.transform_oracle import oracle_accepts, oracle_fill, oracle_find
from tests.effort import examples
from tests.model.transform_world import RESERVED, RESERVED_TEXTS, RULE, a_record, a_target

MEMBERS = ["a", "b", "c-d", "e_f", "g/h", "0", "é", "with blank"]
TEXTS = ["", "x", "é☃", "😀", 'q"q', "line\nline", "back\\", "\t", "<v>", "{", "a:b", "\u2028", '", "n": "']
SCALARS = st.one_of(
    st.sampled_from(TEXTS).flatmap(
        lambda text: st.sampled_from([json.dumps(text), json.dumps(text, ensure_ascii=False)])
    ),
    st.sampled_from(["0", "-0", "1.10", "1e400", "1E+5", "12345678901234567", "true", "false", "null"]),
)


def in_array(items):
    return "[" + ",".join(items) + "]"


def in_object(members):
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in members) + "}"


def objects(values):
    """Also with names that are there twice."""
    return st.lists(st.tuples(st.sampled_from(MEMBERS), values), max_size=6).map(in_object)


VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3).map(in_array), objects(inner)), max_leaves=8
)
DETAILS = st.tuples(VALUES, VALUES, objects(VALUES)).map(
    lambda parts: f'{{"a":{parts[0]},"b":{parts[1]},"more":{parts[2]}}}'
)

STEPS = st.sampled_from([".a", ".b", ".c-d", ".e_f", ".g/h", ".0", "[0]", "[1]", "[*]", ".*"])
IN_ENVELOPE = ["$", "$.source", "$.resources", "$.resources[0]", "$.detail-type", "$.*", "$.replay-name"]
NO_PATHS = ["", "$.", "$..a", "$['a']", "$.detail.é", "$.a[", "$.a[-1]", "$.a[]", "$.*a", "$.[0]", "a"]
INSIDE = st.sampled_from([".a", ".b", ".a", ".b", ".more", ".*", ".g/h"])
IN_DETAIL = st.tuples(INSIDE, st.just([]) | st.lists(STEPS, max_size=2)).map(
    lambda path: "$.detail" + path[0] + "".join(path[1])
)
PATHS = st.one_of(IN_DETAIL, IN_DETAIL, IN_DETAIL, st.sampled_from(IN_ENVELOPE), st.sampled_from(NO_PATHS))
NAMES = ["v", "w", "V-1_"]
MAPS = st.one_of(
    st.fixed_dictionaries(dict.fromkeys(NAMES, PATHS)), st.fixed_dictionaries({"v": PATHS, "w": PATHS})
)

VARIABLES = st.sampled_from(NAMES).map("<{}>".format)
RESERVED_ONES = st.sampled_from(sorted(RESERVED)).map("<{}>".format)
PLACEHOLDERS = st.one_of(VARIABLES, VARIABLES, VARIABLES, RESERVED_ONES)
LITERALS = st.sampled_from(
    ["", "x", "é😀", '\\"', "\\\\", "\\n", ": ", "<", "<>", "< v>", "{", "]", ",", "\\u00e9"]
)
PARTS = st.lists(st.one_of(LITERALS, PLACEHOLDERS), min_size=1, max_size=4)
STRINGS = st.one_of(VARIABLES, PARTS.map("".join)).map('"{}"'.format)
KEYS = st.sampled_from(['"k"', '"é"', '"<"', '":"', '"\\""', '"a", "b":"c","d"', '"0"'])
JSON_VALUES = st.recursive(
    st.one_of(STRINGS, STRINGS, PLACEHOLDERS, st.sampled_from(["1.0", "true", "null", "{}", "[]"])),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda items: "[ " + " , ".join(items) + "]"),
        st.lists(st.tuples(KEYS, inner), min_size=1, max_size=3).map(
            lambda members: "{" + ",\n".join(f"{key} :{value}" for key, value in members) + " }"
        ),
    ),
    max_leaves=5,
)
WELL_FORMED = st.one_of(
    JSON_VALUES.map("[{}]".format),
    JSON_VALUES.map('{{"k": {}}}'.format),
    st.lists(STRINGS, min_size=1, max_size=3).map("\n".join),
    PLACEHOLDERS,
)

SPOILERS = ["", '"', "\\", "<v>", "<", ":", ",", "}", "]", "x", "\n", "<aws.x>", '"<v>":1']


@st.composite
def spoiled(draw):
    """A template with a piece cut out of it, or put into it."""
    template = draw(WELL_FORMED)
    start = draw(st.integers(0, len(template)))
    end = draw(st.integers(start, min(len(template), start + 2)))
    put = draw(st.sampled_from(SPOILERS))
    return template[:start] + put + template[end:]


TEMPLATES = st.one_of(WELL_FORMED, WELL_FORMED, WELL_FORMED, spoiled())
CASES = st.tuples(TEMPLATES, MAPS, DETAILS, st.sampled_from([None, "again"]))


def agreed(case):
    """What both make of it: refused, not delivered (None), or the input."""
    template, paths, detail, replay_name = case
    record = a_record(detail, replay_name)
    target = a_target(input_transformer=InputTransformer(template=template, paths=paths))
    accepted = oracle_accepts(template, RESERVED | paths.keys())
    assert (input_refusal(target) is None) is accepted
    if not accepted:
        return "refused"
    found = compile_input(target).select(record, RULE)
    expected = oracle_fill(template, paths, record.event.encode().decode(), RESERVED_TEXTS)
    assert (None if isinstance(found, TransformError) else found.decode()) == expected
    return expected


@settings(max_examples=examples(300))
@given(CASES)
def test_the_transform_agrees_with_the_oracle(case):
    agreed(case)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=examples(3_000))
@given(CASES)
def test_the_transform_agrees_with_the_oracle_at_length(case):
    agreed(case)


@settings(max_examples=examples(300))
@given(PATHS, DETAILS, st.sampled_from([None, "again"]))
def test_paths_agree_with_the_oracle(path, detail, replay_name):
    event = a_record(detail, replay_name).event
    parsed = parse_path(path)
    found = None if parsed is None else EventDocument(event).find(parsed)
    assert (None if found is None else found.decode()) == oracle_find(path, event.encode().decode())


@pytest.mark.slow
def test_the_cases_are_of_every_kind():
    """The agreement above means something only if no verdict is rare, and the inputs differ."""
    verdicts: list[str | None] = []

    @settings(max_examples=300, derandomize=True, database=None)
    @given(CASES)
    def count(case):
        verdicts.append(agreed(case))

    count()
    assert 0.1 < verdicts.count("refused") / len(verdicts) < 0.5
    assert 0.01 < verdicts.count(None) / len(verdicts) < 0.5
    assert len(set(verdicts)) > 50
