"""Terms: what a value fails of a block's clauses on its path, as a Python expression.

Of several forms the one is taken that answers soonest. `v` being the variable that has the value:

* `true if v is True else …` where only literals and presence count;
* `segment_2 if v < bound_2 else …`, a bisection written out, where only numbers do; with many bounds,
  `segments[bisect(bounds, v)]`; where nothing but numbers can pass, the field is read as a float;
* `equal if v == text else …` with one text or two; with a few beginnings a bisection as for numbers, because
  texts that begin alike stand together in the order of texts;
* `memo[v]` for more, as long as the same texts come again: it remembers what each fails;
* `bits & ~(exact(v, 0) | prefix(v[:4], 0))` for varied texts that one or two look-ups say everything of;
* `text(v) if v in exact or v[-4:] in tails … else others` for all other varied texts: few are, begin or end
  like something that a clause names, and only those are worth a look at all of the clauses.

What is named in a term is put into the namespace under names that say which block and path it belongs to. A
value of a kind that the form is not for goes to `test(v)`, which takes any.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from math import inf, nextafter
from typing import Any

from msgspec import UNSET

from partnerbus.patterns.affixes import after_all_with
from partnerbus.patterns.memo import Segments, WholeNumbers
from partnerbus.patterns.numbers import EXACT_INTEGERS
from partnerbus.patterns.path_test import PathTest
from partnerbus.patterns.texts import Edges, TextTable

Names = dict[str, Any]

COMPARED_BOUNDS = 15
COMPARED_TEXTS, TEXTS_BEFORE_MEMO = 7, 2
"""To compare so many takes less time than to look a text up: if it is varied, and if it is remembered."""

EQUAL_TEXTS = 2
LOOK_UPS = 2
EDGES_CHECKED = 8
"""With more beginnings and endings than these, too many texts have one."""


class Terms:
    """The terms for the tests of one block, and the names in them.

    `variables` are by path; those of `numbers` are read as floats or None. `changed` is called when another
    form has become better.
    """

    def __init__(
        self,
        block: str,
        tests: Mapping[str, PathTest],
        variables: Mapping[str, str],
        numbers: Container[str | None],
        names: Names,
        changed: Callable[[], None],
    ) -> None:
        self._block = block
        self._variables = variables
        self._read_as_numbers = numbers
        self._names = names
        self._changed = changed
        self.tests = tests

    def term(self, path: str, shift: int = 0) -> str:
        """The term for the value at `path`; where only numbers count, its masks can be moved down."""
        test, value = self.tests[path], self._variables[path]
        name = f"{self._block}_{value}"
        self._names[f"test_{name}"] = test.failed
        self._names[f"null_{name}"], self._names[f"absent_{name}"] = test.failed(None), test.failed(UNSET)
        if test.only_literals:
            return self._literals(test, name, value)
        if path in self._read_as_numbers:
            return self._floats(test, f"{name}_low" if shift else name, value, shift)
        if test.only_numbers:
            return self._numbers(test, f"{name}_low" if shift else name, value, shift)
        found = self._compared(test, name, value)
        if found is not None:
            return found
        if not test.is_varied:
            self._names[f"memo_{name}"] = test.memo(self._changed)
            return f"memo_{name}[{value}]"
        return (
            self._look_ups(test, name, value)
            or self._checked(test, name, value)
            or self._asked(test, name, value)
        )

    # -- literals and numbers --------------------------------------------------------------------------

    def _literals(self, test: PathTest, name: str, value: str) -> str:
        self._names[f"true_{name}"], self._names[f"false_{name}"] = test.failed(True), test.failed(False)
        self._names[f"others_{name}"] = test.failed_by_others
        return (
            f"(true_{name} if {value} is True else false_{name} if {value} is False else "
            f"others_{name} if {value}.__class__ is str else {_no_text(name, value)})"
        )

    def _floats(self, test: PathTest, name: str, value: str, shift: int) -> str:
        """Where only numbers pass. One that may have been an integer too large for a double is an error.

        That is so from 2**53 on, to which the integer after it is rounded.
        """
        bounds = test.number_bounds()
        low, high = bisect_right(bounds, -EXACT_INTEGERS), bisect_left(bounds, EXACT_INTEGERS)
        bounds = [nextafter(-EXACT_INTEGERS, inf), *bounds[low:high], EXACT_INTEGERS]
        segments = Segments(test, bounds, shift)
        segments[0] = segments[len(bounds)] = None
        self._names[f"bits_{name}"] = test.bits >> shift
        return f"({self._segment(bounds, segments, name, value)} if {value} is not None else bits_{name})"

    def _numbers(self, test: PathTest, name: str, value: str, shift: int) -> str:
        bounds = test.number_bounds()
        found = self._segment(bounds, Segments(test, bounds, shift), name, value)
        self._names[f"whole_{name}"] = WholeNumbers(test, shift)
        self._names[f"test_{name}"] = lambda found: test.failed(found) >> shift
        return (
            f"({found} if {value}.__class__ is float else whole_{name}[{value}] if {value}.__class__ is int "
            f"else test_{name}({value}))"
        )

    def _segment(
        self,
        bounds: Sequence[float] | Sequence[str],
        segments: Segments | Sequence[int],
        name: str,
        value: str,
    ) -> str:
        """What is failed by a number, from the segment it is in."""
        if len(bounds) > COMPARED_BOUNDS:
            self._names[f"bounds_{name}"], self._names[f"segments_{name}"] = bounds, segments
            return f"segments_{name}[bisect(bounds_{name}, {value})]"
        self._names.update((f"bound_{name}_{at}", bound) for at, bound in enumerate(bounds))
        self._names.update((f"segment_{name}_{at}", segments[at]) for at in range(len(bounds) + 1))

        def between(low: int, high: int) -> str:
            if low == high:
                return f"segment_{name}_{low}"
            middle = (low + high) // 2
            below, above = between(low, middle), between(middle + 1, high)
            return f"({below} if {value} < bound_{name}_{middle} else {above})"

        return between(0, len(bounds))

    # -- texts -----------------------------------------------------------------------------------------

    def _compared(self, test: PathTest, name: str, value: str) -> str | None:
        """Comparisons with a few texts; None if they are too many, or not all there is to compare."""
        self._names[f"others_{name}"] = test.failed_by_others
        texts = test.only_texts(EQUAL_TEXTS)
        if texts is not None:
            found = ""
            for at, text in enumerate(texts):
                self._names[f"text_{name}_{at}"], self._names[f"equal_{name}_{at}"] = text, test.failed(text)
                found += f"equal_{name}_{at} if {value} == text_{name}_{at} else "
            return f"({found}others_{name} if {value}.__class__ is str else {_no_text(name, value)})"
        bounds = test.text_bounds(COMPARED_TEXTS if test.is_varied else TEXTS_BEFORE_MEMO)
        if bounds is None:
            return None
        segments = [test.failed_by_others, *map(test.failed, bounds)]
        found = self._segment(bounds, segments, name, value)
        return f"({found} if {value}.__class__ is str else {_no_text(name, value)})"

    # -- varied texts ----------------------------------------------------------------------------------

    def _look_ups(self, test: PathTest, name: str, value: str) -> str | None:
        """A few look-ups that say all there is to say of a text; None if that is not enough, or too many."""
        wanted, excluded = test.wanted_texts.affix_tables(), test.excluded_texts.affix_tables()
        if wanted is None or excluded is None or test.has_others:
            return None
        hits = self._hits(test.wanted_texts, wanted, f"wanted_{name}", value)
        but = self._hits(test.excluded_texts, excluded, f"excluded_{name}", value)
        if not 1 <= len(hits) + len(but) <= LOOK_UPS:
            return None
        for word, mask in (("bits", test.bits), ("but", test.but), ("present", test.present)):
            self._names[f"{word}_{name}"] = mask
        if test.but:
            hits.append(f"but_{name} & ~({' | '.join(but)})" if but else f"but_{name}")
        if test.present:
            hits.append(f"present_{name}")
        return (
            f"(bits_{name} & ~({' | '.join(hits)}) if {value}.__class__ is str else {_no_text(name, value)})"
        )

    def _hits(
        self, texts: TextTable, tables: Sequence[tuple[str, dict[str, int]]], name: str, value: str
    ) -> list[str]:
        found = []
        if texts.exact:
            self._names[f"{name}_exact"] = texts.exact.get
            found.append(f"{name}_exact({value}, 0)")
        for at, (cut, table) in enumerate(tables):
            self._names[f"{name}_{at}"] = table.get
            found.append(f"{name}_{at}({value}[{cut}], 0)")
        return found

    def _asked(self, test: PathTest, name: str, value: str) -> str:
        """All clauses are looked at."""
        self._names[f"text_{name}"] = test.text_test()
        return f"(text_{name}({value}) if {value}.__class__ is str else {_no_text(name, value)})"

    def _checked(self, test: PathTest, name: str, value: str) -> str | None:
        """All clauses are looked at if the text is not like all others; None if too many texts may be."""
        edges = test.edges()
        if edges is None or sum(len(found) for each in edges for found in each.sets()) > EDGES_CHECKED:
            return None
        self._names[f"others_{name}"] = test.failed_by_others
        checks = [
            f"{value}.__class__ is not str",
            *self._checks(test.wanted_texts, edges[0], f"wanted_{name}", value),
            *self._checks(test.excluded_texts, edges[1], f"excluded_{name}", value),
        ]
        return f"({self._asked(test, name, value)} if {' or '.join(checks)} else others_{name})"

    def _checks(self, texts: TextTable, edges: Edges, name: str, value: str) -> Iterator[str]:
        def check(word: str, ends: frozenset[str], *, at_start: bool) -> str:
            first = next(iter(ends))
            length, after = len(first), after_all_with(first)
            if at_start and len(ends) == 1 and after is not None:
                self._names[f"{word}_{name}"], self._names[f"after_{word}_{name}"] = first, after
                return f"{word}_{name} <= {value} < after_{word}_{name}"
            cut = f"{value}[{f':{length}' if at_start else f'-{length}:'}]"
            return self._is_one_of(ends, f"{word}_{name}", cut)

        if texts.exact:
            yield self._is_one_of(texts.exact, name, value)
        if edges.heads:
            yield check("heads", edges.heads, at_start=True)
        if edges.tails:
            yield check("tails", edges.tails, at_start=False)
        if edges.heads_with_tails:
            head = check("heads_with", edges.heads_with_tails, at_start=True)
            yield f"{head} and {check('tails_with', edges.tails_with_heads, at_start=False)}"

    def _is_one_of(self, texts: Collection[str], name: str, value: str) -> str:
        if len(texts) == 1:
            self._names[name] = next(iter(texts))
            return f"{value} == {name}"
        self._names[name] = texts
        return f"{value} in {name}"


def _no_text(name: str, value: str) -> str:
    return f"null_{name} if {value} is None else absent_{name} if {value} is UNSET else test_{name}({value})"
