"""Functions made for the patterns of a source: from an event to the keys of the patterns it matches.

What is asked of every event of one source is always the same: these fields, in these tables. So it is
written out as Python and compiled, without a loop over paths and without a call a test (`program_text.py`).
A function

1. decodes the event to structs that have just the fields asked for (`accessor.py`);
2. for each block, combines what the values fail: `failed = memo[value] | …`, one term a path, in the form
   that suits the path's clauses (`terms.py`);
3. for each table, looks up the candidates that want what the event has, and tests them one by one;
4. puts together the keys of what has not failed (`answers.py`).

That is the function for *plain* events: objects and scalars, each where the patterns expect it. It finds out
while it decodes, and hands all other events on to a second function, made when the first of them comes, which
knows what arrays mean (`arrays_text.py`).

The texts depend on the paths, the forms of their terms and the tables, and not on the values in patterns:
those are in the namespace, in tables that stay current or, where something is derived from them, are set
anew. A change of patterns therefore seldom compiles anything, and buses with like patterns share the
compiled text.

An event that is not regular leaves the functions by an exception, before they have done anything, and goes
the slow way. Not regular are names with dots that could stand for a field asked for, numbers that no double
holds, and an array of objects where candidates are found by text or where a clause wants a field to be
absent.
"""

from collections.abc import Sequence
from functools import lru_cache
from types import CodeType
from typing import Any, Generic, TypeVar

from partnerbus.patterns.accessor import Node, make_tree
from partnerbus.patterns.arrays_text import ArraysText
from partnerbus.patterns.group import SOURCE, Group
from partnerbus.patterns.program_text import (
    DETAILS,
    EVENTS,
    ForDetails,
    ForEvents,
    FunctionText,
    numbers_below,
)
from partnerbus.patterns.scalar_test import Irregular
from partnerbus.patterns.terms import Names

K = TypeVar("K")

MOST_PATHS = 64
MOST_BLOCKS = 4
"""Patterns with more paths or blocks than these are not compiled: it would take longer than a pause may."""

CODES_KEPT = 1_024

NOT_PLAIN_AT_MOST = 64
"""After so many events that are not plain, the function for these is used for all."""


class Program(Generic[K]):
    """The functions for some groups: those of a source and of any source, or of any source alone.

    One takes an event as JSON, one an event whose envelope is decoded. Both raise `Irregular`, `TypeError` or
    `msgspec.ValidationError` for an event that is not regular, and the first `OtherSource` for an event of
    another source. They are good until a group has changed.
    """

    def __init__(self, groups: Sequence[Group[K]], source: str | None) -> None:
        self._groups = groups
        self._source = source
        self._known: dict[tuple[type, str], tuple[str, Names]] = {}
        self._not_plain = 0

    @staticmethod
    def fits(groups: Sequence[Group[K]]) -> bool:
        """Whether the groups are small enough for a program."""
        paths = {path for group in groups for path in group.paths}
        return len(paths) <= MOST_PATHS and sum(len(group.blocks) for group in groups) <= MOST_BLOCKS

    def for_events(self) -> ForEvents[K]:
        """The function for whole events."""
        return self._function(EVENTS)  # type: ignore[no-any-return]

    def for_details(self) -> ForDetails[K]:
        """The function for events whose envelope is decoded."""
        return self._function(DETAILS)  # type: ignore[no-any-return]

    def _function(self, name: str) -> Any:
        """The function for plain events, which hands on all others; if these are many, the one for all."""
        if self._not_plain >= NOT_PLAIN_AT_MOST:
            return self._in_general(name)
        made: Any = None
        is_first = True

        def in_general(*event: Any) -> Sequence[K]:
            nonlocal is_first, made
            if is_first:
                is_first = False
                raise Irregular  # to make two functions for one event would be too long a pause
            made = made or self._in_general(name)
            found: Sequence[K] = made(*event)
            self._not_plain += 1
            if self._not_plain == NOT_PLAIN_AT_MOST:
                self._groups[0].changed()
            return found

        return self._made(FunctionText(name, self._tree(plain=True), self._groups, self._source, in_general))

    def _in_general(self, name: str) -> Any:
        return self._made(ArraysText(name, self._tree(plain=False), self._groups, self._source))

    def _tree(self, *, plain: bool) -> Node:
        paths = {path for group in self._groups for path in group.paths}
        if self._source is not None:
            paths.add(SOURCE)
        return make_tree(frozenset(paths), numbers_below(self._groups), plain=plain)

    def _made(self, writer: FunctionText[K]) -> Any:
        """Write a function, and compile it if it is not the one there was."""
        text, kind = writer.write(), (type(writer), writer.name)
        known = self._known.get(kind)
        if known is not None and known[0] == text:
            known[1].update(writer.names)
        else:
            exec(_compiled(text), writer.names)  # noqa: S102 (ours; of patterns it has names, as literals)
            known = self._known[kind] = text, writer.names
        return known[1][writer.name]


@lru_cache(CODES_KEPT)
def _compiled(text: str) -> CodeType:
    return compile(text, "<patterns>", "exec")
