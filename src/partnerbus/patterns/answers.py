"""From the bits that an event failed to the keys of the patterns it matches."""

from collections.abc import Sequence
from typing import Any

from partnerbus.patterns.block import Block
from partnerbus.patterns.entry import keys_in_order

ANSWERS_KEPT = 1_024

BITS_PER_PART = 18
PARTS_AT_MOST = 4
"""Up to 18 bits have few enough answers to remember them. More are put together from parts, as long as most
parts have something in them; after that it is less work to go from bit to bit."""


class Answers(dict[int, Sequence[Any]]):
    """`answers[failed]` are the keys of the entries of a block that are left, remembered."""

    def __init__(self, block: Block[Any]) -> None:
        super().__init__()
        self._block = block

    def __missing__(self, failed: int) -> Sequence[Any]:
        if len(self) >= ANSWERS_KEPT:
            self.clear()
        keys = self[failed] = keys_in_order(self._block.entries_left(failed))
        return keys


class Part(dict[int, list[Any]]):
    """`part[left]` are those keys whose bits are set, remembered."""

    def __init__(self, keys: Sequence[Any]) -> None:
        super().__init__()
        self._keys = keys

    def __missing__(self, left: int) -> list[Any]:
        if len(self) >= ANSWERS_KEPT:
            self.clear()
        found = self[left] = keys_of(left, self._keys)
        return found


def keys_of(bits: int, keys: Sequence[Any]) -> list[Any]:
    """The keys whose bits are set."""
    found = []
    while bits:
        lowest = bits & -bits
        found.append(keys[lowest.bit_length() - 1])
        bits ^= lowest
    return found
