"""The text of a program's function, and the namespace that it runs in.

Each object of the tree of fields is a variable `oN`, each field asked for a variable `vN`. Where an object is
expected, an array or a scalar may be; that is what the functions `arrayB_N` are for, one an object and block.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from msgspec import UNSET

from partnerbus.patterns.accessor import Field, Node
from partnerbus.patterns.answers import BITS_PER_PART, PARTS_AT_MOST, Answers, Part, keys_of
from partnerbus.patterns.block import Block
from partnerbus.patterns.entry import Entry, keys_in_order
from partnerbus.patterns.group import SOURCE, Group
from partnerbus.patterns.keyed import KeyTable, all_pass
from partnerbus.patterns.path_test import PathTest
from partnerbus.patterns.scalar_test import BEYOND, Irregular, passes
from partnerbus.patterns.terms import Names, Terms

K = TypeVar("K")

EVENTS, DETAILS = "match_event", "match_detail"
"""The two functions: of an event's JSON, and of a decoded envelope with the JSON of the detail."""

ForEvents = Callable[[bytes], Sequence[K]]
ForDetails = Callable[[dict[str, object], bytes], Sequence[K]]

DETAIL = "detail"


class OtherSource(Exception):
    """The event is not of the source that the function is for."""


def write_function(
    name: str, tree: Node, groups: Sequence[Group[K]], source: str | None
) -> tuple[str, Names]:
    """The text of one of the two functions, and its namespace. `tree` has the paths of the groups."""
    return _Writer(tree, groups, source).write(name)


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


class _Writer(Generic[K]):
    def __init__(self, tree: Node, groups: Sequence[Group[K]], source: str | None) -> None:
        self._tree = tree
        self._source = source
        self._lines: list[str] = []
        self._names: Names = {
            "BEYOND": BEYOND,
            "Entry": Entry,
            "Irregular": Irregular,
            "OtherSource": OtherSource,
            "UNSET": UNSET,
            "all_pass": all_pass,
            "bisect": bisect_right,
            "in_order": keys_in_order,
            "keys_of": keys_of,
            "passes": passes,
            "source": source,
        }
        self._objects = {node: number for number, node in enumerate(tree.nodes())}
        self._names.update((f"Kind{number}", node.kind) for node, number in self._objects.items())
        self._values = {leaf.path or "": f"v{number}" for number, leaf in enumerate(tree.leaves_below())}
        self._numbers = {leaf.path for leaf in tree.leaves_below() if leaf.is_number and leaf.node is None}
        self._blocks: list[Block[K]] = []
        self._terms: list[Terms] = []
        self._tables: list[tuple[KeyTable[K], Sequence[str]]] = []
        self._kept: set[str] = set()
        """The paths whose values candidates are found or tested by."""
        for group in groups:
            self._take(group)

    def _take(self, group: Group[K]) -> None:
        for block in group.blocks:
            name = str(len(self._blocks))
            self._blocks.append(block)
            self._terms.append(
                Terms(name, block.tests, self._values, self._numbers, self._names, group.changed)
            )
        slots = ["None"] * (max(group.slots.values(), default=-1) + 1)
        for path, slot in group.slots.items():
            slots[slot] = self._values[path]
        for table in group.tables.values():
            self._tables.append((table, slots))
            self._kept.update(table.paths, group.slots)

    def write(self, name: str) -> tuple[str, Names]:
        for node in self._objects:
            for number in range(len(self._blocks)):
                if node is not self._tree and self._tests_below(node, number):
                    self._array(node, number)
        access = self._start_with_event() if name == EVENTS else self._start_with_detail()
        self._line(1, "".join(f"failed{number} = " for number in range(len(self._blocks))) + "0")
        failed = {number: f"failed{number}" for number in range(len(self._blocks))}
        self._object(self._tree, 1, failed, access, kept=self._kept)
        self._find_candidates()
        self._answer()
        return "\n".join(self._lines), self._names

    def _line(self, depth: int, text: str) -> None:
        self._lines.append("    " * depth + text)

    # -- reading ---------------------------------------------------------------------------------------

    def _start_with_event(self) -> "_Access":
        self._line(0, f"def {EVENTS}(event):")
        self._names["decode"] = self._tree.decode
        self._line(1, "o0 = decode(event)")
        if self._source is not None:
            self._line(1, f"if o0.{self._tree.fields[SOURCE].attribute} != source: raise OtherSource")
        return _attribute

    def _start_with_detail(self) -> "_Access":
        self._line(0, f"def {DETAILS}(envelope, detail):")
        self._line(1, "get = envelope.get")
        return self._part

    def _part(self, _: str, field: Field) -> str:
        """How a field of the envelope is read where the envelope is decoded."""
        if field.name != DETAIL:
            return f"get({field.name!r}, UNSET)"
        self._names["decode_detail"] = field.decode
        self._names["no_detail"] = field.missing
        return "decode_detail(detail) if detail else no_detail"

    # -- objects and arrays ----------------------------------------------------------------------------

    def _object(
        self, node: Node, depth: int, failed: Mapping[int, str], access: "_Access", kept: set[str]
    ) -> None:
        """What an object fails, by block under the variables `failed`; and the values that are kept."""
        here = f"o{self._objects[node]}"
        for leaf in node.leaves:
            path = leaf.path or ""
            if path in kept or any(path in self._terms[number].tests for number in failed):
                self._line(depth, f"{self._values[path]} = {access(here, leaf)}")
        for number, name in failed.items():
            terms = self._terms_of(node, number)
            if terms:
                self._line(depth, f"{name} |= {' | '.join(terms)}")
        for child in node.children:
            self._child(child, depth, failed, access(here, child), kept)

    def _terms_of(self, node: Node, number: int, shift: int = 0) -> list[str]:
        terms = self._terms[number]
        paths = [leaf.path or "" for leaf in node.leaves]
        return [terms.term(path, shift) for path in paths if path in terms.tests]

    def _child(self, field: Field, depth: int, failed: Mapping[int, str], read: str, kept: set[str]) -> None:
        node = field.node
        assert node is not None
        kept_below = [self._values[leaf.path] for leaf in node.leaves_below() if leaf.path in kept]
        tested = [number for number in failed if self._tests_below(node, number)]
        if not kept_below and not tested:
            return
        here = self._objects[node]
        self._line(depth, f"o{here} = {read}")
        if read.startswith("get("):  # an envelope of ours has no objects
            self._line(depth, f"if o{here} is not UNSET: raise Irregular")
        self._line(depth, f"if o{here}.__class__ is Kind{here}:")
        self._object(node, depth + 1, {number: failed[number] for number in tested}, _attribute, kept)
        self._line(depth, "else:")
        for number in tested:
            self._line(depth + 1, f"{failed[number]} |= array{number}_{here}(o{here})")
        if kept_below:
            values = " = ".join(kept_below)
            self._line(depth + 1, f"{values} = BEYOND if o{here}.__class__ is list else UNSET")

    def _tests_below(self, node: Node, number: int) -> list[PathTest]:
        tests = self._blocks[number].tests
        return [tests[leaf.path] for leaf in node.leaves_below() if leaf.path in tests]

    def _array(self, node: Node, number: int) -> None:
        """The function for what stands in the place of an object: what an array of objects fails, or nothing.

        Where only numbers count, masks are moved down to the lowest bit they have: small integers are faster.
        """
        here, tests = self._objects[node], self._tests_below(node, number)
        name, every = f"{number}_{here}", _union([test.bits for test in tests])
        only_numbers = not node.children and all(test.only_numbers for test in tests)
        shift = (every & -every).bit_length() - 1 if only_numbers else 0
        self._names[f"absent{name}"] = _union([test.bits & ~test.if_absent for test in tests])
        self._names[f"every{name}"], self._names[f"shift{name}"] = every >> shift, shift
        self._line(0, f"def array{name}(found):")
        self._line(1, f"if found.__class__ is not list: return absent{name}")
        if any(test.if_absent for test in tests):
            self._line(1, "raise Irregular")
            return
        self._line(1, f"return elements{name}(found) << shift{name}")
        self._line(0, f"def elements{name}(found):")
        self._line(1, f"left = every{name}")
        self._line(1, f"for o{here} in found:")
        self._line(2, f"if o{here}.__class__ is Kind{here}:")
        self._element(node, number, shift)
        self._line(2, f"elif o{here}.__class__ is list: left &= elements{name}(o{here})")
        self._line(2, f"elif o{here}.__class__ is dict: raise Irregular")
        self._line(1, "return left")

    def _element(self, node: Node, number: int, shift: int) -> None:
        if node.children:
            self._line(3, "failed = 0")
            self._object(node, 3, {number: "failed"}, _attribute, set())
            self._line(3, "left &= failed")
            return
        for leaf in node.leaves:
            path = leaf.path or ""
            if path in self._terms[number].tests:
                self._line(3, f"{self._values[path]} = {_attribute(f'o{self._objects[node]}', leaf)}")
        self._line(3, f"left &= {' | '.join(self._terms_of(node, number, shift))}")

    # -- candidates and answers ------------------------------------------------------------------------

    def _find_candidates(self) -> None:
        if self._tables:
            self._line(1, "found = []")
        for number, (table, slots) in enumerate(self._tables):
            self._look_up(number, table)
            self._line(1, "if candidates.__class__ is Entry: found.append(candidates)")
            self._line(1, "elif candidates:")
            self._line(2, f"values = ({''.join(f'{value}, ' for value in slots or ['None'])})")
            self._line(2, "for entry, at, test, more in candidates:")
            self._line(3, "value = values[at]")
            self._line(3, "if test(value) or (value.__class__ is tuple and passes(test, value)):")
            self._line(4, "if not more or all_pass(more, values): found.append(entry)")

    def _look_up(self, number: int, table: KeyTable[K]) -> None:
        self._names[f"table{number}"] = table.found.get
        self._names[f"find{number}"] = table.find
        values = [self._values[path] for path in table.paths]
        key = f"({', '.join(values)})" if len(values) > 1 else values[0]
        is_array = " or ".join(f"{value}.__class__ is tuple" for value in values)
        self._line(1, f"candidates = table{number}({key})")
        self._line(1, f"if candidates is None and ({is_array}):")
        self._line(2, f"candidates = find{number}({', '.join(values)})")

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
            self._names[f"left{number}"] = block.entries_left
        left = [f"*left{number}(failed{number})" for number in range(len(self._blocks))]
        self._line(1, f"return in_order([{', '.join([*left, *(['*found'] if self._tables else [])])}])")

    def _answer_of(self, depth: int, block: Block[K]) -> None:
        """The keys of the only block. With many bits every answer would be new, so it is put together."""
        keys = block.keys_by_bit()
        if keys is None or len(keys) <= BITS_PER_PART:
            self._names["answers"] = Answers(block)
            self._line(depth, "return answers[failed0]")
            return
        self._names["alive"], self._names["keys"] = block.alive, keys
        self._line(depth, "if failed0 == alive: return ()")
        self._line(depth, "left = alive ^ failed0")
        if len(keys) > BITS_PER_PART * PARTS_AT_MOST:
            self._line(depth, "return keys_of(left, keys)")
            return
        parts = []
        for at in range(0, len(keys), BITS_PER_PART):
            self._names[f"part{at}"] = Part(keys[at : at + BITS_PER_PART])
            parts.append(f"*part{at}[left >> {at} & {(1 << BITS_PER_PART) - 1}]")
        self._line(depth, f"return [{', '.join(parts)}]")


_Access = Callable[[str, Field], str]
"""From the variable of an object and a field of it to the expression that reads the field."""


def _attribute(here: str, field: Field) -> str:
    return f"{here}.{field.attribute}"


def _union(masks: Sequence[int]) -> int:
    found = 0
    for mask in masks:
        found |= mask
    return found
