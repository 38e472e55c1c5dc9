"""Input, InputPath and InputTransformer: the tables of the documentation and what was recorded."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partnerbus.model.delivery import Record
from partnerbus.model.event import Event
from partnerbus.model.reply import ErrorCode
from partnerbus.model.resources import InputTransformer, Rule, RuleState, Target
from partnerbus.model.transform import MAX_INPUT_BYTES, TransformError, compile_input, input_refusal
from tests.bounded import bounded

STORED_AT = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)
RULE = Rule(
    account="123456789012",
    region="us-east-1",
    bus="default",
    name="orders",
    state=RuleState.ENABLED,
    created_by="123456789012",
    created_at=STORED_AT,
)


def a_record(detail: str | dict = "{}") -> Record:
    text = detail if isinstance(detail, str) else json.dumps(detail, separators=(",", ":"))
    event = Event(
        id="e-1",
        detail_type="EC2 Instance State-change Notification",
        source="aws.ec2",
        account="123456789012",
        time="2026-01-01T00:00:00Z",
        region="us-east-1",
        resources=("arn:r",),
        detail=text.encode(),
    )
    return Record(log="log", position=1, stored_at=STORED_AT, event=event)


def a_target(**members) -> Target:
    return Target(id="t1", arn="arn:aws:sqs:us-east-1:1:q", subscription="s", since=0, **members)


def a_template(template: str, **paths: str) -> Target:
    return a_target(
        input_transformer=InputTransformer(
            template=template, paths={name.replace("_", "-"): path for name, path in paths.items()}
        )
    )


def select(target: Target, detail: str | dict = "{}") -> str | TransformError:
    selected = compile_input(target).select(a_record(detail), RULE)
    return selected if isinstance(selected, TransformError) else selected.decode()


INSTANCE = {"instance-id": "i-0123456789", "state": "RUNNING"}
PATHS = {"instance": "$.detail.instance-id", "state": "$.detail.state"}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('"instance <instance> is in <state>"', '"instance i-0123456789 is in RUNNING"'),
        ('{"instance": <instance>, "state": "<state>"}', '{"instance": "i-0123456789", "state": "RUNNING"}'),
        (
            '{"s": "instance \\"<instance>\\" is in <state>"}',
            '{"s": "instance \\"i-0123456789\\" is in RUNNING"}',
        ),
        ('{"state": [9, <state>, true]}', '{"state": [9, "RUNNING", true]}'),
        (
            '"instance <instance>"\n"is in state <state>"',
            '"instance i-0123456789"\n"is in state RUNNING"',
        ),
        ("[<instance>]", '["i-0123456789"]'),
        ("<state>", '"RUNNING"'),
        (' {"a": 1} ', ' {"a": 1} '),
    ],
)
def test_documented_results(template, expected):
    target = a_template(template, **PATHS)
    assert input_refusal(target) is None
    assert select(target, INSTANCE) == expected


@pytest.mark.parametrize(
    ("template", "value", "expected"),
    [
        ('"x <v>"', {"acc_id": "0a78", "sf_id": "baz"}, '"x {acc_id:0a78,sf_id:baz}"'),
        ('"x <v>"', ["ACTIVE", "INACTIVE"], '"x [ACTIVE,INACTIVE]"'),
        ('"x <v>"', True, '"x true"'),
        ('"x <v>"', None, '"x null"'),
        ('{"k": <v>}', True, '{"k": true}'),
        ('{"k": "<v>"}', True, '{"k": "true"}'),
        ('{"k": <v>}', {"a": ["b", 1]}, '{"k": {"a":["b",1]}}'),
        ('{"id": <v>}', "baz", '{"id": "baz"}'),
        ("<v>", "baz", '"baz"'),
        ('"<v>"', "baz", '"baz"'),
        ('{"k": "a <v> b"}', "é☃", '{"k": "a é☃ b"}'),
        ('{"k": "<v>"}', 1.5, '{"k": "1.5"}'),
    ],
)
def test_recorded_values(template, value, expected):
    assert select(a_template(template, v="$.detail.v"), json.dumps({"v": value}, separators=(",", ":"))) == (
        expected
    )


@pytest.mark.parametrize(
    ("template", "expected"),
    [('"x <v> y"', '"x  y"'), ('{"k": <v>}', '{"k": ""}'), ('{"k": "<v>"}', '{"k": ""}'), ('"<v>"', '""')],
)
@pytest.mark.parametrize("path", ["$.detail.missing", "not a path at all"])
def test_a_path_that_leads_nowhere(template, expected, path):
    assert select(a_template(template, v=path)) == expected


@pytest.mark.parametrize("value", [{"a": 1}, ["a"], 'a"b', "a\nb", "a\\"])
def test_what_breaks_json_is_not_delivered(value):
    broken = select(a_template('{"k": "<v>"}', v="$.detail.v"), {"v": value})
    assert isinstance(broken, TransformError)
    assert broken.code is ErrorCode.INVALID_JSON


def test_nothing_is_escaped_in_a_text():
    assert select(a_template('"<v>"', v="$.detail.v"), {"v": 'a"b\nc'}) == '"a"b\nc"'


def test_numbers_and_escapes_stay_as_the_sender_wrote_them():
    detail = '{"v":{"n":1.10e5,"big":123456789012345678901234567890,"s":"\\u00e9"}}'
    assert select(a_template('{"k":<v>}', v="$.detail.v"), detail) == '{"k":' + detail[5:-1] + "}"


def test_reserved_variables():
    template = (
        '{"a": <aws.events.rule-arn>, "n": "<aws.events.rule-name>", "t": <aws.events.event.ingestion-time>,'
        ' "e": <aws.events.event>, "j": <aws.events.event.json>}'
    )
    assert input_refusal(a_template(template)) is None
    filled = select(a_template(template), INSTANCE)
    assert isinstance(filled, str)
    found = json.loads(filled)
    assert found["a"] == "arn:aws:events:us-east-1:123456789012:rule/orders"
    assert (found["n"], found["t"]) == ("orders", "2026-01-02T03:04:05.678Z")
    assert found["j"] == json.loads(a_record(INSTANCE).event.encode())
    assert "detail" not in found["e"]
    assert found["e"]["detailType"] == "EC2 Instance State-change Notification"


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
        (a_template('"<x>"'), "InputTemplate for target t1 contains invalid placeholder x."),
        (a_template('"<aws.x>"'), "InputTemplate for target t1 contains invalid placeholder aws.x."),
        (a_target(input="no json"), "Input for target t1 is not a valid JSON text."),
        (a_template("a bare sentence"), "Invalid InputTemplate for target t1."),
        (a_template('{"a": <x>', x="$"), "Invalid InputTemplate for target t1."),
        (a_template("{<x>: 1}", x="$"), "Invalid InputTemplate for target t1."),
        (a_template('"a" b', x="$"), "Invalid InputTemplate for target t1."),
        (a_template('"unbalanced'), "Invalid InputTemplate for target t1."),
        (a_template("<x> <x>", x="$"), "Invalid InputTemplate for target t1."),
        (a_template(""), "Invalid InputTemplate for target t1."),
        (a_target(input="[1]"), None),
        (a_template('"a < b > c"'), None),
        (a_template('"x"', unused="$.detail.x"), None),
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
