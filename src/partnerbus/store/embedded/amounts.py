"""How much is read at once: large records are read in small numbers."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from partnerbus.model.delivery import Record
from partnerbus.store.protocol import BYTES_AT_ONCE

T = TypeVar("T")


def detail_bytes(record: Record) -> int:
    """What counts of a record."""
    return len(record.event.detail)


def at_once(items: Iterable[T], size_of: Callable[[T], int]) -> list[T]:
    """The first of `items`, up to the one by which they have `BYTES_AT_ONCE` together."""
    taken: list[T] = []
    left = BYTES_AT_ONCE
    for item in items:
        taken.append(item)
        left -= size_of(item)
        if left <= 0:
            break
    return taken
