"""The short way of reading a call with events, and the long one: what the first reads, the second does."""

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from partnerbus.api.contract import load_contract
from partnerbus.api.errors import ApiError
from partnerbus.api.reading import Reader
from partnerbus.api.v1.events import OPERATIONS

READERS = {name: Reader(load_contract()[name], operation) for name, operation in OPERATIONS.items()}
PARTNER = "aws.partner/acme.com/orders"
ENTRY = {
    "Time": 1_700_000_000,
    "Source": PARTNER,
    "Resources": ["arn:one", ""],
    "DetailType": "order",
    "Detail": '{"a": "\\"b\\": \\\\"}',
}
BUS = {"EventBusName": "arn:aws:events:us-east-1:123456789012:event-bus/b.c"}

NAMES = st.sampled_from([*ENTRY, "EventBusName", "TraceHeader", "Entries", "EndpointId", "Odd", "time", ""])
TEXTS = [*ENTRY.values(), "", "x", PARTNER + "\n", "é" * 256, "x" * 257, "x" * 2_049, "a.b", "\ud800"]
OTHERS = [[], [""], [1], ["x" * 2_048], ["x" * 2_049], [None], [[]], [{}], {}, {"a": 1}, None, True]
NUMBERS = [0, -1, 0.5, 1e30, -62_135_596_800, -62_135_596_801, 253_402_300_799, 253_402_300_799.5, 2**70]
VALUES = st.sampled_from(TEXTS) | st.sampled_from(OTHERS) | st.sampled_from(NUMBERS) | st.text()
MORE = ["", "", "", ',"EndpointId":"a.b"', ',"EndpointId":"a"', ',"Entries":[]', ',"Odd":{}', ' ,"Odd":1']


def text_of(value):
    return json.dumps(value, separators=(",", ":"))


@st.composite
def names(draw):
    """A name as JSON, perhaps with a letter that is escaped, and what follows it."""
    name = draw(NAMES)
    text = text_of(name)
    if name and draw(st.integers(0, 9)) == 0:
        text = f'"\\u{ord(name[0]):04x}{name[1:]}"'
    return text + draw(st.sampled_from([":", ":", ": ", " :", "\n:"]))


@st.composite
def objects(draw):
    """An object with some names, which may be there twice, as JSON."""
    known = draw(st.dictionaries(st.sampled_from([*ENTRY]), st.none()))
    members = [f"{text_of(name)}:{text_of(ENTRY[name])}" for name in known]
    members += draw(
        st.lists(st.builds(lambda name, value: name + text_of(value), names(), VALUES), max_size=2)
    )
    return "{" + ",".join(draw(st.permutations(members))) + "}"


ENTRIES = st.lists(objects(), min_size=0, max_size=3) | st.just(["{}"] * 11) | st.just(["{}"] * 21)
WHOLE = st.builds(
    lambda entries, more: f'{{"Entries":[{",".join(entries)}]{more}}}', ENTRIES, st.sampled_from(MORE)
)
BODIES = WHOLE | objects()


def the_short_way(reader, body):
    return reader._short_way.read(body)


def the_long_way(reader, body):
    try:
        return msgspec.to_builtins(reader._read_the_long_way(body))
    except ApiError as error:
        return error.code, error.message


@pytest.mark.parametrize("operation", OPERATIONS)
@given(body=BODIES)
@example(body='{"Entries":[{"Detail":"1","Detail":"2"}]}')
@example(body='{"Entries":[{"Detail":"1","\\u0044etail":"2"}]}')
@example(body='{"Entries":[{}],"Entries":[{}]}')
@example(body='{"Entries":[{"TraceHeader":1}]}')
@example(body='{"Entries":[{"Time":null}]}')
@example(body='{"Entries":[]}')
@example(body='{"Entries":[' + "{}," * 10 + "{}]}")
@example(body='{"Entries":[' + "{}," * 20 + "{}]}")
@example(body='{"Entries":[{"Time":-62135596801}]}')
@example(body='{"Entries":[{"Time":253402300800}]}')
@example(body='{"Entries":[{"Source":"aws.partner/a/b\\n"}]}')
@example(body='{"Entries":[{"Source":"aws.partner/a/é"}]}')
@example(body='{"Entries":[{"EventBusName":"arn:awsé:events:us-east-1:123456789012:event-bus/b"}]}')
@example(body='{"Entries":[{"EventBusName":""}]}')
@example(body="")
def test_what_is_read_the_short_way_is_what_the_long_way_reads(operation, body):
    reader, sent = READERS[operation], body.encode(errors="surrogatepass")
    found = the_short_way(reader, sent)
    if found is not None:
        assert msgspec.to_builtins(found) == the_long_way(reader, sent)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), ("\n, ", " : ")])
@pytest.mark.parametrize("given_up", [(), *((name,) for name in ENTRY)])
def test_what_is_in_order_goes_the_short_way(operation, separators, given_up):
    entry = {name: value for name, value in ENTRY.items() if name not in given_up}
    entries = [entry, entry | {"Resources": []}]
    if operation == "PutEvents":
        entries.append(entry | BUS)
    body = json.dumps({"Entries": entries}, separators=separators).encode()
    found = the_short_way(READERS[operation], body)
    assert found is not None
    assert isinstance(found, OPERATIONS[operation].input_type)
    assert msgspec.to_builtins(found) == the_long_way(READERS[operation], body)
