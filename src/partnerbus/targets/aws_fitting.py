"""Fitting a structure that people wrote to what an operation takes.

The members of an event's input, and of a target's parameters, go by the names of the service's API, but not
always in its spelling: `ContainerOverrides` and `containerOverrides` are both found in documents. So names
are compared without regard to case and underscores, all the way down, and what the operation does not know is
left out, as the whole event is by a target that reads three members of it.
"""

from botocore.model import ListShape, MapShape, Shape, StructureShape

Names = dict[str, tuple[str, Shape]]


def fitted(value: object, shape: Shape) -> object:
    """`value` with the names of `shape`; types and bounds are the serializer's affair."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        known: Names = {_folded(name): (name, member) for name, member in shape.members.items()}
        found = ((known.get(_folded(name)), inner) for name, inner in value.items())
        return {member[0]: fitted(inner, member[1]) for member, inner in found if member is not None}
    if isinstance(shape, ListShape) and isinstance(value, list | tuple):
        return [fitted(inner, shape.member) for inner in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {key: fitted(inner, shape.value) for key, inner in value.items()}
    return value


def _folded(name: object) -> str:
    return str(name).replace("_", "").lower()
