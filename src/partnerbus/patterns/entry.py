"""A pattern in an index: what stands for it there, and its exact test.

The index finds candidates and, where an event is regular, knows that they match. Where it is not sure, the
exact test decides, that of `walk.py`. It is made from the pattern's text when it is wanted, because most
entries never want it and it is many times larger than the text.
"""

from collections.abc import Hashable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Generic, TypeVar

from partnerbus.patterns.parser import conjunctions, parse_pattern
from partnerbus.patterns.walk import ClauseTest, ConjunctionTest, EventView

if TYPE_CHECKING:  # they have entries
    from partnerbus.patterns.group import Group, Place

K = TypeVar("K", bound=Hashable)

EXACT_TESTS_KEPT = 1_024


class Entry(Generic[K]):
    """The pattern of `key`. `number` counts additions; `homes` are where its conjunctions are kept."""

    __slots__ = ("homes", "key", "number", "text")

    def __init__(self, key: K, number: int, text: str) -> None:
        self.key = key
        self.number = number
        self.text = text
        self.homes: list[tuple[Group[K], Place]] = []


def keys_in_order(entries: Sequence[Entry[K]]) -> Sequence[K]:
    """The keys of the entries, each once, in the order they were added."""
    if len(entries) == 1:
        return [entries[0].key]
    keys, last = [], 0
    for entry in entries:
        number = entry.number
        if number <= last:
            return [each.key for each in sorted(set(entries), key=attrgetter("number"))]
        keys.append(entry.key)
        last = number
    return keys


class ExactTest:
    """Whether an event matches a pattern, arrays and everything else considered."""

    __slots__ = ("_conjunctions",)

    def __init__(self, text: str) -> None:
        expanded = conjunctions(parse_pattern(text).group)
        tests = {clause: ClauseTest(clause) for found in expanded for clause in found.values()}
        self._conjunctions = [ConjunctionTest(found, tests) for found in expanded]

    def matches(self, view: EventView) -> bool:
        return any(conjunction.matches(view) for conjunction in self._conjunctions)


class ExactTests(Generic[K]):
    """The exact tests of entries, the latest of them kept."""

    def __init__(self) -> None:
        self._kept: dict[Entry[K], ExactTest] = {}

    def of(self, entry: Entry[K]) -> ExactTest:
        test = self._kept.get(entry)
        if test is None:
            if len(self._kept) >= EXACT_TESTS_KEPT:
                self._kept.clear()
            test = self._kept[entry] = ExactTest(entry.text)
        return test

    def forget(self, entry: Entry[K]) -> None:
        self._kept.pop(entry, None)
