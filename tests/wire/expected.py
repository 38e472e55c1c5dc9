"""What the service says of a value that breaks its model: written down a second time, from what was recorded.

Nothing of the server's own reading of the model is used here. Each place of an input, at every depth, is a
`Place`; `violations` gives for a place the values that break a constraint, each with the sentences.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from unicodedata import category

import msgspec
from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from tests.wire.client import Members

NOT_NULL = "Member must not be null"
ECHOED = 4_096
"""Characters of a value that a sentence repeats (ours: the service repeats all)."""

RECORDED_ENUMS = {
    "ApiDestinationHttpMethod": ["HEAD", "POST", "PATCH", "DELETE", "PUT", "GET", "OPTIONS"],
}
RECORDED_MEMBERS = {"PutEventsRequestEntry": ", kmsKeyIdentifier=null, internalMetadata=null"}
"""Where what is printed differs from the public model."""

GOOD_TEXTS = (
    "a", "a" * 12, "123456789012", "events:PutEvents", "aws.partner/a/b", "a.b", "eu-west-11",
    "arn:aws:events:us-east-1:123456789012:event-bus/a",
    "arn:aws:events:us-east-1:123456789012:connection/a/b",
    "arn:aws:iam::123456789012:role/a", "arn:aws:route53:::healthcheck/a",
    "arn:aws:secretsmanager:us-east-1:123456789012:secret:a",
    "arn:aws:vpc-lattice:us-east-1:123456789012:resourceconfiguration/rcfg-0123456789abcdefg",
)  # fmt: skip

BAD_TEXTS = ("\n", "a\nb", "!;\x00", "a b", "é", "\x7f", "a" * 12 + "!")


class Place(msgspec.Struct, frozen=True):
    """A place in an input: how answers call it, its shape, and the smallest input that has a value there."""

    path: str
    shape: Shape
    is_required: bool
    build: Callable[[object], Members]


def places(shape: StructureShape) -> Iterator[Place]:
    """Every member of an input, and of every structure in it."""
    yield from _members(shape, "", lambda value: value)


def _members(shape: StructureShape, path: str, build: Callable[[Any], Members]) -> Iterator[Place]:
    for name, member in shape.members.items():
        here = f"{path}.{camel(name)}" if path else camel(name)

        def put(value: object, name: str = name) -> Members:
            others = {n: v for n, v in smallest(shape).items() if n != name}
            return build(others if value is None else {**others, name: value})

        yield Place(here, member, name in shape.required_members, put)
        if isinstance(member, StructureShape):
            yield from _members(member, here, put)
        elif isinstance(member, ListShape) and isinstance(member.member, StructureShape):
            yield from _members(member.member, f"{here}.1.member", partial(_put_in_list, put, member))


def _put_in_list(put: Callable[[object], Members], shape: ListShape, value: object) -> Members:
    return put([value, *smallest(shape)[1:]])


def camel(name: str) -> str:
    """How answers call a member."""
    return name[0].lower() + name[1:]


# -- good values -----------------------------------------------------------------------------------------


def smallest(shape: Shape) -> Any:
    """The smallest value that fits."""
    if isinstance(shape, StructureShape):
        return {name: smallest(shape.members[name]) for name in shape.required_members}
    if isinstance(shape, ListShape):
        return [smallest(shape.member)] * _trait(shape, "min", 0)
    if isinstance(shape, MapShape):
        return {}
    if isinstance(shape, StringShape):
        return shape.enum[0] if shape.enum else next(text for text in GOOD_TEXTS if _fits(shape, text))
    return {"boolean": True, "timestamp": 1_767_225_600}.get(shape.type_name, _trait(shape, "min", 1))


def _trait(shape: Shape, name: str, default: Any = None) -> Any:
    return shape.metadata.get(name, default)


def _fits(shape: Shape, text: str) -> bool:
    least, most = _trait(shape, "min", 0), _trait(shape, "max", 10**9)
    return matches(shape, text) and least <= len(text) <= most


def matches(shape: Shape, text: str) -> bool:
    """Java's `matches`: of the whole text, where `.` is anything but the end of a line."""
    pattern = _trait(shape, "pattern")
    if pattern is None:
        return True
    if r"\p{" in pattern:
        text = "".join(map(_category, text))
        pattern = pattern.replace(r"\p{L}", "a").replace(r"\p{Z}", " ").replace(r"\p{N}", "0")
    pattern = re.sub(r"(?<![\\\w-])\.([*+])", r"[^\\n\\r\\x85\\u2028\\u2029]\1", pattern)
    return re.fullmatch(pattern, text, re.ASCII) is not None


def _category(character: str) -> str:
    """A letter, a separator and a digit for every one of their kind."""
    return {"L": "a", "Z": " ", "N": "0"}.get(category(character)[0], character)


# -- bad values ------------------------------------------------------------------------------------------


def violations(place: Place) -> Iterator[tuple[object, list[str]]]:
    """Values that break a constraint there, and what is said, one sentence for each constraint."""
    if place.is_required:
        yield None, [f"Value null at '{place.path}' failed to satisfy constraint: {NOT_NULL}"]
    for value, constraints in _breaking(place.shape):
        yield value, _sentences(place, value, constraints)


def violations_of(place: Place, value: object) -> list[str]:
    """What is said of a scalar there, one sentence for each constraint that it breaks."""
    return _sentences(place, value, _broken(place.shape, value))


def _sentences(place: Place, value: object, constraints: Sequence[str]) -> list[str]:
    shown = _cut(printed(place.shape, value))
    part = "Value" if _is_sensitive(place.shape) else f"Value '{shown}'"
    return [f"{part} at '{place.path}' failed to satisfy constraint: {each}" for each in constraints]


def _breaking(shape: Shape) -> Iterator[tuple[object, list[str]]]:
    if isinstance(shape, StringShape):
        values: Iterator[object] = _bad_texts(shape)
        yield from ((value, _broken(shape, value)) for value in values)
    elif isinstance(shape, ListShape):
        yield from _bad_lists(shape)
    elif isinstance(shape, MapShape):
        yield from _bad_maps(shape)
    elif shape.type_name in ("integer", "long"):
        for trait, step in (("max", 1), ("min", -1)):
            if _trait(shape, trait) is not None:
                value = _trait(shape, trait) + step
                yield value, _broken(shape, value)


def _bad_texts(shape: Shape) -> Iterator[str]:
    if isinstance(shape, StringShape) and shape.enum:
        yield from ("NO_SUCH_WORD", shape.enum[0].swapcase(), "")
        return
    if _trait(shape, "min", 0):
        yield ""
    if (most := _trait(shape, "max")) is not None:
        yield smallest(shape)[:1] * (most + 1)
        yield "\x01" * (most + 1)
    yield from (text for text in BAD_TEXTS if not matches(shape, text))


def _broken(shape: Shape, value: Any) -> list[str]:
    """The constraints that a scalar breaks: of a text first its pattern, then its length."""
    if not isinstance(shape, StringShape):
        most, least = _trait(shape, "max"), _trait(shape, "min")
        too_much = [f"Member must have value less than or equal to {most}"] if most and value > most else []
        too_little = [f"Member must have value greater than or equal to {least}"]
        return too_much + (too_little if least is not None and value < least else [])
    if shape.enum:
        return [] if value in shape.enum else [_enum(shape)]
    pattern = [] if matches(shape, value) else [_pattern(shape)]
    return pattern + _broken_length(shape, len(value))


def _broken_length(shape: Shape, length: int) -> list[str]:
    most, least = _trait(shape, "max"), _trait(shape, "min", 0)
    if most is not None and length > most:
        return [f"Member must have length less than or equal to {most}"]
    return [f"Member must have length greater than or equal to {least}"] if length < least else []


def _enum(shape: StringShape) -> str:
    words = RECORDED_ENUMS.get(shape.name, shape.enum)
    return f"Member must satisfy enum value set: [{', '.join(words)}]"


def _pattern(shape: Shape) -> str:
    return f"Member must satisfy regular expression pattern: {_trait(shape, 'pattern')}"


def _bad_lists(shape: ListShape) -> Iterator[tuple[object, list[str]]]:
    if (most := _trait(shape, "max")) is not None:
        value = [smallest(shape.member)] * (most + 1)
        yield value, _broken_length(shape, most + 1)
    if _trait(shape, "min", 0):
        yield [], _broken_length(shape, 0)
    if isinstance(shape.member, StringShape):
        good = smallest(shape.member)
        for text in _bad_texts(shape.member):
            yield [good, text], [f"Member must satisfy constraint: [{_all_constraints(shape.member)}]"]


def _bad_maps(shape: MapShape) -> Iterator[tuple[object, list[str]]]:
    good = smallest(shape.value)
    if (most := _trait(shape, "max")) is not None:
        keys = (f"k{n}" for n in range(most + 1))
        yield dict.fromkeys(keys, good), _broken_length(shape, most + 1)
    for key in _bad_texts(shape.key):
        yield {key: good}, [f"Map keys must satisfy constraint: [{_all_constraints(shape.key)}]"]
    if isinstance(shape.value, StringShape):
        for text in _bad_texts(shape.value):
            value = {smallest(shape.key): text}
            yield value, [f"Map value must satisfy constraint: [{_all_constraints(shape.value)}]"]


def _all_constraints(shape: Shape) -> str:
    """Of what stands in a list or map every constraint is told, the broken ones and the others."""
    most, least = _trait(shape, "max"), _trait(shape, "min", 0)
    found = []
    if most is not None:
        found += [f"Member must have length less than or equal to {most}"]
        found += [f"Member must have length greater than or equal to {least}"]
    if _trait(shape, "pattern") is not None:
        found.append(_pattern(shape))
    return ", ".join([*found, NOT_NULL])


# -- how values are printed ------------------------------------------------------------------------------


def _is_sensitive(shape: Shape) -> bool:
    if isinstance(shape, ListShape):
        return bool(_trait(shape, "sensitive")) or _is_sensitive(shape.member)
    if isinstance(shape, MapShape):
        return any(map(_is_sensitive, (shape.key, shape.value))) or bool(_trait(shape, "sensitive"))
    return bool(_trait(shape, "sensitive"))


def printed(shape: Shape, value: object) -> str:
    """Java's toString."""
    if value is None:
        return "null"
    if _is_sensitive(shape):
        return "***"
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        members = (f"{camel(n)}={printed(m, value.get(n))}" for n, m in shape.members.items())
        return f"{shape.name}({', '.join(members)}{RECORDED_MEMBERS.get(shape.name, '')})"
    if isinstance(shape, ListShape) and isinstance(value, Sequence):
        return f"[{', '.join(printed(shape.member, item) for item in value)}]"
    if isinstance(shape, MapShape) and isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={printed(shape.value, item)}" for key, item in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= ECHOED else text[:ECHOED] + "..."


def message(sentences: Sequence[str]) -> str:
    """The whole of what is said."""
    plural = "s" if len(sentences) > 1 else ""
    return f"{len(sentences)} validation error{plural} detected: {'; '.join(sentences)}"
