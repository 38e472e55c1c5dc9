"""What a pattern is matched against: the envelope's fields, and the detail still as bytes."""

import json

import msgspec

from partnerbus.patterns.numbers import Number

TOO_DEEP = "The event is nested too deeply."
"""How deep is the interpreter's recursion limit's to say; `partnerbus serve` sets it for 1,000 levels."""


class EventFields(msgspec.Struct, frozen=True, gc=False):
    """An event, opened no further than its envelope.

    `envelope` holds every member but detail, by its name on the wire (`detail-type`); values are text or a
    tuple of text for those we make, any JSON for an event that a caller wrote. `detail` is JSON text; empty
    if the event has none. `plain` tells that no name in the envelope has a dot.
    """

    envelope: dict[str, object]
    detail: bytes = b""
    plain: bool = True


_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode = msgspec.json.Decoder(float_hook=Number.of).decode


def event_fields(event_json: bytes) -> EventFields:
    """Split an event that a caller wrote; `ValueError` if it is not a JSON object."""
    try:
        members = _members(event_json)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    detail = bytes(members.pop("detail", b""))
    if detail:
        decode_json(detail)  # the whole event must be JSON
    envelope = {name: decode_json(bytes(value)) for name, value in members.items()}
    return EventFields(envelope, detail, plain=not any("." in name for name in envelope))


def decode_json(text: bytes) -> object:
    """JSON as values: `Number` for what may not fit an int or a float, `int` for other integers.

    `ValueError` if it is not JSON. Of members with one name the last is kept.
    """
    try:
        return _decode(text)
    except msgspec.ValidationError:  # an integer of thousands of digits
        return _decode_slowly(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def _decode_slowly(text: bytes) -> object:
    try:
        return json.loads(text, parse_int=Number.of, parse_float=Number.of, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def _no_constant(word: str) -> object:
    raise ValueError(f"{word} is not JSON.")
