"""Goals of a benchmark: one line each at the end of a run."""

from collections.abc import Iterable, Mapping

import msgspec

Figures = dict[str, float]


class Goal(msgspec.Struct, frozen=True):
    """At least the target, or at most."""

    name: str
    target: float
    at_most: bool = False

    def line(self, figures: Mapping[str, float]) -> str | None:
        """`goal NAME measured target met|short`; None if it was not measured."""
        measured = figures.get(self.name)
        if measured is None:
            return None
        met = measured <= self.target if self.at_most else measured >= self.target
        return f"goal {self.name} {measured:.3g} {self.target:g} {'met' if met else 'short'}"


def print_goals(goals: Iterable[Goal], figures: Mapping[str, float]) -> None:
    """The lines of those that were measured."""
    for goal in goals:
        line = goal.line(figures)
        if line is not None:
            print(line)
