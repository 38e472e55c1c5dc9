"""Which of many clauses on one path does a value fail?

Every clause here has a bit, and what a value does to all of them is one integer: the bits of those it
fails. A matcher is an entry in a table of its kind (texts, ranges, literals), and only matchers that no
table holds are tried one by one: addresses, blocks, letters beyond ASCII without case, numbers that are
compared as text.

Values are as msgspec decodes them, `UNSET` for a field that is not there. An array stands for the scalars
in it, of which one must pass; objects in its place or inside are as if not there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import UNSET

from partnerbus.patterns.affixes import set_bits
from partnerbus.patterns.matching import LITERAL_VALUES, Accepts, Value, accepts_any
from partnerbus.patterns.memo import Memo
from partnerbus.patterns.numbers import Number, as_number
from partnerbus.patterns.ranges import RangeTable, Segment, joined, point, segment
from partnerbus.patterns.syntax import AnythingBut, Exists, LiteralIs, Matcher, NumberIs, Range
from partnerbus.patterns.texts import Edges, TextTable

NO_TEXTS, NO_RANGES = TextTable(), RangeTable()
"""Stand where nothing was ever added: most paths have clauses of one kind only."""


class _Wanted:
    """Masks by what a scalar passes, with a table for each kind of matcher."""

    __slots__ = ("literals", "others", "ranges", "texts")

    def __init__(self) -> None:
        self.texts = NO_TEXTS
        self.ranges = NO_RANGES
        self.literals: dict[bool | None, int] = {}
        self.others: dict[tuple[Matcher, ...], tuple[Accepts, int]] = {}

    def change(self, matchers: Iterable[Matcher], bits: int, *, adding: bool) -> None:
        """Add or remove all that one clause wants."""
        ranges: list[Segment] = []
        for matcher in matchers:
            found = _as_segment(matcher)
            if found is not None:
                ranges.append(found)
            else:
                self._change_one(matcher, bits, adding=adding)
        if ranges and self.ranges is NO_RANGES:
            self.ranges = RangeTable()
        for low, high in joined(ranges):
            self.ranges.toggle(low, high, bits)

    def _change_one(self, matcher: Matcher, bits: int, *, adding: bool) -> None:
        if isinstance(matcher, LiteralIs):
            set_bits(self.literals, LITERAL_VALUES[matcher.literal], bits, adding=adding)
        else:
            if self.texts is NO_TEXTS:
                self.texts = TextTable()
            if not (self.texts.add if adding else self.texts.remove)(matcher, bits):
                self.change_other((matcher,), bits, adding=adding)

    def change_other(self, matchers: tuple[Matcher, ...], bits: int, *, adding: bool) -> None:
        known = self.others.get(matchers)
        test, before = known or (accepts_any(matchers), 0)
        after = before | bits if adding else before & ~bits
        if after:
            self.others[matchers] = (test, after)
        else:
            self.others.pop(matchers, None)

    @property
    def is_empty(self) -> bool:
        return not (self.literals or self.others or self.ranges.bounds or self.texts.exact) and (
            self.texts.is_simple
        )

    def hits(self, value: Value | int | float) -> int:
        """The bits under which the scalar is wanted."""
        kind = value.__class__
        if kind is str:
            found = self.texts.hits(value)  # type: ignore[arg-type]  # its class was just looked at
        elif value is None or kind is bool:
            found = self.literals.get(value, 0)  # type: ignore[arg-type]
        else:
            number = as_number(value)  # type: ignore[arg-type]  # nothing else is left
            found = self.ranges.hits(number.value) if number.value is not None else 0
            value = number
        if not self.others:
            return found
        for test, bits in self.others.values():
            if test(value):  # type: ignore[arg-type]  # a number is a Number by now
                found |= bits
        return found


NOTHING_WANTED = _Wanted()


class PathTest:
    """The clauses on one path, by bit. `failed(value)` is what the rest is for."""

    __slots__ = ("_but", "_excluded", "_memo", "_present", "_wanted", "bits", "if_absent", "varied")

    def __init__(self) -> None:
        self.bits = 0
        self.if_absent = 0
        """Of `bits`, the clauses that hold where there is no value."""
        self.varied = False
        """Whether the path was seen to have more texts than are worth remembering."""
        self._memo: Memo | None = None
        self._present = 0
        self._but = 0
        self._wanted = _Wanted()
        self._excluded = NOTHING_WANTED

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
                    self._present = _with(self._present, bit, adding)
                case Exists():
                    self.if_absent = _with(self.if_absent, bit, adding)
                case AnythingBut(excluded=excluded):
                    self._but = _with(self._but, bit, adding)
                    if self._excluded is NOTHING_WANTED:
                        self._excluded = _Wanted()
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
        hits = self._present | self._wanted.hits(scalar)
        but = self._but
        if but:
            hits |= but & ~self._excluded.hits(scalar)
        return self.bits & ~hits

    # -- shapes of the same, for generated code ----------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left of what was added."""
        masks = (self.bits, self.if_absent, self._present, self._but)
        return not any(masks) and self._wanted.is_empty and self._excluded.is_empty

    @property
    def only_literals(self) -> bool:
        """Whether no clause cares for anything but true, false, null and presence."""
        return not any(
            wanted.ranges.bounds or wanted.others or wanted.texts.exact or not wanted.texts.is_simple
            for wanted in (self._wanted, self._excluded)
        )

    @property
    def only_numbers(self) -> bool:
        """Whether no clause cares for a text, and some for numbers that are compared as numbers."""
        tables = (self._wanted, self._excluded)
        return any(each.ranges.bounds for each in tables) and not any(
            each.others or each.texts.exact or not each.texts.is_simple for each in tables
        )

    @property
    def only_ranges(self) -> bool:
        """Whether only numbers pass any clause."""
        others = self.if_absent | self._present | self._but
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
        """Whether some matchers are in no table."""
        return bool(self._wanted.others or self._excluded.others)

    @property
    def but(self) -> int:
        """The bits of the clauses with an anything-but."""
        return self._but

    @property
    def present(self) -> int:
        """The bits of the clauses that any value passes."""
        return self._present

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
        if self._wanted.others or self._excluded.others:
            return self._failed_by
        bits, present, but = self.bits, self._present, self._but
        wanted, excluded = self._wanted.texts.finder(), self._excluded.texts.finder()
        if but:
            return lambda text: bits & ~(present | wanted(text) | (but & ~excluded(text)))
        return lambda text: bits & ~(present | wanted(text)) if present else bits ^ wanted(text)

    def edges(self) -> "tuple[Edges, Edges] | None":
        """Without which no text is special, by what is wanted and what is excluded; None if unknown."""
        if self._wanted.others or self._excluded.others:
            return None
        wanted, excluded = self._wanted.texts.edges(), self._excluded.texts.edges()
        return None if wanted is None or excluded is None else (wanted, excluded)

    @property
    def failed_by_others(self) -> int:
        """What a text fails that no table knows."""
        return self.bits & ~(self._present | self._but)


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


def _as_segment(matcher: Matcher) -> Segment | None:
    if isinstance(matcher, Range):
        return segment(matcher)
    if isinstance(matcher, NumberIs) and matcher.number.value is not None:
        return point(matcher.number.value)
    return None


def _with(mask: int, bit: int, adding: bool) -> int:
    return mask | bit if adding else mask & ~bit
