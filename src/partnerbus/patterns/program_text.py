"""The text of a program's function, and the namespace that it runs in.

Each object of the tree of fields is a variable `oN`, each field asked for a variable `vN`. The function here
is for plain events: objects and scalars, each where it is expected. It hands on all others to the function of
`arrays_text.py`, which is longer and slower, and not made before such an event comes.

For patterns in one block that ask for `detail.state`, with terms cut short, the text is

    def match_event(event):
        try: o0 = decode(event)
        except ValidationError: return in_general(event)
        if o0.f1 != source: raise OtherSource
        o1 = o0.f0
        v0 = o1.f0
        failed0 = (equal_0_v0_0 if v0 == text_0_v0_0 else others_0_v0 if v0.__class__ is str else …)
        if failed0 == alive: return ()
        return answers[failed0]

Candidates of tables come between the last `failed` and the answer.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from math import ceil
from typing import Generic, TypeVar

from msgspec import UNSET, ValidationError

from partnerbus.patterns.accessor import Node
from partnerbus.patterns.answers import BITS_PER_PART, PARTS_AT_MOST, Answers, Part, keys_of
from partnerbus.patterns.block import Block
from partnerbus.patterns.entry import Entry, keys_in_order
from partnerbus.patterns.group import SOURCE, Group
from partnerbus.patterns.keyed import Candidate, KeyTable, all_pass
from partnerbus.patterns.path_test import PathTest
from partnerbus.patterns.scalar_test import Irregular, holds
from partnerbus.patterns.terms import Names, Terms

K = TypeVar("K")

EVENTS, DETAILS = "match_event", "match_detail"
"""The two functions: of an event's JSON, and of a decoded envelope with the JSON of the detail."""

ARGUMENTS = {EVENTS: "event", DETAILS: "envelope, detail"}

ForEvents = Callable[[bytes], Sequence[K]]
ForDetails = Callable[[dict[str, object], bytes], Sequence[K]]

DETAIL = "detail"

HOLDS = "holds(low, test, value)"


class OtherSource(Exception):
    """The event is not of the source that the function is for."""


def numbers_below(groups: Sequence[Group[K]]) -> frozenset[str]:
    """The paths in objects where only numbers pass any clause, and no candidate is found or tested."""
    tests: dict[str, list[PathTest]] = {}
    kept: set[str] = set()
    for group in groups:
        kept.update(group.slots, *group.tables)
        for block in group.blocks:
            for path, test in block.tests.items():
                tests.setdefault(path, []).append(test)
    numbers = (path for path, found in tests.items() if all(test.only_ranges for test in found))
    return frozenset(path for path in numbers if "." in path and path not in kept)


HELPERS: Names = {
    "Candidate": Candidate,
    "Entry": Entry,
    "Irregular": Irregular,
    "OtherSource": OtherSource,
    "UNSET": UNSET,
    "ValidationError": ValidationError,
    "all_pass": all_pass,
    "bisect": bisect_right,
    "holds": holds,
    "in_order": keys_in_order,
    "keys_of": keys_of,
}
"""What every function may call; the rest of its names are of its groups."""


class FunctionText(Generic[K]):
    """Writes the function `name` for some groups: those of `source`, if one is given.

    `tree` has the paths of the groups and that of the source. `in_general` takes what the function takes.
    """

    passes = "test(value) if low is None else low <= value < test if value.__class__ is float else " + HOLDS
    """Whether a candidate's first test holds."""

    def __init__(
        self,
        name: str,
        tree: Node,
        groups: Sequence[Group[K]],
        source: str | None,
        in_general: Callable[..., Sequence[K]] | None = None,
    ) -> None:
        self.name = name
        self._tree = tree
        self._source = source
        self._lines: list[str] = []
        self.names: Names = {**HELPERS, "decode": tree.decode, "in_general": in_general, "source": source}
        self._objects = {node: number for number, node in enumerate(tree.nodes())}
        self._values = {leaf.path or "": f"v{number}" for number, leaf in enumerate(tree.leaves_below())}
        numbers = {leaf.path for leaf in tree.leaves_below() if leaf.is_number and leaf.node is None}
        self._blocks: list[Block[K]] = []
        self._terms: list[Terms] = []
        self._tables: list[tuple[KeyTable[K], Sequence[str | None]]] = []
        """With the paths of the values, by slot, that candidates are tested by."""
        self._kept: set[str] = set()
        """The paths whose values candidates are found or tested by."""
        self._late: dict[str, str] = {}
        """How values are read that only tests of candidates ask for."""
        for group in groups:
            self._take(group, numbers)

    def _take(self, group: Group[K], numbers: set[str | None]) -> None:
        for block in group.blocks:
            name = str(len(self._blocks))
            self._blocks.append(block)
            self._terms.append(Terms(name, block.tests, self._values, numbers, self.names, group.changed))
        slots: list[str | None] = [None] * (max(group.slots.values(), default=-1) + 1)
        for path, slot in group.slots.items():
            slots[slot] = path
        for table in group.tables.values():
            self._tables.append((table, slots))
            self._kept.update(table.paths, group.slots)

    def write(self) -> str:
        """The text; `names` is the namespace."""
        self._line(0, f"def {self.name}({ARGUMENTS[self.name]}):")
        if self.name == EVENTS:
            self._decode("o0", "decode(event)")
            if self._source is not None:
                self._line(1, f"if o0.{self._tree.fields[SOURCE].attribute} != source: raise OtherSource")
        else:
            self._read_envelope()
        self._match_objects()
        self._find_candidates()
        self._answer()
        return "\n".join(self._lines)

    def _line(self, depth: int, text: str) -> None:
        self._lines.append("    " * depth + text)

    # -- reading ---------------------------------------------------------------------------------------

    def _decode(self, variable: str, text: str) -> None:
        self._line(1, f"try: {variable} = {text}")
        self._line(1, f"except ValidationError: return in_general({ARGUMENTS[self.name]})")

    def _read_envelope(self) -> None:
        """Read the envelope, whose values are texts and arrays of texts if it is one of ours."""
        for field in self._tree.fields.values():
            value = self._values.get(field.path or "", "")
            here = value if field.node is None else f"o{self._objects[field.node]}"
            if field.name == DETAIL:
                self.names["decode_detail"], self.names["no_detail"] = field.decode, field.missing
                self._decode(here, "decode_detail(detail) if detail else no_detail")
                if value not in ("", here):  # the detail itself is asked for, too
                    self._line(1, f"{value} = {here}")
                    self._check_value(value)
                continue
            if value:
                self._line(1, f"{value} = envelope.get({field.name!r}, UNSET)")
                self._check_value(value)
            if field.node is not None:
                self.names[f"no_{here}"] = field.missing
                self._line(1, f"if {field.name!r} in envelope: raise Irregular")
                self._line(1, f"{here} = no_{here}")

    def _check_value(self, value: str) -> None:
        self._line(1, f"if {value}.__class__ is not str: return in_general(envelope, detail)")

    def _match_objects(self) -> None:
        """Read all that is asked for, and say what it fails of each block."""
        self._read_fields(self._tree)
        for number, terms in enumerate(self._terms):
            written = [terms.term(path) for path in self._values if path in terms.tests]
            self._line(1, f"failed{number} = {' | '.join(written) or 0}")

    def _read_fields(self, node: Node) -> None:
        is_read = node is self._tree and self.name == DETAILS
        here = f"o{self._objects[node]}"
        for field in node.fields.values():
            if field.path is not None and not is_read:
                self._read_value(field.path, f"{here}.{field.attribute}")
            if field.node is not None:
                if not is_read:
                    self._line(1, f"o{self._objects[field.node]} = {here}.{field.attribute}")
                self._read_fields(field.node)

    def _read_value(self, path: str, read: str) -> None:
        is_found_by = any(path in table.paths for table, _ in self._tables)
        if is_found_by or any(path in terms.tests for terms in self._terms):
            self._line(1, f"{self._values[path]} = {read}")
        else:
            self._late[path] = read

    # -- candidates and answers ------------------------------------------------------------------------

    def _find_candidates(self) -> None:
        if len(self._tables) == 1 and not self._blocks:
            self._find_alone()
            return
        if self._tables:
            self._line(1, "found = []")
        for number in range(len(self._tables)):
            self._look_up(number)
            self._line(1, "if candidates.__class__ is Entry: found.append(candidates)")
            self._line(1, "elif candidates:")
            self._line(2, f"values = {self._read_slots(number)}")
            self._line(2, "if candidates.__class__ is Candidate: candidates = (candidates,)")
            self._test_candidates(2)

    def _find_alone(self) -> None:
        """There is nothing but one table, and most often one candidate at most."""
        self._look_up(0)
        self._line(1, "if candidates is None: return ()")
        self._line(1, "if candidates.__class__ is Entry: return (candidates.key,)")
        self._line(1, f"values = {self._read_slots(0)}")
        self._line(1, "if candidates.__class__ is Candidate:")
        self._line(2, "entry, at, low, test, more = candidates")
        self._line(2, "value = values[at]")
        self._line(2, f"return (entry.key,) if {self._is_met()} else ()")
        self._line(1, "found = []")
        self._test_candidates(1)

    def _test_candidates(self, depth: int) -> None:
        self._line(depth, "for entry, at, low, test, more in candidates:")
        self._line(depth + 1, "value = values[at]")
        self._line(depth + 1, f"if {self._is_met()}: found.append(entry)")

    def _is_met(self) -> str:
        return f"({self.passes}) and (not more or all_pass(more, values))"

    def _read_slots(self, number: int) -> str:
        """The values that candidates of a table are tested by."""
        return f"({''.join(f'{self._read_slot(path)}, ' for path in self._tables[number][1] or (None,))})"

    def _read_slot(self, path: str | None) -> str:
        return "None" if path is None else self._late.get(path, self._values[path])

    def _look_up(self, number: int) -> None:
        table = self._tables[number][0]
        self.names[f"table{number}"] = table.found.get
        values = [self._values[path] for path in table.paths]
        key = f"({', '.join(values)})" if len(values) > 1 else values[0]
        self._line(1, f"candidates = table{number}({key})")

    def _answer(self) -> None:
        if len(self._blocks) == 1:
            if self._tables:
                self._line(1, "if not found:")
            self._answer_of(1 + bool(self._tables), self._blocks[0])
            if not self._tables:
                return
        elif not self._blocks:
            self._line(1, "return in_order(found) if found else ()" if self._tables else "return ()")
            return
        for number, block in enumerate(self._blocks):
            self.names[f"left{number}"] = block.entries_left
        left = [f"*left{number}(failed{number})" for number in range(len(self._blocks))]
        self._line(1, f"return in_order([{', '.join([*left, *(['*found'] if self._tables else [])])}])")

    def _answer_of(self, depth: int, block: Block[K]) -> None:
        """The keys of the only block. With many bits every answer would be new, so it is put together."""
        keys = block.keys_by_bit()
        self.names["alive"] = block.alive
        if keys is None or len(keys) <= BITS_PER_PART:
            self.names["answers"] = Answers(block)
            self._line(depth, "if failed0 == alive: return ()")
            self._line(depth, "return answers[failed0]")
            return
        self.names["keys"] = keys
        self._line(depth, "left = alive ^ failed0")
        self._line(depth, "if not left: return ()")
        count = ceil(len(keys) / BITS_PER_PART)
        if count > PARTS_AT_MOST:
            self._line(depth, "return keys_of(left, keys)")
            return
        bits = ceil(len(keys) / count)
        parts = []
        for number in range(count):
            self.names[f"part{number}"] = Part(keys[number * bits : (number + 1) * bits])
            moved = f"left >> {number * bits}" if number else "left"
            parts.append(f"part{number}[{moved}{f' & {(1 << bits) - 1}' if number < count - 1 else ''}]")
        self._line(depth, f"return {' + '.join(parts)}")
