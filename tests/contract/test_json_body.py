import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partnerbus.api.errors import ApiError
from partnerbus.api.json_body import read_object

NAMES = st.text(alphabet='ab:"\\ \t', max_size=3)
VALUES = st.recursive(
    st.text(alphabet='ab:"\\ \té', max_size=6) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a": "\xff"}', "The request body is not valid UTF-8."),
        (b'{"a": "\xed\xa0\x80"}', "The request body is not valid UTF-8."),
        (b"{", "The request body is not valid JSON: "),
        (b'{"a": NaN}', "The request body is not valid JSON: "),
        (b"{} {}", "The request body is not valid JSON: "),
        (b'{"a": "\\ud800"}', "The request body is not valid JSON: "),
        (b'{"a": 1e999}', "The request body is not valid JSON: "),
        (b"[]", "The request body must be a JSON object."),
        (b"null", "The request body must be a JSON object."),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "The request body is nested more than 64 levels deep."),
        (
            b'{"a":' + b"[" * 1_000 + b"]" * 1_000 + b"}",
            "The request body is nested more than 64 levels deep.",
        ),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "The request body is nested more than 64 levels"),
        (b'{"a":1,"a":1}', "The request body has the name 'a' twice in one object."),
        (b'{"a" \n:1,"a"\t:1}', "The request body has the name 'a' twice in one object."),
        (b'{"x":[{"a":":","b":"\\":","a":2}]}', "The request body has the name 'a' twice in one object."),
        (b'{"a\\\\":1,"a\\\\":1}', "The request body has the name 'a\\' twice in one object."),
        (b'{"a":1,"\\u0061":1}', "The request body has the name 'a' twice in one object."),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_with_a_sentence(body, said):
    with pytest.raises(ApiError) as caught:
        read_object(body)
    assert caught.value.code == "SerializationException"
    assert caught.value.status == 400
    assert caught.value.message.startswith(said)


def test_an_empty_body_is_an_empty_object():
    assert read_object(b"") == {}


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.sampled_from([(",", ":"), (" , ", " : ")]))
def test_objects_without_a_repeated_name_are_read(value, separators):
    assert read_object(json.dumps(value, separators=separators).encode()) == value


@given(VALUES, NAMES)
def test_a_repeated_name_is_never_missed(value, name):
    pair = f"{json.dumps(name)}:{json.dumps(value)}"
    with pytest.raises(ApiError):
        read_object(f'{{"x":[{json.dumps(value)},{{{pair},{pair}}}]}}'.encode())
