"""Why an event did or did not match a pattern.

The verdict is the matcher's own: the same conjunctions, clauses, leaves and walk (`parser.py`, `leaves.py`,
`walk.py`) are asked, and what they found out on the way is put into words. Beyond what the verdict costs,
explaining takes time in proportion to the event and the pattern, and its result is bounded.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from partnerbus.patterns.event_fields import EventFields, decode_json
from partnerbus.patterns.explain_hints import ValueHints, elsewhere, key_hints
from partnerbus.patterns.explain_places import Places
from partnerbus.patterns.explain_trace import Pick, never_together, trace
from partnerbus.patterns.explain_words import (
    THE_EVENT,
    cut,
    kind_words,
    matcher_words,
    place_words,
    quoted,
    steps_words,
    value_words,
)
from partnerbus.patterns.explanation import (
    MAX_ALTERNATIVES_SHOWN,
    MAX_CLAUSES_SHOWN,
    MAX_CONJUNCTIONS_SHOWN,
    MAX_ELEMENTS_SHOWN,
    MAX_PATHS_SHOWN,
    MAX_VALUES_SHOWN,
    Alternative,
    ClauseExplanation,
    ConjunctionExplanation,
    Explanation,
    Hint,
    Outcome,
    Seen,
)
from partnerbus.patterns.leaves import DETAIL, Interest, Leaf, Leaves, find_leaves, steps_to
from partnerbus.patterns.matching import accepts
from partnerbus.patterns.parser import Conjunction, conjunctions
from partnerbus.patterns.syntax import Clause, Exists, Pattern
from partnerbus.patterns.walk import ClauseTest, ConjunctionTest, EventView

PLACES_LOOKED_AT = 1_000
"""How many fitting values are looked at to name the array elements they are in."""

GIVEN_UP = (
    "it fits by itself; several arrays stand at one path, because names contain dots, "
    "and the search for elements in which all fields fit was given up"
)


def explain(pattern: Pattern, fields: EventFields) -> Explanation:
    """Why `pattern` does or does not match; `ValueError` if the event's detail is not JSON."""
    found = conjunctions(pattern.group)
    scene = _Scene(found, fields)
    failing: list[tuple[int, int]] = []
    for at, conjunction in enumerate(found):
        test = ConjunctionTest(conjunction, scene.tests)
        if test.matches(scene.view):
            shown = _explain_match(scene, conjunction, test, at + 1)
            return Explanation(matched=True, tried=at + 1, conjunctions=(shown,))
        failing.append((max(1, sum(not scene.may_fit(each) for each in test.clauses)), at))
    nearest = sorted(failing)[:MAX_CONJUNCTIONS_SHOWN]
    return Explanation(
        matched=False,
        tried=len(found),
        conjunctions=tuple(_explain_failure(scene, found[at], at + 1) for _, at in nearest),
    )


class _Scene:
    """A pattern's clauses made ready, and the event as they see it."""

    def __init__(self, found: list[Conjunction], fields: EventFields) -> None:
        clauses = dict.fromkeys(clause for each in found for clause in each.values())
        self.tests = {clause: ClauseTest(clause) for clause in clauses}
        interest = Interest()
        for path in {clause.path for clause in self.tests}:
            interest.add((path, elsewhere(path)))
        event = dict(fields.envelope)
        if fields.detail:
            event[DETAIL] = decode_json(fields.detail)
        self.leaves: Leaves = find_leaves(EventFields(event), interest)
        self.view = EventView(self.leaves)
        self.places = Places(event, interest)

    def may_fit(self, test: ClauseTest) -> bool:
        """Whether the clause could hold if it were alone, in some element."""
        if self.view.hits(test).elements:
            return True
        return test.may_be_absent and not self.view.present(test.path).outside

    def elements(self, test: ClauseTest, other: str) -> Iterator[str]:
        """The array elements with a fitting value, as far as the path `other` leads through them too."""
        common = len(_common_path(test.path, other))
        for number in self.view.hits(test).numbers[:PLACES_LOOKED_AT]:
            yield steps_words(_within(self.places.of_leaf(number).steps(), common))


def _common_path(one: str, other: str) -> str:
    ways = {*steps_to(other), other}
    return next((way for way in (one, *reversed(steps_to(one))) if way in ways), "")


def _within(steps: list[str | int], length: int) -> list[str | int]:
    """The innermost element on the way of `steps` whose path has no more than `length` characters."""
    if isinstance(steps[-1], int):  # a scalar in an array is no element
        steps = steps[:-1]
    used, element = -1, 0
    for at, step in enumerate(steps, 1):
        used += len(step) + 1 if isinstance(step, str) else 0
        if used <= length and isinstance(step, int):
            element = at
    return steps[:element]


# -- conjunctions --------------------------------------------------------------------------------------


def _explain_match(
    scene: _Scene, conjunction: Conjunction, test: ConjunctionTest, number: int
) -> ConjunctionExplanation:
    picks = trace(test.clauses, scene.view).picks or {}
    clauses = [
        _fitting(scene, clause, picks.get(scene.tests[clause]))
        for clause in islice(conjunction.values(), MAX_CLAUSES_SHOWN)
    ]
    return _conjunction(number, True, 0, clauses, len(conjunction))


def _explain_failure(scene: _Scene, conjunction: Conjunction, number: int) -> ConjunctionExplanation:
    conflicts = _conflicts(scene, conjunction)
    alone = {path for path, clause in conjunction.items() if not scene.may_fit(scene.tests[clause])}
    failing = len(alone) + len(conflicts)
    order = sorted(conjunction, key=lambda path: path not in alone and path not in conflicts)
    clauses = []
    for path in order[:MAX_CLAUSES_SHOWN]:
        clause = conjunction[path]
        if path in alone:
            clauses.append(_failing(scene, clause))
        elif path in conflicts:
            clauses.append(_clause(scene, clause, Outcome.OTHER_ELEMENT, conflicts[path]))
        else:
            clauses.append(_fitting(scene, clause, None))
    return _conjunction(number, False, failing, clauses, len(conjunction))


def _conjunction(
    number: int, matched: bool, failing: int, clauses: Sequence[ClauseExplanation], every: int
) -> ConjunctionExplanation:
    return ConjunctionExplanation(
        number=number,
        matched=matched,
        failing=failing,
        clauses=tuple(clauses),
        more_clauses=every - len(clauses),
    )


def _conflicts(scene: _Scene, conjunction: Conjunction) -> dict[str, str]:
    """By path, why clauses that fit by themselves do not fit together; empty if they do.

    For the walk, which is not asked twice: `conjunction` as a whole did not match.
    """
    possible = {path: each for path, each in conjunction.items() if scene.may_fit(scene.tests[each])}
    test = ConjunctionTest(possible, scene.tests)
    if len(possible) < len(conjunction) and test.matches(scene.view):
        return {}
    _, blocked, unwanted = trace(test.clauses, scene.view)
    if blocked is None:
        inside = [each.path for each in test.clauses if not scene.view.hits(each).outside]
        return dict.fromkeys(inside, GIVEN_UP)
    if unwanted is not None and not scene.view.hits(blocked).elements:
        where = place_words(scene.places.of_leaf(unwanted))
        return {blocked.path: f"it wants no value, but there is one at {where}"}
    before = test.clauses[: test.clauses.index(blocked)]
    for other in before:
        if never_together(other, blocked, scene.view):
            return {
                blocked.path: _other_element(scene, blocked, other),
                other.path: _other_element(scene, other, blocked),
            }
    return {blocked.path: _no_element(scene, blocked, before)}


def _other_element(scene: _Scene, test: ClauseTest, other: ClauseTest) -> str:
    here = _listed(scene.elements(test, other.path))
    there = _listed(scene.elements(other, test.path))
    return f"fits in {here}, but {cut(other.path)} fits only in {there}"


def _no_element(scene: _Scene, blocked: ClauseTest, before: Sequence[ClauseTest]) -> str:
    here = _listed(scene.elements(blocked, blocked.path))
    inside = [cut(each.path) for each in before if not scene.view.hits(each).outside]
    more = ", …" if len(inside) > MAX_PATHS_SHOWN else ""
    return f"fits in {here}, but not where all of these fit: {', '.join(inside[:MAX_PATHS_SHOWN])}{more}"


def _listed(elements: Iterator[str]) -> str:
    found = list(islice(dict.fromkeys(elements), MAX_ELEMENTS_SHOWN + 1))
    more = " and others" if len(found) > MAX_ELEMENTS_SHOWN else ""
    shown = ", ".join(found[:MAX_ELEMENTS_SHOWN])
    return f"element{'s' if len(found) > 1 else ''} {shown}{more}"


# -- clauses -------------------------------------------------------------------------------------------


def _fitting(scene: _Scene, clause: Clause, pick: Pick | None) -> ClauseExplanation:
    found = scene.view.hits(scene.tests[clause]).elements
    absent = not found if pick is None else pick.number is None
    reason = _absence(clause.path in scene.leaves) if absent else "fits"
    return _clause(scene, clause, Outcome.FITS, reason, made=pick.number if pick else None, absent=absent)


def _absence(is_elsewhere: bool) -> str:
    return "there is no value in the element where the others fit" if is_elsewhere else "there is no value"


def _failing(scene: _Scene, clause: Clause) -> ClauseExplanation:
    if clause.path not in scene.leaves:
        reason, hints = _missing(scene.places, clause.path)
        return _clause(scene, clause, Outcome.MISSING, reason, hints)
    values = scene.leaves[clause.path]
    if set(clause.matchers) == {Exists(False)}:
        reason = "it wants no value, but there is one"
    else:
        reason = f"none of the {len(values)} values fits" if len(values) > 1 else "the value does not fit"
    near = ValueHints(clause.matchers)
    hints = [hint for leaf in values[:MAX_VALUES_SHOWN] if (hint := near.of(leaf.value)) is not None]
    return _clause(scene, clause, Outcome.DOES_NOT_FIT, reason, hints)


def _missing(places: Places, path: str) -> tuple[str, list[Hint]]:
    """What there is in place of a value at `path`."""
    if places.holds_object(path):
        return f"{cut(path)} is an object; a pattern names the fields inside it", []
    if places.holds(path):
        return f"{cut(path)} is an empty array", []
    parent = places.deepest(path)
    hints = list(key_hints(path, parent, places))
    if parent is not None and not places.holds_object(parent):
        return f"missing: {cut(parent)} holds {kind_words(places.other(parent))}, not an object", hints
    where = THE_EVENT if parent is None else cut(parent)
    rest = path if parent is None else path[len(parent) + 1 :]
    return f"missing: {where} has no field {quoted(rest.partition('.')[0])}", hints


def _clause(
    scene: _Scene,
    clause: Clause,
    outcome: Outcome,
    reason: str,
    hints: Sequence[Hint] = (),
    made: int | None = None,
    *,
    absent: bool = False,
) -> ClauseExplanation:
    leaves = scene.leaves.get(clause.path, [])
    shown = [] if absent else _values(scene, clause, made)
    alternatives = _alternatives(clause, shown, absent=absent)
    return ClauseExplanation(
        path=cut(clause.path),
        outcome=outcome,
        reason=reason,
        alternatives=alternatives,
        more_alternatives=len(clause.matchers) - len(alternatives),
        seen=tuple(_seen(scene, clause, leaf, made) for leaf in shown),
        more_seen=len(leaves) - len(shown),
        hints=tuple(dict.fromkeys(hints)),
    )


def _values(scene: _Scene, clause: Clause, made: int | None) -> list[Leaf]:
    """The values to show: the one that made it, those that fit, then others, as many as may be."""
    leaves = scene.leaves.get(clause.path, [])
    fitting = islice(scene.tests[clause].accepted(leaves), MAX_VALUES_SHOWN)
    first = [leaf for leaf in leaves if leaf.number == made]
    found = {leaf.number: leaf for leaf in (*first, *fitting, *leaves[:MAX_VALUES_SHOWN])}
    return sorted(islice(found.values(), MAX_VALUES_SHOWN), key=lambda leaf: leaf.number)


def _alternatives(clause: Clause, shown: list[Leaf], *, absent: bool) -> tuple[Alternative, ...]:
    """Those that fit, then the others in their order, as many as may be."""
    values = [leaf.value for leaf in shown]
    found = [
        (matcher, (absent and matcher == Exists(False)) or any(map(accepts(matcher), values)))
        for matcher in clause.matchers
    ]
    picked = sorted(found, key=lambda each: not each[1])[:MAX_ALTERNATIVES_SHOWN]
    return tuple(Alternative(matcher_words(matcher), fits) for matcher, fits in picked)


def _seen(scene: _Scene, clause: Clause, leaf: Leaf, made: int | None) -> Seen:
    return Seen(
        place=place_words(scene.places.of_leaf(leaf.number)),
        value=value_words(leaf.value),
        fits=scene.tests[clause].accepts(leaf.value),
        made_it=leaf.number == made,
    )
