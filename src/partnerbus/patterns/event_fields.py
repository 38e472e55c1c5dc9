"""What a pattern is matched against: the envelope's fields, and the detail still as bytes."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from partnerbus.patterns.numbers import Number

EXTRA_DEPTH = 5000
"""Frames allowed on top of the usual while JSON deeper than those is read (the edge allows depth 1,000)."""


class EventFields(msgspec.Struct, frozen=True, gc=False):
    """An event, opened no further than its envelope.

    `envelope` holds every member but detail, by its name on the wire (`detail-type`); values are text or a
    sequence of text for those we make, any JSON for an event that a caller wrote. `detail` is JSON text;
    empty if the event has none.
    """

    envelope: dict[str, object]
    detail: bytes = b""


_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode = msgspec.json.Decoder(float_hook=Number.of).decode


def event_fields(event_json: bytes) -> EventFields:
    """Split an event that a caller wrote; `ValueError` if it is not a JSON object."""
    with _deeper():
        members = _members(event_json)
    detail = bytes(members.pop("detail", b""))
    if detail:
        decode_json(detail)  # the whole event must be JSON
    return EventFields({name: decode_json(bytes(value)) for name, value in members.items()}, detail)


def decode_json(text: bytes) -> object:
    """JSON as values: `Number` for what may not fit an int or a float, `int` for other integers.

    `ValueError` if it is not JSON. Of members with one name the last is kept.
    """
    try:
        return _decode(text)
    except RecursionError:
        return _decode_slowly(text)
    except msgspec.ValidationError:  # an integer of thousands of digits
        return _decode_slowly(text)


def _decode_slowly(text: bytes) -> object:
    with _deeper():
        return json.loads(text, parse_int=Number.of, parse_float=Number.of, parse_constant=_no_constant)


def _no_constant(word: str) -> object:
    raise ValueError(f"{word} is not JSON.")


@contextmanager
def _deeper() -> Iterator[None]:
    """Allow more depth than usual; beyond that `ValueError`."""
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(usual + EXTRA_DEPTH)
    try:
        yield
    except RecursionError:
        raise ValueError("The event is nested too deeply.") from None
    finally:
        sys.setrecursionlimit(usual)
