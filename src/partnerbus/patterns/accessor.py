"""Reading just the fields that somebody asks for: types made to measure, for msgspec to decode into.

A tree of fields becomes one struct type an object. What the types do not name, msgspec skips without making
anything of it. Three things would make a short cut of this, and none is one:

* a field may hold anything, so the type of each is everything that JSON has, an object being a struct if
  fields of it are asked for, and otherwise an empty one;
* an object that is not there is read as one without fields, so that its fields are not there either;
* a dot in a name means the same as nesting. The names with dots that could stand for the fields asked for are
  declared too, with a type that accepts nothing: an event that has one cannot be read this way.

Arrays in which objects are looked for become lists. Of all other arrays only the scalars count; those become
tuples, which can be looked up in a dictionary.

A *plain* tree is for events that have objects where fields of them are asked for, and scalars everywhere else
they are asked for. Most events are such; what is decoded then needs less looking at.
"""

from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from typing import Annotated, Any, Union

import msgspec
from msgspec import UNSET, Meta, Struct, defstruct

_SCALARS = (type(None), bool, int, float, str)
Scalar = bool | int | float | str | None
_NEVER = Annotated[int, Meta(ge=1, le=0)]

Steps = tuple[str, ...]

ARRAYS_IN_ARRAYS = 3
"""How deep objects are still found as such; deeper ones are seen, and not read."""

TREES_KEPT = 1_024
"""Like patterns share a tree, on whatever bus they are."""


class _Object(Struct, frozen=True, gc=False):
    """An object of which nothing is asked."""


class Node:
    """An object of which fields are asked for. `kind` is the type it is decoded to."""

    def __init__(self, steps: Steps, *, plain: bool) -> None:
        self.steps = steps
        self.plain = plain
        self.fields: dict[str, Field] = {}
        self.kind: type[Struct] = _Object

    @cached_property
    def decode(self) -> Callable[[bytes], Any]:
        """Decodes JSON that is such an object."""
        return msgspec.json.Decoder(self.kind).decode

    @property
    def leaves(self) -> "list[Field]":
        return [field for field in self.fields.values() if field.path is not None]

    @property
    def children(self) -> "list[Field]":
        return [field for field in self.fields.values() if field.node is not None]

    def nodes(self) -> "Iterator[Node]":
        """This object and all in it."""
        yield self
        for field in self.children:
            if field.node is not None:
                yield from field.node.nodes()

    def leaves_below(self) -> "Iterator[Field]":
        """All leaves of this object and of those in it."""
        for field in self.fields.values():
            if field.path is not None:
                yield field
            if field.node is not None:
                yield from field.node.leaves_below()


class Field:
    """A field of an object. It is asked for if it has a `path`, and fields of it are if it has a `node`.

    `attribute` is the name it has in the struct.
    """

    def __init__(self, name: str, attribute: str, *, plain: bool) -> None:
        self.name = name
        self.attribute = attribute
        self.plain = plain
        self.path: str | None = None
        self.node: Node | None = None
        self.is_number = False

    @property
    def kind(self) -> Any:
        """What the field is decoded to: whatever it holds, if the tree is not plain."""
        if self.is_number and self.node is None:
            return float | None
        if self.plain:
            return Scalar if self.node is None else self.node.kind
        if self.node is None:
            return Union[(_Object, *_SCALARS, tuple[Any, ...])]
        kind: Any = Any
        for _ in range(ARRAYS_IN_ARRAYS):
            kind = Union[(self.node.kind, *_SCALARS, list[kind])]
        return kind

    @property
    def missing(self) -> Any:
        """What it is decoded to where it is not there."""
        if self.node is not None:
            return self.node.kind()
        return None if self.is_number else UNSET

    @cached_property
    def decode(self) -> Callable[[bytes], Any]:
        """Decodes JSON that stands in the field."""
        return msgspec.json.Decoder(self.kind).decode


@lru_cache(TREES_KEPT)
def make_tree(paths: frozenset[str], numbers: frozenset[str] = frozenset(), *, plain: bool = False) -> Node:
    """The tree of the fields at `paths`, with types; nobody changes it any more.

    Those at `numbers` are read as floats, None where there is none; an event that has anything else there
    cannot be read this way.
    """
    root = Node((), plain=plain)
    for path in sorted(paths):
        node = root
        *parents, last = path.split(".")
        for name in parents:
            field = _field(node, name)
            field.node = field.node or Node((*node.steps, name), plain=plain)
            node = field.node
        leaf = _field(node, last)
        leaf.path, leaf.is_number = path, path in numbers
    _make_kind(root)
    return root


def _field(node: Node, name: str) -> Field:
    return node.fields.setdefault(name, Field(name, f"f{len(node.fields)}", plain=node.plain))


def _make_kind(node: Node) -> None:
    declared: list[tuple[str, Any, Any]] = []
    names: dict[str, str] = {}
    for field in node.fields.values():
        if field.node is not None:
            _make_kind(field.node)
        names[field.attribute] = field.name
        declared.append((field.attribute, field.kind, field.missing))
    for number, alias in enumerate(sorted(_aliases(node))):
        names[f"never{number}"] = alias
        declared.append((f"never{number}", _NEVER, UNSET))
    node.kind = defstruct("Object", declared, rename=names, frozen=True, gc=False)


def _aliases(node: Node) -> set[str]:
    """The names with dots that could stand for fields of fields."""
    depth = len(node.steps)
    found = set()
    for leaf in node.leaves_below():
        assert leaf.path is not None
        steps = leaf.path.split(".")[depth:]
        found |= {".".join(steps[:length]) for length in range(2, len(steps) + 1)}
    return found
