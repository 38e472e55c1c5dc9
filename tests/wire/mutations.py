"""Bodies that are nearly good: JSON of which something was changed, as bytes.

What JSON libraries cannot write is written here too: a name that stands twice, numbers that no float holds,
words that JSON has not, escapes of half a character.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from hypothesis import strategies as st

from tests.wire.client import Members
from tests.wire.requests import Inside

Draw = Callable[[st.SearchStrategy[Any]], Any]


class Raw(str):
    """A piece of the text as it stands."""

    __slots__ = ()


class Pairs(list):
    """An object by its members, in which a name may stand twice."""


TOKENS = (
    "null", "true", "false", "0", "-0", "-1", "1", "1E+2", "0.1e-400", "9223372036854775807", "2147483647",
    "9223372036854775808", "-9223372036854775809", "2147483648", "1.5", "1e15", "253402300800", "[]", "{}",
    '"\\u0000"', '"\\ud83d\\ude00"', "1" * 400, "[null]", '{"":null}', "[" * 60 + "]" * 60,
)  # fmt: skip

BROKEN = (
    "1e400", "-1e400", "NaN", "Infinity", "-Infinity", "1" * 5_000, "01", "+1", ".5", "1.", "0x10",
    '"\\ud800"', '"\\udc00\\ud800"', '"\\x41"', "'a'",
    "[" * 200 + "]" * 200, '{"a":' * 200 + "1" + "}" * 200, "",
    "[1,]", '{"a":1,}', "tru", "undefined", "/* */ 1", '"\t"',
)  # fmt: skip
"""What is no JSON, or more than is read."""


JUNK_TEXTS = (
    "", " ", "\x00", "\x1f", "\x7f", "\n", "\r\n", "\t", "é", "ß", "\u2028", "\ufeff", "\U0001f600",
    "e\u0301", "\u202e", "a" * 64, "a" * 65, "a" * 256, "a" * 257, "a" * 2_049, "a" * 9_000, "..",
    "../..", "/", "//", "a/b", ":", "a:b", "*", "?", "$", "$.", "$.detail", "$.detail[", "$..a",
    "$.detail.a[99999999999999999999]", "<", "<a", "<a>", "<aws.events.event>", "<aws.events.event.json>",
    "{", "[", '"', "\\", "\\\\", '{"a":', "default", "orders", "all", "aws.x",
    "aws.partner/acme.com/orders", "aws.partner/other.example/x", "aws.partner/acme.com/", "arn:",
    "arn:::::", "arn:aws:events:::", "arn:aws:events:us-east-1:111122223333:",
    "arn:aws:events:us-east-1:999999999999:event-bus/default",
    "arn:aws:events:eu-west-1:999999999999:event-bus/", "arn:aws:events:us-east-1:111122223333:rule/",
    "arn:aws:events:us-east-1:111122223333:rule//", "arn:aws:events:us-east-1:111122223333:archive/a",
    "arn:aws:events:us-east-1::event-source/aws.partner/a/b",
    "arn:aws:events:us-east-1:111122223333:connection/a/b", "arn:aws:sqs:us-east-1:111122223333:",
    "arn:aws:lambda:us-east-1:111122223333:function:", "arn:aws:logs:us-east-1:111122223333:log-group:",
    "arn:aws:execute-api:us-east-1:111122223333:a", "arn:partnerbus:nats:us-east-1:111122223333:a..b",
    "arn:partnerbus:webhook:us-east-1:111122223333:none",
    "arn:partnerbus:file:us-east-1:111122223333:../../x", "https://", "https://[", "https://[::1",
    "https://a:99999/", "https://a:b/", "https://user:pw@example.com/", "https://127.0.0.1/",
    "http://example.com/", "https://\u0130.example/", "https://" + "a" * 300 + ".example/",
    "rate(1 minute)", "rate(0 minutes)", "rate(99999999999999999999 days)", "cron(* * * * ? *)",
    "cron(0 0 31W 2 ? 2199)", "cron(0/0 * * * ? *)", "cron(99999999999 * * * ? *)", "000000000000",
    "1" * 12,
)  # fmt: skip

NAMES = (
    "Name",
    "name",
    "NAME",
    "Rule",
    "Targets",
    "Entries",
    "Extra",
    "",
    "\u0000",
    "__proto__",
    "é",
    "a" * 300,
)

NO_UTF_8 = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf")

TEXTS = st.sampled_from(JUNK_TEXTS) | st.text(max_size=12) | st.characters()
NUMBERS = st.integers(-3, 200) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.sampled_from(TOKENS).map(Raw) | TEXTS | NUMBERS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def render(value: object) -> str:
    """A tree as JSON text, with everything in it that is none."""
    match value:
        case Raw():
            return str(value)
        case Inside():
            return json.dumps(render(value.value))
        case Mapping():
            return render(Pairs(value.items()))
        case Pairs():
            return "{" + ",".join(f"{json.dumps(name)}:{render(item)}" for name, item in value) + "}"
        case list() | tuple():
            return "[" + ",".join(map(render, value)) + "]"
    return json.dumps(value)


def plain(members: Members) -> Members:
    """The members as they are sent, JSON inside of strings written out."""
    found: Members = json.loads(render(members))
    return found


def paths(value: object, here: tuple = ()) -> list[tuple]:
    """Where something stands in a tree; the root first."""
    found = [here]
    if isinstance(value, Inside):
        found += paths(value.value, (*here, Inside))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            found += paths(item, (*here, name))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for place, item in enumerate(value):
            found += paths(item, (*here, place))
    return found


def changed(value: object, path: tuple, change: Callable[[object], object]) -> object:
    """A tree in which `change` was made at `path`."""
    if not path:
        return change(value)
    first, *rest = path
    if isinstance(value, Inside):
        return Inside(changed(value.value, tuple(rest), change))
    if isinstance(value, Mapping):
        return {
            name: changed(item, tuple(rest), change) if name == first else item
            for name, item in value.items()
        }
    assert isinstance(value, Sequence)
    return [
        changed(item, tuple(rest), change) if place == first else item for place, item in enumerate(value)
    ]


def _twice(draw: Draw, value: object) -> object:
    if isinstance(value, Mapping) and value:
        pairs = list(value.items())
        return Pairs([*pairs, (pairs[0][0], draw(VALUES))])
    return [value, value]


def _without(draw: Draw, value: object) -> object:
    if isinstance(value, Mapping) and value:
        gone: str = draw(st.sampled_from(sorted(value)))
        return {name: item for name, item in value.items() if name != gone}
    return Raw("null")


def _with(draw: Draw, value: object) -> object:
    if isinstance(value, Mapping):
        return {**value, str(draw(st.sampled_from(NAMES) | TEXTS)): draw(VALUES)}
    if isinstance(value, str):
        place = draw(st.integers(0, len(value)))
        assert isinstance(place, int)
        return value[:place] + str(draw(TEXTS)) + value[place:]
    return {"Name": value}


def _many(draw: Draw, value: object) -> object:
    times = draw(st.sampled_from((0, 2, 5, 11, 21, 101)))
    if isinstance(value, list):
        return value * times
    return value * times if isinstance(value, str) else [value] * times


def _alike(draw: Draw, value: object) -> object:
    """Something else of the same JSON type."""
    if isinstance(value, str):
        return draw(TEXTS)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return draw(NUMBERS)
    if isinstance(value, Inside):
        return Inside(draw(VALUES))
    return _without(draw, value) if isinstance(value, Mapping) else _many(draw, value)


def _other(draw: Draw, _: object) -> object:
    return draw(VALUES)


def _broken(draw: Draw, _: object) -> object:
    return Raw(draw(st.sampled_from(BROKEN)))


def _bare(_: Draw, value: object) -> object:
    """What should stand in a string as JSON itself, and the other way round."""
    return value.value if isinstance(value, Inside) else Inside(value)


CHANGES = (*[_alike] * 12, *[_without, _with, _many] * 2, _other, _twice, _bare, _broken)
"""Mostly such that the request is still looked at as a whole."""


@st.composite
def bodies(draw: Draw, good: Members) -> bytes:
    """A good input with up to three changes, and perhaps some of its bytes changed."""
    tree: object = good
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 2, 3, 0)))):
        if not isinstance(tree, Mapping):
            break
        path = draw(st.sampled_from(paths(tree)))
        tree = changed(tree, path, partial(draw(st.sampled_from(CHANGES)), draw))
    body = render(tree).encode("utf-8", "surrogatepass")
    return _bent(draw, body) if draw(st.integers(0, 19)) == 7 else body


def _bent(draw: Draw, body: bytes) -> bytes:
    place = draw(st.integers(0, len(body)))
    length = draw(st.integers(0, 4))
    inserted: bytes = draw(
        st.binary(max_size=4) | st.sampled_from([b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf"])
    )
    return body[:place] + inserted + body[place + length :]
