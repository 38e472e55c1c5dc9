"""Where the leaves of an event stand, array indices included, and what stands where there is no leaf.

`leaves.py` numbers the leaves in the order of the text and forgets what matching does not need. This goes
over the same values in the same order, so the places it finds are those of the leaves, number by number.
"""

from collections.abc import Iterator
from typing import NamedTuple, Optional

from partnerbus.patterns.leaves import Interest, steps_to

Object = dict[str, object]


class Place(NamedTuple):
    """A name or an array index, and the place of what holds it; None for the event itself."""

    parent: Optional["Place"]
    step: str | int

    def steps(self) -> list[str | int]:
        """The way from the event to here."""
        found = []
        at: Place | None = self
        while at is not None:
            found.append(at.step)
            at = at.parent
        return found[::-1]


_Visit = tuple[object, str, Place | None]


class Places:
    """What stands in an event at the paths somebody asks for, and on the way to them."""

    def __init__(self, event: Object, interest: Interest) -> None:
        self._event = event
        self._interest = interest
        self._leaves: list[Place] = []
        self._objects: dict[str, list[Object]] = {}
        self._others: dict[str, object] = {}
        self._similar: dict[str | None, dict[str, str]] = {}
        self._find()

    def _find(self) -> None:
        pending: list[_Visit] = [*self._members(self._event, "", None)][::-1]
        while pending:
            value, path, place = pending.pop()
            if isinstance(value, dict):
                self._objects.setdefault(path, []).append(value)
                pending += [*self._members(value, path + ".", place)][::-1]
            elif isinstance(value, list | tuple) and value:
                pending += [(item, path, Place(place, index)) for index, item in enumerate(value)][::-1]
            else:
                self._others.setdefault(path, value)
                if place is not None and not isinstance(value, list | tuple) and path in self._interest.paths:
                    self._leaves.append(place)

    def _members(self, members: Object, prefix: str, place: Place | None) -> Iterator[_Visit]:
        for name, value in members.items():
            path = prefix + name
            if path in self._interest.steps or path in self._interest.paths:
                yield value, path, Place(place, name)

    def of_leaf(self, number: int) -> Place:
        """Where the leaf with that number stands."""
        return self._leaves[number]

    def holds_object(self, path: str) -> bool:
        """Whether there is an object at `path`, or in an array there."""
        return path in self._objects

    def holds(self, path: str) -> bool:
        """Whether there is anything at `path`."""
        return path in self._objects or path in self._others

    def other(self, path: str) -> object:
        """The first value at `path` that is no object: a scalar or an empty array."""
        return self._others[path]

    def deepest(self, path: str) -> str | None:
        """The longest way to `path` on which there is anything; None if not even its first name is there."""
        return next((step for step in reversed(steps_to(path)) if self.holds(step)), None)

    def similar_name(self, parent: str | None, wanted: str) -> str | None:
        """A name in the objects at `parent` that is `wanted` but for letter case and blanks around it."""
        return self._names(parent).get(_likeness(wanted))

    def _names(self, parent: str | None) -> dict[str, str]:
        names = self._similar.get(parent)
        if names is None:
            names = self._similar[parent] = {}
            for members in [self._event] if parent is None else self._objects.get(parent, []):
                for name in members:
                    names.setdefault(_likeness(name), name)
        return names


def _likeness(name: str) -> str:
    return name.strip().casefold()
