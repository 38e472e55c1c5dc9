"""Which of many clauses on one path does a value fail?

Every clause here has a bit, and what a value does to all of them is one integer: the bits of those it
fails. What scalars pass, and what they are excluded by, is asked of two tables (`scalar_table.py`).

Values are as msgspec decodes them, `UNSET` for a field that is not there. An array stands for the scalars
in it, of which one must pass; objects in its place or inside are as if not there.
"""

from collections.abc import Callable, Iterator, Sequence

from msgspec import UNSET

from partnerbus.patterns.matching import Value
from partnerbus.patterns.memo import Memo
from partnerbus.patterns.numbers import Number
from partnerbus.patterns.scalar_table import ScalarTable
from partnerbus.patterns.syntax import AnythingBut, Exists, Matcher
from partnerbus.patterns.texts import Edges, TextTable

NOTHING = ScalarTable()
"""Stands where nothing was ever added: few paths have an anything-but."""


class PathTest:
    """The clauses on one path, by bit. `failed(value)` is what the rest is for."""

    __slots__ = ("_excluded", "_memo", "_wanted", "bits", "but", "if_absent", "present", "varied")

    def __init__(self) -> None:
        self.bits = 0
        self.if_absent = 0
        """Of `bits`, the clauses that hold where there is no value."""
        self.present = 0
        """… those that any value passes."""
        self.but = 0
        """… those with an anything-but."""
        self.varied = False
        """Whether the path was seen to have more texts than are worth remembering."""
        self._memo: Memo | None = None
        self._wanted = ScalarTable()
        self._excluded = NOTHING

    def add(self, matchers: tuple[Matcher, ...], bit: int) -> None:
        self._change(matchers, bit, adding=True)

    def remove(self, matchers: tuple[Matcher, ...], bit: int) -> None:
        self._change(matchers, bit, adding=False)

    def _change(self, matchers: tuple[Matcher, ...], bit: int, *, adding: bool) -> None:
        self._memo = None
        self.bits = _with(self.bits, bit, adding)
        if sum(isinstance(matcher, AnythingBut) for matcher in matchers) > 1:
            self._wanted.change_other(matchers, bit, adding=adding)
            matchers = tuple(matcher for matcher in matchers if isinstance(matcher, Exists))
        wanted: list[Matcher] = []
        for matcher in matchers:
            match matcher:
                case Exists(present=True):
                    self.present = _with(self.present, bit, adding)
                case Exists():
                    self.if_absent = _with(self.if_absent, bit, adding)
                case AnythingBut(excluded=excluded):
                    self.but = _with(self.but, bit, adding)
                    if self._excluded is NOTHING:
                        self._excluded = ScalarTable()
                    self._excluded.change(excluded, bit, adding=adding)
                case _:
                    wanted.append(matcher)
        self._wanted.change(wanted, bit, adding=adding)

    # -- one value -------------------------------------------------------------------------------------

    def failed(self, value: object) -> int:
        """The bits of the clauses that a value as decoded fails."""
        if value.__class__ is str:
            return self._failed_by(value)
        if value is UNSET:
            return self.bits & ~self.if_absent
        found = self.bits
        is_absent = True
        for scalar in _scalars(value):
            is_absent = False
            found &= self._failed_by(scalar)
            if not found:
                break
        return self.bits & ~self.if_absent if is_absent else found

    def _failed_by(self, scalar: Value | int | float) -> int:
        hits = self.present | self._wanted.hits(scalar)
        but = self.but
        if but:
            hits |= but & ~self._excluded.hits(scalar)
        return self.bits & ~hits

    # -- shapes of the same, for generated code ----------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left of what was added."""
        masks = (self.bits, self.if_absent, self.present, self.but)
        return not any(masks) and self._wanted.is_empty and self._excluded.is_empty

    @property
    def only_literals(self) -> bool:
        """Whether no clause cares for anything but true, false, null and presence."""
        return not any(
            each.ranges.bounds or each.has_texts or each.has_others for each in (self._wanted, self._excluded)
        )

    @property
    def only_numbers(self) -> bool:
        """Whether no clause cares for a text, and some for numbers that are compared as numbers."""
        tables = (self._wanted, self._excluded)
        has_numbers = any(each.ranges.bounds for each in tables)
        return has_numbers and not any(each.has_texts or each.has_others for each in tables)

    @property
    def only_ranges(self) -> bool:
        """Whether only numbers pass any clause."""
        others = self.if_absent | self.present | self.but
        return self.only_numbers and not (others or self._wanted.literals)

    def number_bounds(self) -> list[float]:
        """Numbers between two of which, in order, all fail the same, where only numbers count."""
        wanted, excluded = self._wanted.ranges.bounds, self._excluded.ranges.bounds
        return [*dict.fromkeys(sorted(wanted + excluded))] if wanted and excluded else wanted or excluded

    def only_texts(self, most: int) -> list[str] | None:
        """The texts that are not like all others; None if they are more than `most`, or no such texts."""
        wanted, excluded = self._wanted.texts, self._excluded.texts
        if self.has_others or not (wanted.is_simple and excluded.is_simple):
            return None
        return [*wanted.exact, *excluded.exact] if len(wanted.exact) + len(excluded.exact) <= most else None

    def text_bounds(self, most: int) -> list[str] | None:
        """Texts between two of which, in order, all fail the same; None if they are more than `most`."""
        wanted, excluded = self._wanted.texts.bounds(most), self._excluded.texts.bounds(most)
        if wanted is None or excluded is None or self.has_others or len(wanted | excluded) > most:
            return None
        return sorted(wanted | excluded)

    @property
    def wanted_texts(self) -> TextTable:
        """The tests of texts."""
        return self._wanted.texts

    @property
    def excluded_texts(self) -> TextTable:
        """What anything-but excludes."""
        return self._excluded.texts

    @property
    def has_others(self) -> bool:
        """Whether a text may matter to what is neither in `wanted_texts` nor in `excluded_texts`."""
        return self._wanted.has_others or self._excluded.has_others

    @property
    def is_varied(self) -> bool:
        """Whether it has more texts than are worth remembering, or soon will have: one change for several."""
        return self.varied or (self._memo is not None and self._memo.is_varied())

    def memo(self, changed: Callable[[], None]) -> Memo:
        """What values fail, remembered until the next change; `changed` is called when the path is varied."""
        if self._memo is None:
            self._memo = Memo(self, changed)
        return self._memo

    def text_test(self) -> Callable[[str], int]:
        """`failed` for texts, as fast as it can be until the next change."""
        bits, present, but = self.bits, self.present, self.but
        wanted, excluded = self._wanted.text_finder(), self._excluded.text_finder()
        if but:
            return lambda text: bits & ~(present | wanted(text) | (but & ~excluded(text)))
        return lambda text: bits & ~(present | wanted(text)) if present else bits ^ wanted(text)

    def edges(self) -> "tuple[Edges, Edges] | None":
        """Without which no text is special, by what is wanted and what is excluded; None if unknown."""
        if self.has_others:
            return None
        wanted, excluded = self._wanted.texts.edges(), self._excluded.texts.edges()
        return None if wanted is None or excluded is None else (wanted, excluded)

    @property
    def failed_by_others(self) -> int:
        """What a text fails that no table knows."""
        return self.bits & ~(self.present | self.but)


def flat_scalars(value: Sequence[object]) -> Iterator[Value | int | float]:
    """The scalars in an array and in the arrays in it."""
    for item in value:
        if isinstance(item, (list, tuple)):
            yield from flat_scalars(item)
        elif item is None or isinstance(item, (str, bool, int, float, Number)):
            yield item


def _scalars(value: object) -> Sequence[Value | int | float]:
    if isinstance(value, (str, bool, int, float, Number)) or value is None:
        return (value,)
    return tuple(flat_scalars(value)) if isinstance(value, (list, tuple)) else ()


def _with(mask: int, bit: int, adding: bool) -> int:
    return mask | bit if adding else mask & ~bit
