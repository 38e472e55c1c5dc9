"""Conjunctions that are tested all at once: each has a bit, and each path says which bits a value fails.

An event matches the conjunctions whose bit no path fails. What one path costs does not depend on how many
conjunctions there are, until their bits fill many words: then another block is begun.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Generic, TypeVar

from partnerbus.patterns.entry import Entry
from partnerbus.patterns.leaves import Leaves
from partnerbus.patterns.path_test import PathTest
from partnerbus.patterns.syntax import Clause

K = TypeVar("K")

CONJUNCTIONS_PER_BLOCK = 1_024


class Block(Generic[K]):
    """Some conjunctions. `tests` are by path; a path that no conjunction names has none."""

    def __init__(self) -> None:
        self.tests: dict[str, PathTest] = {}
        self.alive = 0
        self._entries: list[Entry[K] | None] = []
        self._clauses: list[Sequence[Clause]] = []
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._entries) - len(self._free)

    @property
    def is_full(self) -> bool:
        return len(self) >= CONJUNCTIONS_PER_BLOCK

    def add(self, entry: Entry[K], clauses: Sequence[Clause]) -> int:
        """Add a conjunction of `entry`; its number here."""
        if self._free:
            number = self._free.pop()
            self._entries[number], self._clauses[number] = entry, clauses
        else:
            number = len(self._entries)
            self._entries.append(entry)
            self._clauses.append(clauses)
        bit = 1 << number
        self.alive |= bit
        for clause in clauses:
            test = self.tests.get(clause.path)
            if test is None:
                test = self.tests[clause.path] = PathTest()
            test.add(clause.matchers, bit)
        return number

    def remove(self, number: int) -> Sequence[Clause]:
        """Forget a conjunction; the clauses it had."""
        bit = 1 << number
        self.alive &= ~bit
        clauses = self._clauses[number]
        for clause in clauses:
            test = self.tests[clause.path]
            test.remove(clause.matchers, bit)
            if not test.bits:
                del self.tests[clause.path]
        self._entries[number], self._clauses[number] = None, ()
        self._free.append(number)
        return clauses

    def conjunctions(self) -> list[tuple[int, Entry[K], Sequence[Clause]]]:
        """Those that are in here, with their numbers."""
        every = zip(self._entries, self._clauses, strict=True)
        return [(n, entry, clauses) for n, (entry, clauses) in enumerate(every) if entry is not None]

    def keys_by_bit(self) -> Sequence[K | None] | None:
        """The key of each bit, if they are in the order of their entries, and all different; else None."""
        numbers = [entry.number for entry in self._entries if entry is not None]
        if any(first >= second for first, second in pairwise(numbers)):
            return None
        return [None if entry is None else entry.key for entry in self._entries]

    def entries_left(self, failed: int) -> Sequence[Entry[K]]:
        """The entries of the conjunctions whose bits are not in `failed`."""
        left = self.alive & ~failed
        found = []
        while left:
            lowest = left & -left
            entry = self._entries[lowest.bit_length() - 1]
            assert entry is not None
            found.append(entry)
            left ^= lowest
        return found

    def candidates(self, leaves: Leaves) -> Sequence[Entry[K]]:
        """The entries that may match; those that do are among them.

        Which elements of arrays values are in is not considered, nor is `exists: false`.
        """
        failed = 0
        for path, test in self.tests.items():
            left = test.bits
            for leaf in leaves.get(path, ()):
                left &= test.failed(leaf.value)
            failed |= left & ~test.if_absent
        return self.entries_left(failed)
