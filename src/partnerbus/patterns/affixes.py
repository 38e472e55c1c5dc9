"""Beginnings and endings of texts, and what is kept under them."""

import sys
from bisect import insort
from collections.abc import Callable
from operator import itemgetter
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

LAST_CHARACTER = chr(sys.maxunicode)


class Affixes(Generic[V]):
    """Values by the beginnings or the endings of texts: a table for each length that occurs."""

    __slots__ = ("tables",)

    def __init__(self) -> None:
        self.tables: list[tuple[int, dict[str, V]]] = []

    def of_length(self, length: int) -> dict[str, V]:
        """The values whose beginning or ending is that long."""
        for known, table in self.tables:
            if known == length:
                return table
        insort(self.tables, (length, {}), key=itemgetter(0))
        return self.of_length(length)

    def tidy(self) -> None:
        """Forget the lengths that do not occur any more."""
        self.tables = [(length, table) for length, table in self.tables if table]

    def texts(self) -> list[str]:
        return [text for _, table in self.tables for text in table]


NO_AFFIXES: Affixes[Any] = Affixes()
"""Stands where nothing was ever added: most tables have few kinds of tests."""


def set_bits(masks: dict[K, int], key: K, bits: int, *, adding: bool) -> None:
    """Set or clear bits under a key; a key without bits goes."""
    before = masks.get(key, 0)
    after = before | bits if adding else before & ~bits
    if after:
        masks[key] = after
    else:
        masks.pop(key, None)


def set_affix(affixes: Affixes[int], text: str, bits: int, *, adding: bool) -> None:
    set_bits(affixes.of_length(len(text)), text, bits, adding=adding)
    affixes.tidy()


def inner(affixes: Affixes[V], text: str, make: Callable[[], V]) -> V:
    """What is kept under a beginning or ending, made if there is nothing yet."""
    table = affixes.of_length(len(text))
    if text not in table:
        table[text] = make()
    return table[text]


def drop_if(empty: bool, affixes: Affixes[V], text: str) -> None:
    if empty:
        del affixes.of_length(len(text))[text]
        affixes.tidy()


def after_all_with(prefix: str) -> str | None:
    """The first text after all that begin with `prefix`; None if there is none."""
    stem = prefix.rstrip(LAST_CHARACTER)
    return stem[:-1] + chr(ord(stem[-1]) + 1) if stem else None
