"""The text of the function for events with arrays, and with whatever else is not where it is expected.

Where an object is expected, an array or a scalar may be; that is what the functions `arrayB_N` are for, one
for each object and block. What an array of objects fails is what all of its elements fail.
"""

from collections.abc import Mapping, Sequence

from partnerbus.patterns.accessor import Field, Node
from partnerbus.patterns.path_test import PathTest
from partnerbus.patterns.program_text import DETAILS, HOLDS, FunctionText, K
from partnerbus.patterns.scalar_test import BEYOND


class ArraysText(FunctionText[K]):
    """Writes a function as its base does, for all events that are regular."""

    passes = HOLDS

    def write(self) -> str:
        """The text; `names` is the namespace."""
        self.names["BEYOND"] = BEYOND
        self.names |= {f"Kind{number}": node.kind for node, number in self._objects.items()}
        for node in self._objects:
            for number in range(len(self._blocks)):
                if node is not self._tree and self._tests_below(node, number):
                    self._array(node, number)
        return super().write()

    # -- reading ---------------------------------------------------------------------------------------

    def _decode(self, variable: str, text: str) -> None:
        self._line(1, f"{variable} = {text}")

    def _check_value(self, variable: str) -> None:
        self._line(1, f"if {variable}.__class__ is list: raise Irregular")

    def _match_objects(self) -> None:
        for number in range(len(self._blocks)):
            self._line(1, f"failed{number} = 0")
        failed = {number: f"failed{number}" for number in range(len(self._blocks))}
        self._object(self._tree, 1, failed, self._kept)

    def _object(self, node: Node, depth: int, failed: Mapping[int, str], kept: set[str]) -> None:
        """What an object fails, by block under the variables `failed`; and the values that are kept."""
        is_read = node is self._tree and self.name == DETAILS
        here = f"o{self._objects[node]}"
        for leaf in () if is_read else node.leaves:
            path = leaf.path or ""
            if path in kept or any(path in self._terms[number].tests for number in failed):
                self._line(depth, f"{self._values[path]} = {here}.{leaf.attribute}")
                if leaf.node is not None:  # the same elements are looked into for other paths
                    self._line(depth, f"if {self._values[path]}.__class__ is list: raise Irregular")
        for number, name in failed.items():
            terms = self._terms_of(node, number)
            if terms:
                self._line(depth, f"{name} |= {' | '.join(terms)}")
        for child in node.children:
            self._child(child, depth, failed, None if is_read else f"{here}.{child.attribute}", kept)

    def _terms_of(self, node: Node, number: int, shift: int = 0) -> list[str]:
        terms = self._terms[number]
        paths = [leaf.path or "" for leaf in node.leaves]
        return [terms.term(path, shift) for path in paths if path in terms.tests]

    def _child(
        self, field: Field, depth: int, failed: Mapping[int, str], read: str | None, kept: set[str]
    ) -> None:
        node = field.node
        assert node is not None
        kept_below = [self._values[leaf.path] for leaf in node.leaves_below() if leaf.path in kept]
        tested = [number for number in failed if self._tests_below(node, number)]
        if not kept_below and not tested:
            return
        here = self._objects[node]
        if read is not None:
            self._line(depth, f"o{here} = {read}")
        self._line(depth, f"if o{here}.__class__ is Kind{here}:")
        self._object(node, depth + 1, {number: failed[number] for number in tested}, kept)
        self._line(depth, "else:")
        for number in tested:
            self._line(depth + 1, f"{failed[number]} |= array{number}_{here}(o{here})")
        if kept_below:
            values = " = ".join(kept_below)
            self._line(depth + 1, f"{values} = BEYOND if o{here}.__class__ is list else UNSET")

    # -- arrays ----------------------------------------------------------------------------------------

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
        self.names[f"absent{name}"] = _union([test.bits & ~test.if_absent for test in tests])
        self.names[f"every{name}"], self.names[f"shift{name}"] = every >> shift, shift
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
            self._object(node, 3, {number: "failed"}, set())
            self._line(3, "left &= failed")
            return
        for leaf in node.leaves:
            path = leaf.path or ""
            if path in self._terms[number].tests:
                self._line(3, f"{self._values[path]} = o{self._objects[node]}.{leaf.attribute}")
        self._line(3, f"left &= {' | '.join(self._terms_of(node, number, shift))}")

    # -- candidates ------------------------------------------------------------------------------------

    def _look_up(self, number: int) -> None:
        super()._look_up(number)
        table = self._tables[number][0]
        self.names[f"find{number}"] = table.find
        values = [self._values[path] for path in table.paths]
        is_array = " or ".join(f"{value}.__class__ is tuple" for value in values)
        self._line(1, f"if candidates is None and ({is_array}):")
        self._line(2, f"candidates = find{number}({', '.join(values)})")


def _union(masks: Sequence[int]) -> int:
    found = 0
    for mask in masks:
        found |= mask
    return found
