"""Many patterns at once: which of them does an event match?

The event is decoded once per call, and only the paths that some pattern asks for are opened. Patterns that
name their sources exactly are looked at only for events of those sources.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

from partnerbus.patterns.addresses import parse_address
from partnerbus.patterns.event_fields import EventFields
from partnerbus.patterns.leaves import Interest, find_leaves
from partnerbus.patterns.parser import Conjunction, conjunctions
from partnerbus.patterns.syntax import Clause, Pattern, Text
from partnerbus.patterns.walk import ClauseTest, ConjunctionTest, EventView

K = TypeVar("K", bound=Hashable)

SOURCE = "source"


class _Entry:
    """A pattern made ready; `number` counts additions, `sources` is None for any source."""

    def __init__(self, pattern: Pattern, number: int) -> None:
        expanded = conjunctions(pattern.group)
        tests = {clause: ClauseTest(clause) for found in expanded for clause in found.values()}
        self.number = number
        self.paths = {clause.path for clause in tests}
        self.sources = _exact_sources(expanded)
        self._conjunctions = [ConjunctionTest(found, tests) for found in expanded]

    def matches(self, view: EventView) -> bool:
        return any(conjunction.matches(view) for conjunction in self._conjunctions)


class PatternIndex(Generic[K]):
    """Patterns by key. Not for use from several threads at once."""

    def __init__(self) -> None:
        self._entries: dict[K, _Entry] = {}
        self._any_source: dict[K, _Entry] = {}
        self._by_source: dict[str, dict[K, _Entry]] = {}
        self._interest = Interest()
        self._added = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, key: K, pattern: Pattern) -> None:
        """Add `pattern`, in place of the one that `key` had."""
        self.remove(key)
        self._added += 1
        entry = self._entries[key] = _Entry(pattern, self._added)
        self._interest.add(entry.paths)
        if entry.sources is None:
            self._any_source[key] = entry
            return
        for source in entry.sources:
            self._by_source.setdefault(source, {})[key] = entry

    def remove(self, key: K) -> None:
        """Forget the pattern of `key`, if it has one."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._interest.remove(entry.paths)
        if entry.sources is None:
            del self._any_source[key]
            return
        for source in entry.sources:
            bucket = self._by_source[source]
            del bucket[key]
            if not bucket:
                del self._by_source[source]

    def match(self, fields: EventFields) -> list[K]:
        """The keys whose pattern the event matches, in the order they were added.

        `ValueError` if the detail is not JSON and some pattern asks for it.
        """
        candidates = self._candidates(fields.envelope.get(SOURCE))
        if not candidates:
            return []
        view = EventView(find_leaves(fields, self._interest))
        found = [(entry.number, key) for key, entry in candidates.items() if entry.matches(view)]
        return [key for _, key in sorted(found, key=lambda match: match[0])]

    def _candidates(self, source: object) -> dict[K, _Entry]:
        if not isinstance(source, str):  # written by a caller; it may be an array
            return self._entries if source is not None else self._any_source
        bucket = self._by_source.get(source)
        return {**self._any_source, **bucket} if bucket else self._any_source


def _exact_sources(expanded: list[Conjunction]) -> frozenset[str] | None:
    """The only sources that can match, None if that cannot be told."""
    sources: set[str] = set()
    for conjunction in expanded:
        clause = conjunction.get(SOURCE)
        if clause is None or not _is_exact(clause):
            return None
        sources.update(matcher.text for matcher in clause.matchers if isinstance(matcher, Text))
    return frozenset(sources)


def _is_exact(clause: Clause) -> bool:
    return all(isinstance(m, Text) and parse_address(m.text) is None for m in clause.matchers)
