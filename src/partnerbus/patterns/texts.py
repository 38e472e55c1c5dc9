"""Many tests of a text at once: equal to, begins with, ends with, without case, wildcards.

Each test is an entry of a table, found by what it wants, so that a text costs a few look-ups however many
tests there are. Beginnings and endings are kept by their lengths: a text is cut to each length that occurs.
A wildcard with one star is a beginning and an ending that do not overlap. One with more is found by its
first literal, or by its last if it starts with a star, and is then tried; one with stars on both sides is
tried whatever the text. Only matchers of ASCII letters are compared without case here, because only for
these is the service's comparison that of lower-cased texts. Addresses have a table of their own
(`addresses.py`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from partnerbus.patterns.affixes import (
    NO_AFFIXES,
    Affixes,
    after_all_with,
    drop_if,
    inner,
    set_affix,
    set_bits,
)
from partnerbus.patterns.syntax import EqualsIgnoreCase, Exactly, Matcher, Prefix, Suffix, Text, Wildcard
from partnerbus.patterns.wildcards import Literals, matches_wildcard

Masks = dict[str, int]
_LOWER = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


class Edges(msgspec.Struct, frozen=True, kw_only=True):
    """A text that passes a test has one of `heads`, one of `tails`, or one of each of the other two.

    Those of one set are of one length, cut to the shortest.
    """

    heads: frozenset[str]
    tails: frozenset[str]
    heads_with_tails: frozenset[str]
    tails_with_heads: frozenset[str]

    def sets(self) -> Sequence[frozenset[str]]:
        """The sets that are checked by themselves; pairs count by their beginnings."""
        return (self.heads, self.tails, self.heads_with_tails)


class TextTable:
    """Masks of the tests that a text passes."""

    __slots__ = (
        "_both_open",
        "_by_head",
        "_by_tail",
        "_folded",
        "_folded_prefixes",
        "_folded_suffixes",
        "_pairs",
        "_prefixes",
        "_suffixes",
        "exact",
        "folds",
        "is_simple",
    )

    def __init__(self) -> None:
        self.exact: Masks = {}
        self._folded: Masks = {}
        self._prefixes: Affixes[int] = NO_AFFIXES
        self._suffixes: Affixes[int] = NO_AFFIXES
        self._folded_prefixes: Affixes[int] = NO_AFFIXES
        self._folded_suffixes: Affixes[int] = NO_AFFIXES
        self._pairs: Affixes[Affixes[int]] = NO_AFFIXES
        self._by_head: Affixes[dict[Literals, int]] = NO_AFFIXES
        self._by_tail: Affixes[dict[Literals, int]] = NO_AFFIXES
        self._both_open: dict[Literals, int] = {}
        self.is_simple = True
        """Whether there is only exact text."""
        self.folds = False
        """Whether anything is compared without case."""

    def add(self, matcher: Matcher, bits: int) -> bool:
        """Add a test under `bits`; False if it is none of those kept here."""
        return self._change(matcher, bits, adding=True)

    def remove(self, matcher: Matcher, bits: int) -> bool:
        """Undo an `add`."""
        return self._change(matcher, bits, adding=False)

    def finder(self) -> Callable[[str], int]:
        """A function for the bits of all tests that a text passes, good until the next change."""
        exact = self.exact
        if self.is_simple:
            return lambda text: exact.get(text, 0)
        prefixes, suffixes = self._prefixes.tables, self._suffixes.tables
        pairs, wildcards = self._pairs.tables, self._find_wildcards if self._has_wildcards else None
        without_case = self._hits_without_case if self.folds else None

        def find(text: str) -> int:
            found = exact.get(text, 0)
            for length, table in prefixes:
                found |= table.get(text[:length], 0)
            for length, table in suffixes:
                found |= table.get(text[-length:], 0)
            for length, heads in pairs:
                tails = heads.get(text[:length])
                if tails is not None:
                    found |= _ending(tails, text[length:])
            if wildcards is not None:
                found |= wildcards(text)
            return found if without_case is None else found | without_case(ascii_lower(text))

        return find

    def _find_wildcards(self, text: str) -> int:
        found = _matching(self._both_open, text)
        for length, table in self._by_head.tables:
            found |= _matching(table.get(text[:length]), text)
        for length, table in self._by_tail.tables:
            found |= _matching(table.get(text[-length:]), text)
        return found

    def bounds(self, most: int) -> set[str] | None:
        """Texts between two of which, in order, all pass the same; None if they are more than `most`."""
        if self.folds or self._has_wildcards or self._pairs.tables or self._suffixes.tables:
            return None
        if len(self.exact) + sum(len(table) for _, table in self._prefixes.tables) > most:
            return None
        prefixes = self._prefixes.texts()
        after = {after for after in map(after_all_with, prefixes) if after is not None}
        return {*prefixes, *after, *self.exact, *(f"{text}\0" for text in self.exact)}

    def affix_tables(self) -> Sequence[tuple[str, dict[str, int]]] | None:
        """Tables of beginnings and endings, and the cut for each; None if there are other tests."""
        if self.folds or self._has_wildcards or self._pairs.tables:
            return None
        heads = [(f":{length}", table) for length, table in self._prefixes.tables]
        return [*heads, *((f"-{length}:", table) for length, table in self._suffixes.tables)]

    def _hits_without_case(self, lower: str) -> int:
        found = self._folded.get(lower, 0)
        for length, table in self._folded_prefixes.tables:
            found |= table.get(lower[:length], 0)
        for length, table in self._folded_suffixes.tables:
            found |= table.get(lower[-length:], 0)
        return found

    def edges(self) -> "Edges | None":
        """What texts that pass a test begin or end with, exact tests aside; None if that may be nothing."""
        if self.folds or self._both_open:
            return None
        wildcards = [each for _, table in self._by_head.tables for found in table.values() for each in found]
        closed = [(literals[0], literals[-1]) for literals in wildcards if literals[-1]]
        for _, table in self._pairs.tables:
            closed += [(head, tail) for head, tails in table.items() for tail in tails.texts()]
        heads = [*self._prefixes.texts(), *(literals[0] for literals in wildcards if not literals[-1])]
        tails = [*self._suffixes.texts(), *self._by_tail.texts()]
        return Edges(
            heads=_cut_heads(heads),
            tails=_cut_tails(tails),
            heads_with_tails=_cut_heads([head for head, _ in closed]),
            tails_with_heads=_cut_tails([tail for _, tail in closed]),
        )

    # -- changes ---------------------------------------------------------------------------------------

    def _change(self, matcher: Matcher, bits: int, *, adding: bool) -> bool:
        match matcher:
            case Text(text=text) | Exactly(text=text):
                set_bits(self.exact, text, bits, adding=adding)
                return True
            case EqualsIgnoreCase(text=text):
                if not text.isascii():
                    return False
                set_bits(self._folded, text.lower(), bits, adding=adding)
            case Prefix(text=text, ignore_case=ignore_case) | Suffix(text=text, ignore_case=ignore_case):
                if ignore_case and not text.isascii():
                    return False
                self._change_affix(matcher, bits, adding=adding)
            case Wildcard(literals=literals):
                self._change_wildcard(literals, bits, adding=adding)
            case _:
                return False
        self._look_again()
        return True

    def _change_affix(self, matcher: Prefix | Suffix, bits: int, *, adding: bool) -> None:
        text, ignore_case = matcher.text, matcher.ignore_case
        at_start = isinstance(matcher, Prefix) or not text  # all texts begin and end with nothing
        kind = "prefixes" if at_start else "suffixes"
        if ignore_case and text:
            kind, text = f"folded_{kind}", text.lower()
        set_affix(self._own(f"_{kind}"), text, bits, adding=adding)

    def _own(self, name: str) -> Affixes[Any]:
        """One of our affixes, to be changed."""
        if getattr(self, name) is NO_AFFIXES:
            setattr(self, name, Affixes())
        found: Affixes[Any] = getattr(self, name)
        return found

    def _change_wildcard(self, literals: Literals, bits: int, *, adding: bool) -> None:
        """Those with one star at most are something simpler."""
        head, tail = literals[0], literals[-1]
        if len(literals) == 1:
            set_bits(self.exact, head, bits, adding=adding)
        elif len(literals) == 2 and not (head and tail):
            self._change_affix(Suffix(tail) if tail else Prefix(head), bits, adding=adding)
        elif len(literals) == 2:
            pairs = self._own("_pairs")
            tails = inner(pairs, head, Affixes[int])
            set_affix(tails, tail, bits, adding=adding)
            drop_if(not tails.tables, pairs, head)
        elif head or tail:
            affixes, edge = self._own("_by_head" if head else "_by_tail"), head or tail
            wildcards = inner(affixes, edge, dict)
            set_bits(wildcards, literals, bits, adding=adding)
            drop_if(not wildcards, affixes, edge)
        else:
            set_bits(self._both_open, literals, bits, adding=adding)

    @property
    def _has_wildcards(self) -> bool:
        return bool(self._both_open or self._by_head.tables or self._by_tail.tables)

    def _look_again(self) -> None:
        """After a change: which kinds of tests there are."""
        folded = (self._folded_prefixes, self._folded_suffixes)
        self.folds = bool(self._folded) or any(affixes.tables for affixes in folded)
        others = bool(self._prefixes.tables or self._suffixes.tables or self._pairs.tables)
        self.is_simple = not (self.folds or self._has_wildcards or others)


def ascii_lower(text: str) -> str:
    """`text` with its ASCII letters, and no others, in lower case."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


def _cut_heads(texts: Sequence[str]) -> frozenset[str]:
    shortest = min(map(len, texts), default=0)
    return frozenset(text[:shortest] for text in texts)


def _cut_tails(texts: Sequence[str]) -> frozenset[str]:
    return frozenset(head[::-1] for head in _cut_heads([text[::-1] for text in texts]))


def _matching(wildcards: dict[Literals, int] | None, text: str) -> int:
    found = 0
    if wildcards:
        for literals, bits in wildcards.items():
            if matches_wildcard(literals, text):
                found |= bits
    return found


def _ending(tails: Affixes[int], text: str) -> int:
    found = 0
    for length, table in tails.tables:
        found |= table.get(text[-length:], 0)
    return found
