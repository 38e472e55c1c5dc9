"""The conjunctions of one source (or of any source), each kept where it costs an event least.

Two places, and where a conjunction goes is decided once, when it is added:

* **by text** (`keyed.py`), if it wants an exact text at a path by which conjunctions of this group differ. It
  then costs nothing unless an event has that text.
* **in a block** (`block.py`) otherwise: all of a block are tested at once, path by path.

A path is good to be kept by if a fair share of the group wants exact texts there, and different ones. The
first conjunctions come before that shows, so those in blocks are moved when it does, as long as they are few.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from partnerbus.patterns.block import Block
from partnerbus.patterns.entry import Entry
from partnerbus.patterns.keyed import (
    KEYS_PER_CONJUNCTION,
    PATHS_PER_KEY,
    Candidate,
    Key,
    KeyTable,
    always,
    key_texts,
    make_candidate,
    make_keys,
)
from partnerbus.patterns.leaves import Leaves
from partnerbus.patterns.syntax import Clause

K = TypeVar("K")

SOURCE, DETAIL_TYPE = "source", "detail-type"

SMALL_GROUP = 64
"""Up to so many conjunctions are tested together in less time than it takes to look one up."""

TEXTS_TO_TELL_APART = 8
TEXTS_COUNTED = 64
"""A path is worth a table if its clauses name so many different texts; they are not counted any further."""

SHARE_OF_GROUP = 2
CERTAIN_CLAUSES = 256
"""… and if one in so many conjunctions has a clause there, or so many do in all."""

MOVED_AT_MOST = 128
"""So many conjunctions are moved to a table that others have shown to be worth it."""


class InBlock(msgspec.Struct, frozen=True, gc=False):
    """Where a conjunction is: its number in a block."""

    block: int
    number: int


class ByText(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Where a conjunction is: under some texts of a table."""

    paths: tuple[str, ...]
    keys: Sequence[Key]
    candidate: Candidate  # type: ignore[type-arg]  # msgspec has no generic aliases


Place = InBlock | ByText


class Group(Generic[K]):
    """Conjunctions, their places, and what leads a program to them.

    `changed` is called for changes that a program of this group has to follow: all but those of candidates in
    tables that exist.
    """

    def __init__(self, source: str | None, changed: Callable[[], None]) -> None:
        self.source = source
        self.changed = changed
        self.blocks: list[Block[K]] = []
        self.tables: dict[tuple[str, ...], KeyTable[K]] = {}
        self.slots: dict[str, int] = {}
        self.paths: dict[str, int] = {}
        """How many conjunctions name each path."""
        self.asked = 0
        """How many events came before there was a program for them."""
        self._free_slots: list[int] = []
        self._texts: dict[str, dict[str, str]] = {}
        self._keys: set[str] = set()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    # -- changes ---------------------------------------------------------------------------------------

    def add(self, entry: Entry[K], clauses: Mapping[str, Clause]) -> None:
        """Add a conjunction of `entry`, without its clause on the source if the group is one source's."""
        self._size += 1
        for path in clauses:
            self.paths[path] = self.paths.get(path, 0) + 1
        texts = self._texts_of(clauses)
        self._learn(texts)
        entry.homes.append((self, self._by_text(entry, clauses, texts) or self._in_block(entry, clauses)))

    def remove(self, place: Place) -> None:
        """Forget a conjunction."""
        self._size -= 1
        take = self._take_from_block if isinstance(place, InBlock) else self._take_from_table
        for path in take(place):  # type: ignore[arg-type]  # it fits
            self._release(path)

    def _texts_of(self, clauses: Mapping[str, Clause]) -> Mapping[str, tuple[str, ...]]:
        """By path, the texts that a conjunction can be found by; equal ones are one object."""
        texts = {}
        for path, clause in clauses.items():
            found = key_texts(clause)
            if found is not None:
                known = self._texts.get(path)
                texts[path] = found if known is None else tuple([known.get(text, text) for text in found])
        return texts

    def _by_text(
        self, entry: Entry[K], clauses: Mapping[str, Clause], texts: Mapping[str, tuple[str, ...]]
    ) -> ByText | None:
        if not self._keys:
            return None
        for path in self._keys if len(self._keys) == 1 else self._best_keys():
            if path not in texts:
                continue
            paths = _together(path, texts)
            keys = make_keys([texts[each] for each in paths])
            table = self.tables.get(paths) or self._open_table(paths)
            if table.has_room(keys):
                candidate = make_candidate(entry, clauses, paths, self._slot)
                table.add(keys, candidate)
                return ByText(paths, keys, candidate)
        return None

    def _best_keys(self) -> list[str]:
        return sorted(self._keys, key=lambda path: (-len(self._texts[path]), path))

    def _open_table(self, paths: tuple[str, ...]) -> KeyTable[K]:
        self.changed()
        table = self.tables[paths] = KeyTable(paths)
        return table

    def _in_block(self, entry: Entry[K], clauses: Mapping[str, Clause]) -> InBlock:
        self.changed()
        for index, block in enumerate(self.blocks):
            if not block.is_full:
                return InBlock(index, block.add(entry, tuple(clauses.values())))
        self.blocks.append(Block())
        return InBlock(len(self.blocks) - 1, self.blocks[-1].add(entry, tuple(clauses.values())))

    def _take_from_block(self, place: InBlock) -> list[str]:
        self.changed()
        paths = [clause.path for clause in self.blocks[place.block].remove(place.number)]
        self._drop_empty_blocks()
        return paths

    def _drop_empty_blocks(self) -> None:
        while self.blocks and not len(self.blocks[-1]):
            self.blocks.pop()

    def _take_from_table(self, place: ByText) -> list[str]:
        table = self.tables[place.paths]
        table.remove(place.keys, place.candidate)
        if not table.found:
            self.changed()
            del self.tables[place.paths]
        candidate = place.candidate
        if candidate.test is always:
            return [*place.paths]
        tested = {candidate.at, *(at for at, _, _ in candidate.more)}
        return [*place.paths, *(path for path, slot in self.slots.items() if slot in tested)]

    def _slot(self, path: str) -> int:
        """Where the tests of candidates find the value at `path`."""
        slot = self.slots.get(path)
        if slot is None:
            self.changed()
            slot = self.slots[path] = self._free_slots.pop() if self._free_slots else len(self.slots)
        return slot

    def _release(self, path: str) -> None:
        self.paths[path] -= 1
        if self.paths[path]:
            return
        self.changed()
        del self.paths[path]
        self._texts.pop(path, None)
        self._keys.discard(path)
        if path in self.slots:
            self._free_slots.append(self.slots.pop(path))

    # -- which paths to keep by ------------------------------------------------------------------------

    def _learn(self, texts: Mapping[str, tuple[str, ...]]) -> None:
        for path, found in texts.items():
            seen = self._texts.get(path)
            if seen is None:
                seen = self._texts[path] = {}
            if len(seen) < TEXTS_COUNTED:
                seen.update(zip(found, found, strict=True))
            if path not in self._keys and self._is_worth_a_table(path):
                self._keys.add(path)
                self._move()

    def _is_worth_a_table(self, path: str) -> bool:
        return (
            self._size >= SMALL_GROUP
            and len(self._texts[path]) >= TEXTS_TO_TELL_APART
            and self.paths[path] >= min(self._size / SHARE_OF_GROUP, CERTAIN_CLAUSES)
            and path not in (SOURCE, DETAIL_TYPE)
        )

    def _move(self) -> None:
        """Give the conjunctions in blocks another chance."""
        if sum(map(len, self.blocks)) > MOVED_AT_MOST:
            return
        for index, block in enumerate(self.blocks):
            for number, entry, clauses in sorted(block.conjunctions(), key=lambda each: each[1].number):
                by_path = {clause.path: clause for clause in clauses}
                place = self._by_text(entry, by_path, self._texts_of(by_path))
                if place is not None:
                    self.changed()
                    block.remove(number)
                    entry.homes[entry.homes.index((self, InBlock(index, number)))] = (self, place)
        self._drop_empty_blocks()

    # -- the slow way to candidates ----------------------------------------------------------------------

    def candidates(self, leaves: Leaves) -> Iterator[Entry[K]]:
        """The entries that may match an event with those leaves; those that do are among them."""
        for block in self.blocks:
            yield from block.candidates(leaves)
        for table in self.tables.values():
            yield from table.entries(leaves)


def _together(path: str, texts: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """`path` and others whose texts find a conjunction together with it, with the fewest texts."""
    others: list[str] = []
    keys = len(texts[path])
    for count, other in sorted((len(found), other) for other, found in texts.items() if other != path):
        if len(others) < PATHS_PER_KEY - 1 and keys * count <= KEYS_PER_CONJUNCTION:
            others.append(other)
            keys *= count
    others.sort()
    return (path, *others)
