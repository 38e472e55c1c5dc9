"""Conjunctions that are found by texts they want, such as a tenant's id, and are then tested one by one.

A table has the conjunctions that want exact texts at its paths, by those texts. So what an event costs is
the few conjunctions that want what it has, whether there are ten others or a million.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Generic, NamedTuple, TypeVar

from partnerbus.patterns.addresses import parse_address
from partnerbus.patterns.entry import Entry
from partnerbus.patterns.leaves import Leaves
from partnerbus.patterns.path_test import flat_scalars
from partnerbus.patterns.scalar_test import BEYOND, Irregular, ScalarTest, holds, make_test
from partnerbus.patterns.syntax import Clause, Text

K = TypeVar("K")

TEXTS_PER_CLAUSE = 4
"""A clause with more texts is of no use to find a conjunction by, which is kept under each of them."""

PATHS_PER_KEY = 3
KEYS_PER_CONJUNCTION = 8
"""A conjunction is found by several paths together, as long as they do not make more keys than this."""

CANDIDATES_PER_KEY = 16
"""So many conjunctions are tested one by one; what more want the same texts must be kept elsewhere."""

Key = str | tuple[str, ...]


class Candidate(NamedTuple, Generic[K]):
    """An entry, and what is left to test of a conjunction of it.

    The value in the slot `at` is to pass the `Test` of `low` and `test`, those of other slots the tests that
    are `more`. (A tuple, because a program takes it apart.)
    """

    entry: Entry[K]
    at: int
    low: float | None
    test: ScalarTest | float
    more: tuple["SlotTest", ...]


SlotTest = tuple[int, float | None, ScalarTest | float]
"""The slot of a value, and the two parts of its `Test`."""

Found = Entry[K] | Candidate[K] | tuple[Candidate[K], ...]
"""What is under a key: a candidate alone if there is one, and only its entry if nothing is left to test."""

NOTHING: tuple[()] = ()


class KeyTable(Generic[K]):
    """The conjunctions by the text at one path, or the texts at several."""

    __slots__ = ("found", "paths")

    def __init__(self, paths: tuple[str, ...]) -> None:
        self.paths = paths
        self.found: dict[Key, Found[K]] = {}

    def has_room(self, keys: Sequence[Key]) -> bool:
        found = self.found
        for key in keys:
            under = found.get(key)
            if under.__class__ is tuple and len(under) >= CANDIDATES_PER_KEY:
                return False
        return True

    def add(self, keys: Sequence[Key], candidate: Candidate[K]) -> None:
        for key in keys:
            self._put(key, (*self._under(key), candidate) if key in self.found else (candidate,))

    def remove(self, keys: Sequence[Key], candidate: Candidate[K]) -> None:
        for key in keys:
            left = list(self._under(key))
            left.remove(candidate)
            if left:
                self._put(key, tuple(left))
            else:
                del self.found[key]

    def _put(self, key: Key, candidates: tuple[Candidate[K], ...]) -> None:
        first = candidates[0]
        if len(candidates) > 1:
            self.found[key] = candidates
        else:
            self.found[key] = first.entry if first.test is always else first

    def _under(self, key: Key) -> Sequence[Candidate[K]]:
        found = self.found.get(key, NOTHING)
        if isinstance(found, Entry):
            return (Candidate(found, 0, None, always, ()),)
        return (found,) if isinstance(found, Candidate) else found

    def find(self, *values: object) -> Sequence[Candidate[K]]:
        """The candidates for the values at the paths as decoded, arrays of texts included."""
        if BEYOND in values:
            raise Irregular
        keys = make_keys([flat_texts(value) for value in values])
        return [candidate for key in keys for candidate in self._under(key)]

    def entries(self, leaves: Leaves) -> Iterator[Entry[K]]:
        """The entries that may match; those of this table that do are among them."""
        values = [tuple(leaf.value for leaf in leaves.get(path, ())) for path in self.paths]
        for candidate in self.find(*values):
            yield candidate.entry


def flat_texts(value: object) -> Sequence[str]:
    """The texts in a value as decoded: itself, or those in an array."""
    if isinstance(value, str):
        return [value]
    found = flat_scalars(value) if isinstance(value, (tuple, list)) else ()
    return [each for each in dict.fromkeys(found) if isinstance(each, str)]


def key_texts(clause: Clause) -> tuple[str, ...] | None:
    """The texts a conjunction with that clause can be found by; None if there are none, or too many."""
    if len(clause.matchers) > TEXTS_PER_CLAUSE:
        return None
    texts = []
    for matcher in clause.matchers:
        if not isinstance(matcher, Text) or parse_address(matcher.text) is not None:
            return None
        texts.append(matcher.text)
    return tuple(dict.fromkeys(texts)) if len(texts) > 1 else tuple(texts)


def make_keys(texts: Sequence[Sequence[str]]) -> Sequence[Key]:
    """The keys for each path's texts."""
    return texts[0] if len(texts) == 1 else list(product(*texts))


def make_candidate(
    entry: Entry[K], clauses: Mapping[str, Clause], known: Sequence[str], slot: Callable[[str], int]
) -> Candidate[K]:
    """A candidate whose tests are those of `clauses` save the paths that are `known`."""
    tests = [(slot(path), *make_test(clauses[path].matchers)) for path in clauses if path not in known]
    if not tests:
        return Candidate(entry, 0, None, always, ())
    return Candidate(entry, *tests[0], tuple(tests[1:]))


def always(_: object) -> bool:
    """The test of a conjunction of which nothing is left to test."""
    return True


def all_pass(tests: Sequence[SlotTest], values: Sequence[object]) -> bool:
    """Whether the values pass the tests of their slots."""
    return all(holds(low, test, values[at]) for at, low, test in tests)
