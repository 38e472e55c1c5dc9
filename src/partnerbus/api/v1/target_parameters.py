"""From the structures of a target as they came to what the targets read of them."""

from typing import TypeVar

import msgspec
from botocore import xform_name

from partnerbus.model.target_parameters import Parameters

Json = dict[str, object]
"""A structure that is kept and given back as it came; its contract has been checked."""

P = TypeVar("P", bound=Parameters)


def typed(structure: Json | None, kind: type[P]) -> P | None:
    """A structure with the model's names, which are the wire's in snake case."""
    return None if structure is None else msgspec.convert(_in_snake_case(structure), kind)


def _in_snake_case(value: object) -> object:
    if isinstance(value, dict):
        return {xform_name(name): _in_snake_case(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_in_snake_case(inner) for inner in value]
    return value
