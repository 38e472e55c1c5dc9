"""Does a request fit the contract? Does an answer?

Two speeds. `Checker` is compiled once per operation into closures that only say yes or no, because nearly
every request fits; a request that does not is walked again by `violations.py`, which finds the words.
While checking, members that are null or unknown to the model are dropped in place: null means absent, and
what the model does not know is ignored (assumed).
"""

import sys
from collections.abc import Callable, Mapping

from partnerbus.api.contract import (
    InstantShape,
    ListShape,
    MapShape,
    NumberShape,
    OperationContract,
    Shape,
    StructureShape,
    TextShape,
    TruthShape,
    compiled,
    is_instant,
)
from partnerbus.api.errors import ApiError, invalid
from partnerbus.api.json_body import serialization
from partnerbus.api.violations import misfits, strangers, violations

MESSAGE_CHARACTERS = 16_384
"""No refusal is longer than about this, however many violations a request has."""

Fits = Callable[[object], bool]


class Checker:
    """Checks the inputs of one operation."""

    def __init__(self, operation: OperationContract) -> None:
        self._shape = operation.input
        self._fits = _compile(operation.input)

    def check(self, members: dict[str, object]) -> None:
        """Return if `members` fit, cleaned in place; else raise what the service would say."""
        if not self._fits(members):
            raise self._refusal(members)

    def _refusal(self, members: dict[str, object]) -> ApiError:
        for misfit in misfits(self._shape, members):
            return serialization(misfit)
        found: list[str] = []
        left = MESSAGE_CHARACTERS
        for violation in violations(self._shape, members):
            found.append(violation)
            left -= len(violation)
            if left <= 0:
                break
        plural = "s" if len(found) > 1 else ""
        return invalid(f"{len(found)} validation error{plural} detected: {'; '.join(found)}")


def check_output(operation: OperationContract, answer: Mapping[str, object]) -> list[str]:
    """What is wrong with an answer, by the model: wrong types, unknown members, broken constraints."""
    if operation.output is None:
        return [f"{operation.name} answers without a body"] if answer else []
    wrong = [*misfits(operation.output, answer), *strangers(operation.output, answer)]
    return wrong or list(violations(operation.output, answer))


# -- compiling -------------------------------------------------------------------------------------------


def _compile(shape: Shape) -> Fits:
    match shape:
        case TextShape():
            return _text(shape)
        case StructureShape():
            return _structure(shape)
        case ListShape():
            return _list(shape)
        case MapShape():
            return _map(shape)
        case NumberShape():
            return _number(shape)
        case InstantShape():
            return is_instant
        case TruthShape():
            return lambda value: type(value) is bool


def _text(shape: TextShape) -> Fits:
    least, most = _range(shape)
    if shape.enum:
        allowed = frozenset(shape.enum)
        return lambda value: type(value) is str and value in allowed
    if shape.pattern is None:
        return lambda value: type(value) is str and least <= len(value) <= most
    matches = compiled(shape.pattern).fullmatch
    return lambda value: type(value) is str and least <= len(value) <= most and matches(value) is not None


def _number(shape: NumberShape) -> Fits:
    bound = 1 << (shape.bits - 1)
    least = -bound if shape.minimum is None else shape.minimum
    most = bound - 1 if shape.maximum is None else shape.maximum
    return lambda value: type(value) is int and least <= value <= most


def _list(shape: ListShape) -> Fits:
    element = _compile(shape.element)
    least, most = _range(shape)

    def fits(value: object) -> bool:
        return type(value) is list and least <= len(value) <= most and all(map(element, value))

    return fits


def _map(shape: MapShape) -> Fits:
    key, member = _compile(shape.key), _compile(shape.value)
    least, most = _range(shape)

    def fits(value: object) -> bool:
        if type(value) is not dict:
            return False
        for absent in [name for name, item in value.items() if item is None]:
            del value[absent]
        return least <= len(value) <= most and all(map(key, value)) and all(map(member, value.values()))

    return fits


def _structure(shape: StructureShape) -> Fits:
    known = {name: _compile(member.shape) for name, member in shape.members.items()}.get
    required = frozenset(name for name, member in shape.members.items() if member.required)

    def fits(value: object) -> bool:
        if type(value) is not dict:
            return False
        ignored = []
        for name, item in value.items():
            check = known(name)
            if check is None or item is None:
                ignored.append(name)
            elif not check(item):
                return False
        for name in ignored:
            del value[name]
        return required <= value.keys()

    return fits


def _range(shape: TextShape | ListShape | MapShape) -> tuple[int, int]:
    return shape.minimum or 0, sys.maxsize if shape.maximum is None else shape.maximum
