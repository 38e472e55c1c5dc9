"""Every kind of character in every kind of text: accepted if the model's pattern takes it, else told so."""

import json
from collections.abc import Iterator

import pytest
from botocore.model import Shape, StringShape
from botocore.session import Session

from tests.wire.client import Client
from tests.wire.expected import Place, matches, message, places, smallest, violations_of

MODEL = Session().get_service_model("events")

CHARACTERS = [chr(code) for code in range(0x80)] + list(
    "\x80\x85\xa0\xad\u00aa\u00b2\u00bd\u00c4\u00df\u00e9\u0130\u0301\u03a9\u0436\u05d0\u0660\u0e01\u1680\u180e"
    "\u200b\u200d\u2003\u2028\u2029\u202e\u2060\u2164\u3000\u3042\u4e00\uac00\ue000\ufb01\ufeff\uff21\ufffd\uffff"
    "\U0001d400\U0001f600\U000e0001\U0010ffff"
)
"""All of ASCII, and one or two of each other category of Unicode."""


def patterned() -> Iterator[tuple[str, Place]]:
    """One place for each pattern of the model."""
    seen: set[str] = set()
    for operation in MODEL.operation_names:
        shape = MODEL.operation_model(operation).input_shape
        for place in places(shape) if shape is not None else ():
            if isinstance(place.shape, StringShape) and pattern(place.shape) not in {None, *seen}:
                seen.add(pattern(place.shape) or "")
                yield operation, place


def pattern(shape: Shape) -> str | None:
    return shape.metadata.get("pattern")


@pytest.mark.parametrize(
    ("operation", "place"), [pytest.param(*each, id=each[1].shape.name) for each in patterned()]
)
def test_each_character(client: Client, operation: str, place: Place) -> None:
    for character in CHARACTERS:
        text = character + smallest(place.shape)[1:]
        reply = client.send(operation, json_of(place, text))
        told = reply.json.get("message", "")
        if matches(place.shape, text):
            assert f"at '{place.path}' failed" not in told, repr(text)
        else:
            assert told == message(violations_of(place, text)), repr(text)


def json_of(place: Place, text: str) -> bytes:
    return json.dumps(place.build(text)).encode()
