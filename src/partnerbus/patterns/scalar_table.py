"""Many matchers at once: which of them does a scalar pass?

Every matcher has a bit, and is an entry in a table of its kind (texts, addresses, ranges, literals). Only
those that no table holds are tried one by one: letters beyond ASCII without case, numbers that are compared
as text, and clauses with several anything-but.
"""

from collections.abc import Callable, Iterable

from partnerbus.patterns.addresses import AddressTable, parse_address
from partnerbus.patterns.affixes import set_bits
from partnerbus.patterns.matching import LITERAL_VALUES, Accepts, Value, accepts_any
from partnerbus.patterns.numbers import as_number
from partnerbus.patterns.ranges import RangeTable, Segment, joined, point, segment
from partnerbus.patterns.syntax import Cidr, LiteralIs, Matcher, NumberIs, Range, Text
from partnerbus.patterns.texts import TextTable

NO_TEXTS, NO_ADDRESSES, NO_RANGES = TextTable(), AddressTable(), RangeTable()
"""Stand where nothing was ever added: most paths have clauses of one kind only."""


class ScalarTable:
    """Masks of the matchers that a scalar passes."""

    __slots__ = ("_addresses", "_others", "literals", "ranges", "texts")

    def __init__(self) -> None:
        self.texts = NO_TEXTS
        self._addresses = NO_ADDRESSES
        self.ranges = NO_RANGES
        self.literals: dict[bool | None, int] = {}
        self._others: dict[tuple[Matcher, ...], tuple[Accepts, int]] = {}

    def change(self, matchers: Iterable[Matcher], bits: int, *, adding: bool) -> None:
        """Add or remove all matchers that are under the same `bits`."""
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
        match matcher:
            case LiteralIs(literal=literal):
                set_bits(self.literals, LITERAL_VALUES[literal], bits, adding=adding)
            case Cidr(address=address, bits=shared):
                self._change_address(address, shared, bits, adding=adding)
            case Text(text=text) if (address := parse_address(text)) is not None:  # type: ignore[assignment]
                self._change_address(address, 8 * len(address), bits, adding=adding)
            case _:
                if self.texts is NO_TEXTS:
                    self.texts = TextTable()
                if not (self.texts.add if adding else self.texts.remove)(matcher, bits):
                    self.change_other((matcher,), bits, adding=adding)

    def _change_address(self, address: bytes, shared: int, bits: int, *, adding: bool) -> None:
        if self._addresses is NO_ADDRESSES:
            self._addresses = AddressTable()
        self._addresses.change(address, shared, bits, adding=adding)

    def change_other(self, matchers: tuple[Matcher, ...], bits: int, *, adding: bool) -> None:
        """Add or remove a clause that is to be tried by itself."""
        known = self._others.get(matchers)
        test, before = known or (accepts_any(matchers), 0)
        after = before | bits if adding else before & ~bits
        if after:
            self._others[matchers] = (test, after)
        else:
            self._others.pop(matchers, None)

    # -- what there is ---------------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left of what was added."""
        return not (self.literals or self.ranges.bounds or self.has_texts or self.has_others)

    @property
    def has_texts(self) -> bool:
        """Whether there is anything in `texts`."""
        return bool(self.texts.exact) or not self.texts.is_simple

    @property
    def has_others(self) -> bool:
        """Whether a scalar may pass what is neither in `texts`, nor in `ranges`, nor in `literals`."""
        return bool(self._others or self._addresses.blocks)

    # -- one scalar ------------------------------------------------------------------------------------

    def hits(self, value: Value | int | float) -> int:
        """The bits under which the scalar is wanted."""
        kind = value.__class__
        if kind is str:
            return self.text_finder()(value)  # type: ignore[arg-type]  # its class was just looked at
        if value is None or kind is bool:
            found = self.literals.get(value, 0)  # type: ignore[arg-type]
        else:
            number = as_number(value)  # type: ignore[arg-type]  # nothing else is left
            found = self.ranges.hits(number.value) if number.value is not None else 0
            value = number
        return found | self._tried(value) if self._others else found  # type: ignore[arg-type]  # a Number by now

    def text_finder(self) -> Callable[[str], int]:
        """`hits` for texts, as fast as it can be until the next change."""
        texts, addresses, tried = self.texts.finder(), self._addresses.hits, self._tried
        if not self.has_others:
            return texts
        return lambda text: texts(text) | addresses(text) | tried(text)

    def _tried(self, value: Value) -> int:
        found = 0
        for test, bits in self._others.values():
            if test(value):
                found |= bits
        return found


def _as_segment(matcher: Matcher) -> Segment | None:
    if isinstance(matcher, Range):
        return segment(matcher)
    if isinstance(matcher, NumberIs) and matcher.number.value is not None:
        return point(matcher.number.value)
    return None
