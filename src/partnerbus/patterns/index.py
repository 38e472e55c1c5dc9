"""Many patterns at once: which of them does an event match?

Patterns are kept by source: those that name their sources exactly in a group for each, all others in a
group for any source. An event is matched by the program of its source's group and that of any source
(`program.py`), or the slow way where there is no program: for the first events of a source, for groups too
large to be compiled, and for events that are not regular. The slow way finds candidates among all leaves of
the event and puts each to its exact test (`entry.py`), so both ways give the same answer.
"""

from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

import msgspec

from partnerbus.patterns.entry import Entry, ExactTests, keys_in_order
from partnerbus.patterns.event_fields import EventFields, event_fields
from partnerbus.patterns.group import SOURCE, Group
from partnerbus.patterns.keyed import flat_texts, key_texts
from partnerbus.patterns.leaves import Interest, find_leaves
from partnerbus.patterns.parser import Conjunction, conjunctions
from partnerbus.patterns.program import Program
from partnerbus.patterns.program_text import ForDetails, ForEvents, OtherSource
from partnerbus.patterns.scalar_test import Irregular
from partnerbus.patterns.syntax import Pattern
from partnerbus.patterns.walk import EventView

K = TypeVar("K", bound=Hashable)

EVENTS_BEFORE_COMPILING = 16
"""So many events of a source are matched the slow way before a program is made for it."""

NOT_REGULAR = (Irregular, TypeError, msgspec.ValidationError, RecursionError)
"""What a program raises for an event that it is not for."""

SOURCE_BEGINS, SOURCE_AFTER = b'"source":"', 10
"""What seems to be the source of an event is found by this; its program then looks whether it is."""


class _Peek(msgspec.Struct, gc=False):
    source: object = None


_peek = msgspec.json.Decoder(_Peek).decode


class PatternIndex(Generic[K]):
    """Patterns by key. Not for use from several threads at once.

    A program is made for a source after so many events of it were matched the slow way.
    """

    def __init__(self, compile_after: int = EVENTS_BEFORE_COMPILING) -> None:
        self._compile_after = compile_after
        self._entries: dict[K, Entry[K]] = {}
        self._exact: ExactTests[K] = ExactTests()
        self._added = 0
        self._groups: dict[str | None, Group[K]] = {}
        self._programs: dict[str | None, Program[K]] = {}
        # What programs have made, until a change; by the source, and by what it looks like in an event.
        self._for_details: dict[str | None, ForDetails[K]] = {}
        self._for_events: dict[bytes | None, ForEvents[K]] = {}
        self._for_all: ForEvents[K] | None = None
        self.slow_matches = 0
        """How many events were matched the slow way."""

    def __len__(self) -> int:
        return len(self._entries)

    # -- changes ---------------------------------------------------------------------------------------

    def add(self, key: K, pattern: Pattern) -> None:
        """Add `pattern`, in place of the one that `key` had."""
        self.remove(key)
        self._added += 1
        entry = self._entries[key] = Entry(key, self._added, pattern.text)
        for conjunction in conjunctions(pattern.group):
            for source in _exact_sources(conjunction):
                group = self._groups.get(source) or self._open_group(source)
                group.add(entry, conjunction if source is None else _without_source(conjunction))

    def remove(self, key: K) -> None:
        """Forget the pattern of `key`, if it has one."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._exact.forget(entry)
        for group, place in entry.homes:
            group.remove(place)
            if not len(group):
                self._close_group(group.source)

    def _open_group(self, source: str | None) -> Group[K]:
        self._forget_programs(source)
        group = self._groups[source] = Group(source, lambda: self._outdate(source))
        return group

    def _close_group(self, source: str | None) -> None:
        self._forget_programs(source)
        del self._groups[source]

    def _forget_programs(self, source: str | None) -> None:
        """Forget those that the group of `source` is in, or should be."""
        self._outdate(source)
        if source is None:
            self._programs.clear()
        else:
            self._programs.pop(source, None)

    def _outdate(self, source: str | None) -> None:
        """Use nothing again that was made before a change in the group of `source`."""
        self._for_all = None
        if source is None:
            self._for_details.clear()
            self._for_events.clear()
        else:
            self._for_details.pop(source, None)
            self._for_events.pop(_as_written(source), None)

    # -- matching --------------------------------------------------------------------------------------

    def match(self, fields: EventFields) -> Sequence[K]:
        """The keys whose pattern the event matches, in the order they were added.

        `ValueError` if the detail is not JSON and some pattern asks for it.
        """
        source = fields.envelope.get(SOURCE)
        if isinstance(source, (list, tuple)) or not fields.plain:
            return self._match_slowly(fields)
        if not isinstance(source, str):
            source = None
        found = self._for_details.get(source) or self._find_for_details(source)
        try:
            return found(fields.envelope, fields.detail) if found else self._match_slowly(fields)
        except NOT_REGULAR:
            return self._match_slowly(fields)

    def match_json(self, event: bytes) -> Sequence[K]:
        """The same for a whole event as JSON; `ValueError` if it is not a JSON object."""
        try:
            found = self._for_all
            if found is None:  # go by what looks like the source; whether it is, the function finds out
                start = event.find(SOURCE_BEGINS) + SOURCE_AFTER
                found = self._for_events.get(event[start : event.find(b'"', start)])
                if found is None:
                    found = self._find_for_event(event)
            return found(event)
        except OtherSource:
            return self._match_other_source(event)
        except NOT_REGULAR:
            return self._match_json_slowly(event)

    def _find_for_details(self, source: str | None) -> ForDetails[K] | None:
        known = source if source in self._groups else None
        found = self._for_details.get(known)
        if found is None:
            program = self._program(known)
            if program is None:
                return None
            found = self._for_details[known] = program.for_details()
        return found

    def _find_for_event(self, event: bytes) -> ForEvents[K]:
        """The function for an event; if there is one source at most, one to try all events with."""
        sources = self._groups.keys() - {None}
        if len(sources) > 1:
            source = _source_of(event)
            return self._made_for_event(source) if source is not None else self._match_json_slowly
        found = self._made_for_event(next(iter(sources), None))
        if found != self._match_json_slowly:
            self._for_all = found
        return found

    def _made_for_event(self, source: str | None) -> ForEvents[K]:
        known = source if source in self._groups else None
        found = self._for_events.get(_as_written(known))
        if found is None:
            program = self._program(known)
            if program is None:
                return self._match_json_slowly
            found = self._for_events[_as_written(known)] = program.for_events()
        return found

    def _match_other_source(self, event: bytes) -> Sequence[K]:
        """For an event that is not of the source it seemed to be of."""
        source = _source_of(event)
        if source is not None:
            with suppress(*NOT_REGULAR):
                return self._made_for_event(source)(event)
        return self._match_json_slowly(event)

    def _program(self, source: str | None) -> Program[K] | None:
        """The program for a source that has a group, or for all others; None if there is none (yet)."""
        groups = self._groups_of([source])
        if not groups or not self._is_worth_it(groups[0]) or not Program.fits(groups):
            return None
        program = self._programs.get(source)
        if program is None:
            program = self._programs[source] = Program(groups, source)
        return program

    def _is_worth_it(self, group: Group[K]) -> bool:
        group.asked += 1
        return group.asked > self._compile_after

    def _groups_of(self, sources: Iterable[str | None]) -> list[Group[K]]:
        """The groups of some sources, and that of any source last."""
        wanted = dict.fromkeys((*(source for source in sources if source is not None), None))
        return [self._groups[source] for source in wanted if source in self._groups]

    # -- the slow way ----------------------------------------------------------------------------------

    def _match_json_slowly(self, event: bytes) -> Sequence[K]:
        return self._match_slowly(event_fields(event))

    def _match_slowly(self, fields: EventFields) -> Sequence[K]:
        self.slow_matches += 1
        groups = self._groups_of(flat_texts(fields.envelope.get(SOURCE)))
        if not groups:
            return ()
        interest = Interest()
        interest.add({SOURCE, *(path for group in groups for path in group.paths)})
        leaves = find_leaves(fields, interest)
        view = EventView(leaves)
        candidates = {entry for group in groups for entry in group.candidates(leaves)}
        return keys_in_order([entry for entry in candidates if self._exact.of(entry).matches(view)])


def _source_of(event: bytes) -> str | None:
    """The source of an event that is JSON, if it is a text."""
    try:
        source = _peek(event).source
    except msgspec.ValidationError:
        return None
    return source if isinstance(source, str) else None


def _as_written(source: str | None) -> bytes | None:
    return None if source is None else source.encode(errors="surrogatepass")


def _exact_sources(conjunction: Conjunction) -> Sequence[str | None]:
    """The only sources that can match; None alone if that cannot be told, or they are many."""
    clause = conjunction.get(SOURCE)
    return (key_texts(clause) if clause is not None else None) or (None,)


def _without_source(conjunction: Conjunction) -> Conjunction:
    return {path: clause for path, clause in conjunction.items() if path != SOURCE}
