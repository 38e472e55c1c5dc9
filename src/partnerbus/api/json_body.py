"""Reading a request's body: one JSON object, UTF-8, no name twice, not too deep.

msgspec keeps the last of two equal names without a word. To notice them at little cost, the names that were
decoded are counted against the colons that can stand after a name in the raw text. Where the raw count may
be too high (a text value that begins with a colon, an escaped backslash before a quote) the slower stdlib
decoder, which shows every pair, gives the verdict.
"""

import json

import msgspec

from partnerbus.api.errors import ApiError

DEEPEST = 64
"""Levels of nesting that are read. The deepest input of the model has fewer than ten."""

_decode = msgspec.json.Decoder().decode


def serialization(message: str) -> ApiError:
    """The body cannot be read as the operation's input; said before any constraint is looked at."""
    return ApiError("SerializationException", message)


def read_object(body: bytes) -> dict[str, object]:
    """The members of the object in `body`; an empty body is an empty object."""
    if not body:
        return {}
    decoded = _decoded(body)
    if not isinstance(decoded, dict):
        raise serialization("The request body must be a JSON object.")
    if _names(decoded) != _names_at_most(body):
        _refuse_repeated_names(body)
    return decoded


def _decoded(body: bytes) -> object:
    try:
        return _decode(body)
    except UnicodeDecodeError:
        raise serialization("The request body is not valid UTF-8.") from None
    except msgspec.DecodeError as error:
        raise serialization(f"The request body is not valid JSON: {error}.") from None
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> ApiError:
    return serialization(f"The request body is nested more than {DEEPEST} levels deep.")


def _names(decoded: dict[str, object]) -> int:
    """How many names stand in all objects; refuses what is too deep."""
    count = 0
    level: list[object] = [decoded]
    for _ in range(DEEPEST):
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                count += len(value)
                below += [item for item in value.values() if type(item) is dict or type(item) is list]
            elif isinstance(value, list):
                below += [item for item in value if type(item) is dict or type(item) is list]
        if not below:
            return count
        level = below
    raise _too_deep()


def _names_at_most(body: bytes) -> int:
    """No fewer than the names in `body`, and mostly just as many; -1 if that cannot be told cheaply."""
    dense = body.translate(None, b" \t\r\n")
    if b'\\\\"' in dense:
        return -1
    return dense.count(b'":') - dense.count(b'\\":')


def _refuse_repeated_names(body: bytes) -> None:
    json.loads(body, object_pairs_hook=_distinct)


def _distinct(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise serialization(f"The request body has the name '{name[:256]}' twice in one object.")
        seen.add(name)
