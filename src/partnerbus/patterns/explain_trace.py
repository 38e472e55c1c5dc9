"""The walk of `walk.py` once more, remembering how it went: what a match rests on, or what stopped it.

Whether an event matches is never decided here; this looks for the reasons of a verdict that is known. It
takes the same steps in the same order within the same bound, and keeps for each choice the one it came from.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from partnerbus.patterns.leaves import Element, steps_to
from partnerbus.patterns.walk import (
    NOTHING_CHOSEN,
    SPARE_VISITS,
    VISITS_PER_HIT,
    Choice,
    ClauseTest,
    EventView,
    around,
)


class Pick(NamedTuple):
    """How a clause was satisfied: by the leaf with this number, or by there being none."""

    number: int | None


class Trace(NamedTuple):
    """How a walk ended: with a pick per clause, or at the clause `blocked`, or (neither) given up.

    A blocked clause that wanted no leaf met the one with the number `unwanted`.
    """

    picks: dict[ClauseTest, Pick] | None = None
    blocked: ClauseTest | None = None
    unwanted: int | None = None


_Option = tuple[Element | None, bool]
"""An element to take the leaf from (None: outside all arrays), and whether it is no leaf at all."""

_Layer = dict[Choice, tuple[Choice, _Option]]


def trace(clauses: Sequence[ClauseTest], view: EventView) -> Trace:
    """Walk `clauses`, which are in the order of their paths' UTF-16 units."""
    if all(view.hits(each).outside or _absent(each, NOTHING_CHOSEN, view) for each in clauses):
        return Trace({each: _pick(each, (None, not view.hits(each).outside), view) for each in clauses})
    last = {step: at for at, each in enumerate(clauses) for step in (*steps_to(each.path), each.path)}
    visits = SPARE_VISITS + VISITS_PER_HIT * sum(len(view.hits(each).elements) for each in clauses)
    layers: list[_Layer] = [{NOTHING_CHOSEN: (NOTHING_CHOSEN, (None, True))}]
    for at, clause in enumerate(clauses):
        layer: _Layer = {}
        for choice in layers[-1]:
            for option in _options(clause, choice, view):
                chosen = choice | around(option[0])
                kept = frozenset(each for each in chosen if last.get(each.array.path, -1) > at)
                layer.setdefault(kept, (choice, option))
                visits -= 1
                if not visits:
                    return Trace()
        if not layer:
            return Trace(blocked=clause, unwanted=_unwanted(clause, layers[-1], view))
        layers.append(layer)
    return Trace(_picks(clauses, layers, view))


def _options(clause: ClauseTest, choice: Choice, view: EventView) -> Iterator[_Option]:
    if _absent(clause, choice, view):
        yield None, True
    for element in view.hits(clause).fitting(choice):
        yield element, False


def _absent(clause: ClauseTest, choice: Choice, view: EventView) -> bool:
    """Whether the clause holds because no leaf at its path fits `choice`."""
    return clause.may_be_absent and not any(True for _ in view.present(clause.path).fitting(choice))


def _unwanted(clause: ClauseTest, choices: Iterable[Choice], view: EventView) -> int | None:
    """The first leaf that keeps `clause` from holding by absence for one of `choices`."""
    if not clause.may_be_absent:
        return None
    present = view.present(clause.path)
    met = next(element for choice in choices for element in present.fitting(choice))
    return present.numbers[present.elements.index(met)]


def _picks(clauses: Sequence[ClauseTest], layers: list[_Layer], view: EventView) -> dict[ClauseTest, Pick]:
    choice = next(iter(layers[-1]))
    picks = {}
    for clause, layer in zip(reversed(clauses), reversed(layers), strict=False):
        choice, option = layer[choice]
        picks[clause] = _pick(clause, option, view)
    return picks


def _pick(clause: ClauseTest, option: _Option, view: EventView) -> Pick:
    element, absent = option
    if absent:
        return Pick(None)
    hits = view.hits(clause)
    return Pick(hits.numbers[hits.elements.index(element)])


def never_together(one: ClauseTest, other: ClauseTest, view: EventView) -> bool:
    """Whether all leaves that fit `one` are in other elements than all that fit `other`."""
    if one.may_be_absent or other.may_be_absent:
        return False
    others = view.hits(other)
    return not any(any(True for _ in others.fitting(around(element))) for element in view.hits(one).elements)
