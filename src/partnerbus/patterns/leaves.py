"""An event as leaves: the scalars at the paths that patterns ask for, each with its place among the arrays.

A path is the names on the way joined with dots; arrays add nothing to it. What arrays add is an *element*: a
leaf inside an object (or array) inside an array belongs to that element of that array, and so to all the
elements around it. Scalars directly in an array belong to no element of it.

Leaves are numbered in the order of the text. An element's leaves are then a range of numbers, and so are
its array's, which lets the walk find the leaves that fit an element without looking at the others.
"""

from collections.abc import Iterable

from partnerbus.patterns.event_fields import EventFields, decode_json
from partnerbus.patterns.matching import Value
from partnerbus.patterns.numbers import Number, as_number

DETAIL = "detail"


class Interest:
    """The paths somebody asks for, and what leads to them. Nothing else of an event is opened."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.steps: set[str] = set()

    def add(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.paths.add(path)
            self.steps.update(steps_to(path))


def steps_to(path: str) -> list[str]:
    """What stands before each dot of `path`."""
    return [path[:index] for index, character in enumerate(path) if character == "."]


class Array:
    """An array that holds objects or arrays. `start` and `end` bound the numbers of the leaves in it."""

    __slots__ = ("end", "path", "start")

    def __init__(self, path: str, start: int) -> None:
        self.path = path
        self.start = self.end = start


class Element:
    """An object or array in an array; `parent` is the element around that array, None at the outermost."""

    __slots__ = ("array", "end", "parent", "start")

    def __init__(self, array: Array, parent: "Element | None") -> None:
        self.array = array
        self.parent = parent
        self.start = self.end = -1


class Leaf:
    """A scalar; `number` counts the event's leaves, `element` is the innermost it belongs to."""

    __slots__ = ("element", "number", "value")

    def __init__(self, number: int, element: Element | None, value: Value) -> None:
        self.number = number
        self.element = element
        self.value = value


Leaves = dict[str, list[Leaf]]
"""The leaves at each path, in the order of the text; no key for a path without."""


def find_leaves(fields: EventFields, interest: Interest) -> Leaves:
    """The leaves of an event that `interest` asks for; `ValueError` if its detail is not JSON."""
    event: dict[str, object] = dict(fields.envelope)
    if fields.detail and (DETAIL in interest.steps or DETAIL in interest.paths):
        event[DETAIL] = decode_json(fields.detail)
    return _Finder(interest).find(event)


_Visit = tuple[object, str, Element | None]
"""A value, its path and its element. An element or array in place of the value marks where it ends."""


class _Finder:
    def __init__(self, interest: Interest) -> None:
        self._paths = interest.paths
        self._steps = interest.steps
        self._leaves: Leaves = {}
        self._count = 0
        self._pending: list[_Visit] = []

    def find(self, event: dict[str, object]) -> Leaves:
        self._open_object(event, "", None)
        while self._pending:
            value, path, element = self._pending.pop()
            if isinstance(value, dict):
                if path in self._steps:
                    self._open_object(value, path + ".", element)
            elif isinstance(value, (list, tuple)):
                self._open_array(value, path, element)
            elif isinstance(value, (Element, Array)):
                self._pass(value)
            elif path in self._paths:
                self._add(value, path, element)
        return self._leaves

    def _open_object(self, members: dict[str, object], prefix: str, element: Element | None) -> None:
        first = len(self._pending)
        for name, value in members.items():
            path = prefix + name
            if path in self._steps or path in self._paths:
                self._pending.append((value, path, element))
        self._pending[first:] = reversed(self._pending[first:])

    def _open_array(self, items: Iterable[object], path: str, element: Element | None) -> None:
        array = Array(path, self._count)
        visits: list[_Visit] = []
        for item in items:
            if isinstance(item, (dict, list, tuple)):
                inner = Element(array, element)
                visits += ((inner, path, None), (item, path, inner), (inner, path, None))
            else:
                visits.append((item, path, element))
        self._pending.append((array, path, None))
        self._pending.extend(reversed(visits))

    def _pass(self, mark: Element | Array) -> None:
        """An element's mark is met before and after its leaves, an array's only after them."""
        if mark.start < 0:
            mark.start = self._count
        else:
            mark.end = self._count

    def _add(self, value: object, path: str, element: Element | None) -> None:
        leaf = Leaf(self._count, element, _leaf_value(value))
        self._count += 1
        self._leaves.setdefault(path, []).append(leaf)


def _leaf_value(value: object) -> Value:
    if value is None or isinstance(value, (str, bool)):
        return value
    assert isinstance(value, (int, float, Number))
    return as_number(value)
