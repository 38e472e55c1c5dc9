"""What to say of a value that does not fit its shape, in the service's words.

Only requests that were refused come here, so this walks the shapes plainly instead of compiling them.

* A wrong JSON type is a *misfit*, one sentence, told before anything else (wording recalled).
* A broken constraint is a *violation*: `Value 'x' at 'a.1.member.b' failed to satisfy constraint: Member
  must …`. For one member the pattern comes before the length (recorded). A list or map of scalars is judged
  as one value, with every constraint of its elements in brackets (seen in answers of other services).
* The value is printed as Java prints it (recorded), cut at `ECHOED_CHARACTERS`, so that no request can blow
  its own refusal up. A value that the model calls sensitive is never printed: the service leaves it out
  ("Value at 'x' failed …", as seen of passwords elsewhere), and within a structure it becomes `***`.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from partnerbus.api.contract import (
    InstantShape,
    ListShape,
    MapShape,
    NumberShape,
    Shape,
    StructureShape,
    TextShape,
    TruthShape,
    compiled,
    is_instant,
)

ECHOED_CHARACTERS = 4_096
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_NULL = "Member must not be null"


# -- misfits: wrong JSON types ---------------------------------------------------------------------------


def misfits(shape: Shape, value: object, path: str = "") -> Iterator[str]:
    """Each place where the JSON type is wrong; null fits everywhere."""
    if value is None:
        return
    match shape:
        case StructureShape() if isinstance(value, dict):
            for name, item in value.items():
                if name in shape.members and item is not None:
                    member = shape.members[name]
                    yield from misfits(member.shape, item, _below(path, member.path))
        case ListShape() if isinstance(value, list | tuple):
            for number, element in enumerate(_judged(shape, value), 1):
                yield from misfits(shape.element, element, f"{path}.{number}.member")
        case MapShape() if isinstance(value, dict):
            for key, element in value.items():
                yield from misfits(shape.value, element, f"{path}.{_cut(str(key))}")
        case _:
            if not _is_scalar_of(shape, value):
                yield _misfit(shape, value, path)


def _is_scalar_of(shape: Shape, value: object) -> bool:
    match shape:
        case TextShape():
            return isinstance(value, str)
        case TruthShape():
            return isinstance(value, bool)
        case NumberShape():
            return type(value) is int and -(1 << shape.bits - 1) <= value < 1 << shape.bits - 1
        case InstantShape():
            return is_instant(value)
    return False


_WANTED = {
    TextShape: "a String",
    TruthShape: "a Boolean",
    NumberShape: "an Integer",
    InstantShape: "a Timestamp",
    ListShape: "a List",
    MapShape: "a Map",
    StructureShape: "a Structure",
}


def _misfit(shape: Shape, value: object, path: str) -> str:
    where = f" at '{path}'" if path else ""
    if isinstance(value, dict):
        return f"Start of structure or map found where not expected{where}"
    if isinstance(value, list | tuple):
        return f"Start of list found where not expected{where}"
    found = "STRING_VALUE" if isinstance(value, str) else "NUMBER_VALUE"
    if isinstance(value, bool):
        found = "TRUE_VALUE" if value else "FALSE_VALUE"
    return f"{found} can not be converted to {_WANTED[type(shape)]}{where}"


def strangers(shape: Shape, value: object, path: str = "") -> Iterator[str]:
    """Each member that the model does not know (for answers; in requests they are ignored)."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        for name, item in value.items():
            if name in shape.members:
                yield from strangers(shape.members[name].shape, item, _below(path, name))
            else:
                yield f"{shape.name} has no member '{_below(path, name)}'"
    elif isinstance(shape, ListShape) and isinstance(value, list | tuple):
        for number, item in enumerate(value, 1):
            yield from strangers(shape.element, item, f"{path}.{number}")


# -- violations: broken constraints ----------------------------------------------------------------------


def violations(shape: Shape, value: object, path: str = "") -> Iterator[str]:
    """Each broken constraint of a value whose types fit, in the order of the model."""
    for constraint in _broken(shape, value):
        yield f"{_value(shape, value)} at '{path}' failed to satisfy constraint: {constraint}"
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        for name, member in shape.members.items():
            yield from _member_violations(
                member.shape, value.get(name), _below(path, member.path), member.required
            )
    elif isinstance(shape, ListShape) and isinstance(shape.element, StructureShape) and value:
        for number, element in enumerate(_judged(shape, value), 1):
            yield from _member_violations(shape.element, element, f"{path}.{number}.member", required=True)


def _member_violations(shape: Shape, value: object, path: str, required: bool) -> Iterator[str]:
    if value is not None:
        yield from violations(shape, value, path)
    elif required:
        yield f"Value null at '{path}' failed to satisfy constraint: {_NOT_NULL}"


def _broken(shape: Shape, value: object) -> Iterator[str]:
    match shape:
        case TextShape() if isinstance(value, str):
            yield from _broken_text(shape, value)
        case NumberShape() if isinstance(value, int):
            yield from _broken_number(shape, value)
        case ListShape():
            yield from _broken_length(shape, len(_elements(value)))
            if any(_is_broken(shape.element, element) for element in _elements(value)):
                yield f"Member must satisfy constraint: [{_every_constraint(shape.element)}]"
        case MapShape() if isinstance(value, dict):
            present = {key: item for key, item in value.items() if item is not None}
            yield from _broken_length(shape, len(present))
            if any(_is_broken(shape.key, key) for key in present):
                yield f"Map keys must satisfy constraint: [{_every_constraint(shape.key)}]"
            if any(_is_broken(shape.value, item) for item in present.values()):
                yield f"Map value must satisfy constraint: [{_every_constraint(shape.value)}]"


def _is_broken(shape: Shape, value: object) -> bool:
    """Whether a scalar inside a list or map breaks anything. Structures are reported member by member."""
    if isinstance(shape, StructureShape):
        return False
    return value is None or any(True for _ in _broken(shape, value))


def _broken_text(shape: TextShape, value: str) -> Iterator[str]:
    if shape.enum:
        if value not in shape.enum:
            yield _enum(shape)
        return
    if shape.pattern is not None and compiled(shape.pattern).fullmatch(value) is None:
        yield _pattern(shape.pattern)
    yield from _broken_length(shape, len(value))


def _broken_length(shape: TextShape | ListShape | MapShape, length: int) -> Iterator[str]:
    if shape.maximum is not None and length > shape.maximum:
        yield _longest(shape.maximum)
    if shape.minimum is not None and length < shape.minimum:
        yield _shortest(shape.minimum)


def _broken_number(shape: NumberShape, value: int) -> Iterator[str]:
    if shape.maximum is not None and value > shape.maximum:
        yield f"Member must have value less than or equal to {shape.maximum}"
    if shape.minimum is not None and value < shape.minimum:
        yield f"Member must have value greater than or equal to {shape.minimum}"


def _every_constraint(shape: Shape) -> str:
    constraints = []
    if isinstance(shape, TextShape):
        if shape.enum:
            constraints.append(_enum(shape))
        if shape.maximum is not None:
            constraints += [_longest(shape.maximum), _shortest(shape.minimum or 0)]
        if shape.pattern is not None:
            constraints.append(_pattern(shape.pattern))
    return ", ".join([*constraints, _NOT_NULL])


def _pattern(pattern: str) -> str:
    return f"Member must satisfy regular expression pattern: {pattern}"


def _enum(shape: TextShape) -> str:
    return f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"


def _longest(length: int) -> str:
    return f"Member must have length less than or equal to {length}"


def _shortest(length: int) -> str:
    return f"Member must have length greater than or equal to {length}"


# -- printing values as Java does ------------------------------------------------------------------------


def _value(shape: Shape, value: object) -> str:
    if _is_sensitive(shape):
        return "Value"
    return f"Value '{_java_text(shape, value)}'"


def _is_sensitive(shape: Shape) -> bool:
    match shape:
        case TextShape() | StructureShape():
            return shape.sensitive
        case ListShape():
            return shape.sensitive or _is_sensitive(shape.element)
        case MapShape():
            return shape.sensitive or _is_sensitive(shape.key) or _is_sensitive(shape.value)
    return False


def _java_text(shape: Shape, value: object) -> str:
    pieces = []
    left = ECHOED_CHARACTERS
    for piece in _printed(shape, value):
        pieces.append(piece[:left])
        left -= len(piece)
        if left < 0:
            return "".join(pieces) + "..."
    return "".join(pieces)


def _printed(shape: Shape, value: object) -> Iterator[str]:
    """`value` as Java's toString gives it, piece by piece, so that whoever prints may stop."""
    if value is None:
        yield "null"
    elif _is_sensitive(shape):
        yield "***"
    elif isinstance(shape, StructureShape) and isinstance(value, dict):
        yield from _printed_structure(shape, value)
    elif isinstance(shape, ListShape):
        yield "["
        for number, element in enumerate(_elements(value)):
            yield ", " if number else ""
            yield from _printed(shape.element, element)
        yield "]"
    elif isinstance(shape, MapShape) and isinstance(value, dict):
        yield "{"
        for number, (key, element) in enumerate(value.items()):
            yield f", {key}=" if number else f"{key}="
            yield from _printed(shape.value, element)
        yield "}"
    else:
        yield _printed_scalar(shape, value)


def _printed_structure(shape: StructureShape, value: Mapping[str, object]) -> Iterator[str]:
    yield f"{shape.name}("
    for number, (name, member) in enumerate(shape.members.items()):
        yield f", {member.path}=" if number else f"{member.path}="
        yield from _printed(member.shape, value.get(name))
    for name in shape.unwritten:
        yield f", {name}=null"
    yield ")"


def _printed_scalar(shape: Shape, value: object) -> str:
    if is_instant(value) and isinstance(shape, InstantShape):
        return _java_date(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _java_date(seconds: float) -> str:
    """Epoch seconds as java.util.Date prints them."""
    return f"{_EPOCH + timedelta(seconds=seconds):%a %b %d %H:%M:%S UTC %Y}"


def _elements(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _judged(shape: ListShape, value: object) -> Sequence[object]:
    """The elements to look at one by one. A list that is too long is broken anyway, so its rest is not."""
    return _elements(value)[: shape.maximum]


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _cut(text: str) -> str:
    return text if len(text) <= 256 else text[:256] + "..."
