"""From a body to the input of an operation, the short way for what certainly fits the contract.

For the operations that carry events a second type is made of the view of their input, with the constraints of
the contract on it. What msgspec can read as that type fits; for everything else the long way has the word,
which knows what is ignored, what is refused, and how to say so.
"""

from itertools import chain
from typing import Annotated, Any, get_args

import msgspec

from partnerbus.api.contract import (
    EARLIEST_SECONDS,
    LATEST_SECONDS,
    InstantShape,
    ListShape,
    OperationContract,
    Shape,
    StructureShape,
    TextShape,
    compiled,
)
from partnerbus.api.json_body import read_object
from partnerbus.api.operation import Input, Operation
from partnerbus.api.validation import Checker


class Reader:
    """Reads the input of one operation."""

    def __init__(self, contract: OperationContract, operation: Operation) -> None:
        self._checker = Checker(contract)
        self._view = operation.input_type
        self._short_way = _ShortWay(fitting(self._view, contract.input)) if operation.carries_events else None

    def read(self, body: bytes) -> Input:
        """The input in `body`; an `ApiError` if it does not fit."""
        found = None if self._short_way is None else self._short_way.read(body)
        return self._read_the_long_way(body) if found is None else found

    def _read_the_long_way(self, body: bytes) -> Input:
        members = read_object(body)
        self._checker.check(members)
        return msgspec.convert(members, self._view)


class _Name(str):
    """A name in an object. msgspec asks for each that it meets, those that it has met before included."""

    __slots__ = ()


_Names = dict[_Name, list[dict[_Name, msgspec.Raw]] | str]
"""An object whose lists may hold objects: what calls with events are like."""


class _ShortWay:
    """Reads bodies of a `fitting` type."""

    def __init__(self, fitting: type[Input]) -> None:
        self._decode = msgspec.json.Decoder(fitting).decode
        self._decode_names = msgspec.json.Decoder(_Names, dec_hook=self._meet).decode
        self._met = 0

    def read(self, body: bytes) -> Input | None:
        """The input in `body`; None if that is not certain."""
        try:
            found = self._decode(body)
            return None if self._has_repeated_names(body) else found
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _has_repeated_names(self, body: bytes) -> bool:
        self._met = 0
        members = self._decode_names(body)
        lists = [value for value in members.values() if isinstance(value, list)]
        return self._met != len(members) + sum(map(len, chain.from_iterable(lists)))

    def _meet(self, _: type, name: str) -> _Name:
        self._met += 1
        return _Name(name)


def fitting(view: type[Input], shape: StructureShape) -> type[Input]:
    """A `view` whose members fit `shape`; it takes no others, and none that is null."""
    fields = [
        (field.name, _constrained(field.type, shape.members[field.encode_name].shape), *_default(field))
        for field in msgspec.structs.fields(view)
    ]
    made = msgspec.defstruct(
        view.__name__, fields, bases=(view,), frozen=True, kw_only=True, forbid_unknown_fields=True
    )
    assert issubclass(made, view)
    return made


def _default(field: msgspec.structs.FieldInfo) -> tuple[object, ...]:
    return () if field.default is msgspec.NODEFAULT else (field.default,)


def _constrained(kind: Any, shape: Shape) -> Any:
    match shape:
        case TextShape(enum=()):
            pattern = None if shape.pattern is None else rf"\A(?a:{compiled(shape.pattern).pattern})\Z"
            bounds = msgspec.Meta(min_length=shape.minimum, max_length=shape.maximum, pattern=pattern)
            return Annotated[str, bounds]
        case InstantShape():
            return Annotated[float, msgspec.Meta(ge=EARLIEST_SECONDS, le=LATEST_SECONDS)]
        case ListShape():
            bounds = msgspec.Meta(min_length=shape.minimum, max_length=shape.maximum)
            element = _constrained(get_args(kind)[0], shape.element)
            return Annotated[tuple.__class_getitem__((element, ...)), bounds]
        case StructureShape():
            return fitting(kind, shape)
    raise TypeError(f"{shape.name}: a shape that entries of events do not have")
