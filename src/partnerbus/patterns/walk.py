"""Whether the leaves of an event satisfy a conjunction, arrays considered.

A match takes one leaf per path, and no two of them from different elements of one array. The paths are
walked in the order of their UTF-16 units, and what has been chosen so far is a *choice*: the elements that
were entered. A clause with `exists: false` holds for a choice if no leaf at its path fits that choice, so its
result depends on the order, as it does in the service (observed).

All choices advance together, path by path. An element is dropped from a choice as soon as no later path
leads through its array, so choices that differ only in the past become one. Elements form a tree, hence
there are never more choices than elements and the walk is linear in the leaves, with one exception: names
with dots can place several arrays at one path, and then choices multiply. `SPARE_VISITS` bounds that.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from partnerbus.patterns.leaves import Element, Leaf, Leaves, steps_to
from partnerbus.patterns.matching import Value, accepts_any, plain_values
from partnerbus.patterns.parser import Conjunction
from partnerbus.patterns.syntax import Clause, Exists

SPARE_VISITS = 200_000
VISITS_PER_HIT = 2
"""A walk may look at so many elements per fitting one, and all walks of one event together at so many more. A
walk that needs more is given up, and its conjunction does not match. Only an event whose names hold dots can
make one need them, and however many conjunctions are walked, it then costs a bounded time."""

LEAVES_WORTH_A_TABLE = 16
"""With more leaves than this at a path, plain values are looked up in a table that all patterns share."""

Choice = frozenset[Element]
NOTHING_CHOSEN: Choice = frozenset()


class Hits:
    """Elements with a fitting leaf (None: outside all arrays), in order, with the number of one such leaf."""

    __slots__ = ("elements", "numbers", "outside")

    def __init__(self, leaves: Iterable[Leaf]) -> None:
        first: dict[Element | None, int] = {}
        for leaf in leaves:
            first.setdefault(leaf.element, leaf.number)
        order = sorted(first.items(), key=lambda found: found[1])
        self.elements = [element for element, _ in order]
        self.numbers = [number for _, number in order]
        self.outside = None in first

    def fitting(self, choice: Choice) -> Iterator[Element | None]:
        """Those that contradict no element of `choice`."""
        at = 0
        for start, end in sorted(_excluded(choice)):
            until = bisect_left(self.numbers, start)
            yield from self.elements[at:until]
            at = bisect_left(self.numbers, end)
        yield from self.elements[at:]


def _excluded(choice: Choice) -> Iterator[tuple[int, int]]:
    """The numbers of leaves that are in other elements of the arrays of `choice`."""
    for element in choice:
        if element.array.start < element.start:
            yield element.array.start, element.start
        if element.end < element.array.end:
            yield element.end, element.array.end


class ClauseTest:
    """A clause made ready: what it accepts, and whether it holds where there is no leaf.

    `plain` are the values it accepts if it is nothing but a list of values, else None.
    """

    __slots__ = ("accepts", "may_be_absent", "path", "plain")

    def __init__(self, clause: Clause) -> None:
        self.path = clause.path
        self.plain = plain_values(clause.matchers)
        self.accepts = accepts_any(clause.matchers)
        self.may_be_absent = Exists(False) in clause.matchers

    def accepted(self, leaves: Iterable[Leaf]) -> Iterator[Leaf]:
        """Of each element one leaf that fits, if it has one; the others are not looked at."""
        seen: set[Element | None] = set()
        for leaf in leaves:
            if leaf.element not in seen and self.accepts(leaf.value):
                seen.add(leaf.element)
                yield leaf


class EventView:
    """The leaves of one event, and what was already found out about them."""

    def __init__(self, leaves: Leaves) -> None:
        self._leaves = leaves
        self._hits: dict[ClauseTest, Hits] = {}
        self._present: dict[str, Hits] = {}
        self._by_value: dict[str, dict[Value, list[Leaf]]] = {}
        self._spare_visits = SPARE_VISITS

    def spare_visit(self) -> bool:
        """Take one of the visits that all walks share; False if none is left."""
        self._spare_visits -= 1
        return self._spare_visits >= 0

    def hits(self, clause: ClauseTest) -> Hits:
        """Where `clause` is satisfied."""
        found = self._hits.get(clause)
        if found is None:
            found = self._hits[clause] = Hits(clause.accepted(self._candidates(clause)))
        return found

    def _candidates(self, clause: ClauseTest) -> Iterable[Leaf]:
        """The leaves at the clause's path, without those that a look at a table can rule out."""
        leaves = self._leaves.get(clause.path, ())
        if clause.plain is None or len(leaves) < LEAVES_WORTH_A_TABLE:
            return leaves
        table = self._table(clause.path, leaves)
        return [leaf for value in clause.plain for leaf in table.get(value, ())]

    def _table(self, path: str, leaves: Iterable[Leaf]) -> dict[Value, list[Leaf]]:
        table = self._by_value.get(path)
        if table is None:
            table = self._by_value[path] = {}
            for leaf in leaves:
                table.setdefault(leaf.value, []).append(leaf)
        return table

    def present(self, path: str) -> Hits:
        """Where there is any leaf at `path`."""
        found = self._present.get(path)
        if found is None:
            found = self._present[path] = Hits(self._leaves.get(path, ()))
        return found


class ConjunctionTest:
    """A conjunction made ready. `clauses` are in the order of the walk."""

    def __init__(self, conjunction: Conjunction, tests: dict[Clause, ClauseTest]) -> None:
        ordered = sorted(conjunction.values(), key=lambda clause: _utf16_order(clause.path))
        self.clauses = [tests[clause] for clause in ordered]
        self._last_through: dict[str, int] | None = None

    def matches(self, view: EventView) -> bool:
        """Whether the event satisfies the conjunction."""
        outside = True
        for clause in self.clauses:
            hits = view.hits(clause)
            if hits.outside or (clause.may_be_absent and not view.present(clause.path).elements):
                continue
            if not hits.elements and not clause.may_be_absent:
                return False
            outside = False
        return outside or self._walk(view)

    def _walk(self, view: EventView) -> bool:
        choices = {NOTHING_CHOSEN}
        visits = VISITS_PER_HIT * sum(len(view.hits(each).elements) for each in self.clauses)
        for index, clause in enumerate(self.clauses):
            following: set[Choice] = set()
            for choice in choices:
                for chosen in _choices(clause, choice, view):
                    following.add(self._forget(chosen, index))
                    visits -= 1
                    if visits < 0 and not view.spare_visit():
                        return False
            choices = following
        return bool(choices)

    def _forget(self, choice: Choice, index: int) -> Choice:
        """Drop the elements through whose array no path after the one at `index` leads."""
        if not choice:
            return choice
        last = self._last()
        return frozenset(element for element in choice if last.get(element.array.path, -1) > index)

    def _last(self) -> dict[str, int]:
        """For each path and each step to one, the index of the last clause that goes through it."""
        if self._last_through is None:
            self._last_through = {
                step: index
                for index, clause in enumerate(self.clauses)
                for step in (*steps_to(clause.path), clause.path)
            }
        return self._last_through


def _choices(clause: ClauseTest, choice: Choice, view: EventView) -> Iterator[Choice]:
    """What `choice` can become by satisfying `clause`."""
    if clause.may_be_absent and not any(True for _ in view.present(clause.path).fitting(choice)):
        yield choice
    for element in view.hits(clause).fitting(choice):
        yield choice if element is None else choice | around(element)


def around(element: Element | None) -> Choice:
    """`element` and the elements it is in."""
    found = []
    while element is not None:
        found.append(element)
        element = element.parent
    return frozenset(found)


def _utf16_order(path: str) -> bytes:
    return path.encode("utf-16-be", "surrogatepass")
