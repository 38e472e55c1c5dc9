"""Input and InputPath, refusals, and what no template may do. What templates make is in the vectors."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partnerbus.model.delivery import Record
from partnerbus.model.reply import ErrorCode
from partnerbus.model.transform import MAX_INPUT_BYTES, TransformError, compile_input, input_refusal
from tests.bounded import bounded
from tests.model.transform_world import RULE, a_record, a_target, a_template, select

INSTANCE: dict[str, object] = {"instance-id": "i-0123456789", "state": "RUNNING"}


def test_an_event_of_a_replay_says_so():
    """In the place where the whole event says it."""
    record: Record = a_record(replay_name="again")
    whole = json.loads(record.event.encode())
    del whole["detail"]
    whole["detailType"] = whole.pop("detail-type")
    filled = compile_input(a_template("<aws.events.event>")).select(record, RULE)
    assert isinstance(filled, bytes)
    order = list(json.loads(filled))
    assert order[-2:] == ["replay-name", "resources"]
    assert json.loads(filled) == whole


def test_no_input_at_all_is_the_whole_event():
    assert select(a_target(), INSTANCE) == a_record(INSTANCE).event.encode().decode()


def test_a_constant():
    assert select(a_target(input='{"n": 1.0}'), INSTANCE) == '{"n": 1.0}'


@pytest.mark.parametrize(
    ("path", "expected"),
    [("$.detail", '{"instance-id":"i-0123456789","state":"RUNNING"}'), ("$.detail.state", '"RUNNING"')],
)
def test_an_input_path(path, expected):
    assert select(a_target(input_path=path), INSTANCE) == expected


@pytest.mark.parametrize("path", ["$.detail.missing", "$$"])
def test_an_input_path_that_leads_nowhere(path):
    failed = select(a_target(input_path=path))
    assert isinstance(failed, TransformError)


@pytest.mark.parametrize(
    ("target", "refusal"),
    [
        (
            a_target(input="{}", input_path="$"),
            "Only one of Input, InputPath, or InputTransformer must be provided for target t1.",
        ),
        (a_target(input="no json"), "Input for target t1 is not a valid JSON text."),
        (a_target(input="[1]"), None),
        (a_target(input_path="$"), None),
        (a_target(input_path="$.detail['not validated when it is put']"), None),
    ],
)  # fmt: skip
def test_refusals(target, refusal):
    assert input_refusal(target) == refusal


texts = st.text(st.characters(exclude_characters='"\\<>', exclude_categories=["Cs", "Cc"]), max_size=8)
values = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.text(max_size=3))


@given(prefix=texts, first=values, second=values)
def test_unquoted_values_always_make_json(prefix, first, second):
    target = a_template(f'{{"p": "{prefix}", "a": <a>, "b": [<b>, <a>]}}', a="$.detail.a", b="$.detail.b")
    filled = select(target, {"a": first, "b": second})
    assert isinstance(filled, str)
    assert json.loads(filled) == {"p": prefix, "a": first, "b": [second, first]}


@given(st.text('"<>{}[]:, \nax.-\\', max_size=60))
def test_no_template_breaks_anything(template):
    target = a_template(template, a="$.detail.a", x="$.detail.x")
    if input_refusal(target) is None:
        select(target, {"a": 'v"', "x": [1, {"y": "z"}]})


def test_a_hostile_template_is_bounded():
    big = "x" * 100_000
    target = a_template("[" + ",".join(["<v>"] * 2_000) + "]", v="$.detail.v")
    assert input_refusal(target) is None
    with bounded(30):
        failed = select(target, {"v": big})
    assert isinstance(failed, TransformError)
    assert failed.code is ErrorCode.INVALID_PARAMETER
    assert len(big) * 2_000 > MAX_INPUT_BYTES


def test_judging_a_hostile_template_is_linear():
    with bounded(30):
        for template in ("<x>" * 2_700, '"' * 8_191, '"\\' * 4_000, '{"a":' * 1_600, "<" * 8_192):
            input_refusal(a_template(template, x="$.detail"))
