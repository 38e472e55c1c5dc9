"""Many tests of a text at once: equal to, begins with, ends with, without case, wildcards.

Each test is an entry of a table, found by what it wants, so that a text costs a few look-ups however many
tests there are. Beginnings and endings are kept by their lengths: a text is cut to each length that occurs.
A wildcard is found by its first literal, or by its last if it starts with a star, and is then tried; one
with stars on both sides is tried whatever the text. Only matchers of ASCII letters are compared without
case here, because only for these is the service's comparison that of lower-cased texts.
"""

from bisect import insort
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Generic, TypeVar

import msgspec

from partnerbus.patterns.addresses import parse_address
from partnerbus.patterns.syntax import EqualsIgnoreCase, Exactly, Matcher, Prefix, Suffix, Text, Wildcard
from partnerbus.patterns.wildcards import Literals, matches_wildcard

V = TypeVar("V")

Masks = dict[str, int]
_LOWER = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


class Affixes(Generic[V]):
    """Values by the beginnings or the endings of texts: a table for each length that occurs."""

    __slots__ = ("tables",)

    def __init__(self) -> None:
        self.tables: list[tuple[int, dict[str, V]]] = []

    def of_length(self, length: int) -> dict[str, V]:
        """The values whose beginning or ending is that long."""
        for known, table in self.tables:
            if known == length:
                return table
        insort(self.tables, (length, {}), key=itemgetter(0))
        return self.of_length(length)

    def tidy(self) -> None:
        """Forget the lengths that do not occur any more."""
        self.tables = [(length, table) for length, table in self.tables if table]

    def texts(self) -> list[str]:
        return [text for _, table in self.tables for text in table]


class Edges(msgspec.Struct, frozen=True, kw_only=True):
    """A text that passes a test has one of `heads`, one of `tails`, or one of each of the other two.

    Those of one set are of one length, cut to the shortest.
    """

    heads: frozenset[str]
    tails: frozenset[str]
    heads_with_tails: frozenset[str]
    tails_with_heads: frozenset[str]


class TextTable:
    """Masks of the tests that a text passes."""

    __slots__ = (
        "_both_open",
        "_by_head",
        "_by_tail",
        "_folded",
        "_folded_prefixes",
        "_folded_suffixes",
        "_prefixes",
        "_suffixes",
        "exact",
        "folds",
        "is_simple",
    )

    def __init__(self) -> None:
        self.exact: Masks = {}
        self._folded: Masks = {}
        self._prefixes = Affixes[int]()
        self._suffixes = Affixes[int]()
        self._folded_prefixes = Affixes[int]()
        self._folded_suffixes = Affixes[int]()
        self._by_head = Affixes[dict[Literals, int]]()
        self._by_tail = Affixes[dict[Literals, int]]()
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

    def hits(self, text: str) -> int:
        """The bits of all tests that `text` passes."""
        return self.finder()(text)

    def finder(self) -> Callable[[str], int]:
        """`hits` as a function that is good until the next change."""
        exact = self.exact
        if self.is_simple:
            return lambda text: exact.get(text, 0)
        prefixes, suffixes = self._prefixes.tables, self._suffixes.tables
        heads, tails, both_open = self._by_head.tables, self._by_tail.tables, self._both_open
        without_case = self._hits_without_case if self.folds else None

        def find(text: str) -> int:
            found = exact.get(text, 0)
            for length, table in prefixes:
                found |= table.get(text[:length], 0)
            for length, table in suffixes:
                found |= table.get(text[-length:], 0)
            for length, wildcards in heads:
                found |= _matching(wildcards.get(text[:length]), text)
            for length, wildcards in tails:
                found |= _matching(wildcards.get(text[-length:]), text)
            if both_open:
                found |= _matching(both_open, text)
            return found if without_case is None else found | without_case(ascii_lower(text))

        return find

    def affix_tables(self) -> Sequence[tuple[str, dict[str, int]]] | None:
        """Tables by beginnings and endings, with how a text is cut for each; None if there are other tests."""
        if self.folds or self._both_open or self._by_head.tables or self._by_tail.tables:
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
        closed = [literals for literals in wildcards if literals[-1]]
        heads = [*self._prefixes.texts(), *(literals[0] for literals in wildcards if not literals[-1])]
        tails = [*self._suffixes.texts(), *self._by_tail.texts()]
        return Edges(
            heads=_cut_heads(heads),
            tails=_cut_tails(tails),
            heads_with_tails=_cut_heads([literals[0] for literals in closed]),
            tails_with_heads=_cut_tails([literals[-1] for literals in closed]),
        )

    # -- changes ---------------------------------------------------------------------------------------

    def _change(self, matcher: Matcher, bits: int, *, adding: bool) -> bool:
        match matcher:
            case Text(text=text) | Exactly(text=text):
                if isinstance(matcher, Text) and parse_address(text) is not None:
                    return False
                _set(self.exact, text, bits, adding=adding)
                return True
            case EqualsIgnoreCase(text=text):
                if not text.isascii():
                    return False
                _set(self._folded, text.lower(), bits, adding=adding)
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
        if ignore_case and text:
            affixes = self._folded_prefixes if at_start else self._folded_suffixes
            text = text.lower()
        else:
            affixes = self._prefixes if at_start else self._suffixes
        _set(affixes.of_length(len(text)), text, bits, adding=adding)
        affixes.tidy()

    def _change_wildcard(self, literals: Literals, bits: int, *, adding: bool) -> None:
        head, tail = literals[0], literals[-1]
        if not head and not tail:
            _set(self._both_open, literals, bits, adding=adding)
            return
        affixes, edge = (self._by_head, head) if head else (self._by_tail, tail)
        table = affixes.of_length(len(edge))
        _set(table.setdefault(edge, {}), literals, bits, adding=adding)
        if not table[edge]:
            del table[edge]
        affixes.tidy()

    def _look_again(self) -> None:
        """After a change: which kinds of tests there are."""
        folded = (self._folded_prefixes, self._folded_suffixes)
        others = (self._prefixes, self._suffixes, self._by_head, self._by_tail)
        self.folds = bool(self._folded) or any(affixes.tables for affixes in folded)
        self.is_simple = not (self.folds or self._both_open or any(affixes.tables for affixes in others))


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


K = TypeVar("K")


def _set(masks: dict[K, int], key: K, bits: int, *, adding: bool) -> None:
    """Set or clear bits under a key; a key without bits goes."""
    before = masks.get(key, 0)
    after = before | bits if adding else before & ~bits
    if after:
        masks[key] = after
    else:
        masks.pop(key, None)
