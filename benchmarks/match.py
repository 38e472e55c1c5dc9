"""The pattern engine in numbers: events matched per second, over `orjson.loads` of the same bytes per second.

    python -m benchmarks.match [--rounds 7] [--quick] ['partner-*' EXACT changes memory …]

One process on one core, the two in turn. Every workload is checked against the oracle before it is timed.
Ends with one line a goal: `goal NAME measured target met|short`.
"""

import argparse
import math
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec

from benchmarks.match_changes import (
    OWN_BOUNDS_RULES,
    ChangeCost,
    bytes_per_rule,
    change_cost,
    own_bounds_cost,
)
from benchmarks.match_check import build, check, matcher
from benchmarks.match_lots import NUMBER_AND_BUT_SHAPES, TEXT_SHAPES, city_lots
from benchmarks.match_measure import Effort, Rate, rate
from benchmarks.match_mixed import heterogeneous
from benchmarks.match_workload import Workload, partner, partner_ranges
from partnerbus.testing.load import now_text

CHANGES, MEMORY = "changes", "memory"
CHANGED_RULES, KEPT_RULES = 10_000, 100_000
QUICK = Effort(rounds=3, events=500, seconds=0.1, checked=12, changes=20)
QUICK_RULES = 1_000

Figures = dict[str, float]


class Goal(msgspec.Struct, frozen=True):
    """At least the target, or at most. `measure` gives None if what it needs was not run."""

    name: str
    target: float
    measure: Callable[[Figures], float | None]
    at_most: bool = False

    def line(self, figures: Figures) -> str | None:
        """What a run prints at its end, None if the goal's workloads were not all run."""
        measured = self.measure(figures)
        if measured is None:
            return None
        met = measured <= self.target if self.at_most else measured >= self.target
        shown = f"{measured:.0f}" if measured >= 1_000 else f"{measured:.3g}"
        return f"goal {self.name} {shown} {self.target:g} {'met' if met else 'short'}"


def workloads() -> list[Workload]:
    """All of them, the large ones last."""
    return [
        *city_lots(),
        *(heterogeneous(rules) for rules in (100, 1_000, 10_000)),
        *(partner_ranges(rules) for rules in (1_000, 10_000)),
        *(partner(rules) for rules in (100, 10_000, 100_000, 1_000_000)),
    ]


def goals() -> list[Goal]:
    """The goals in the order of the table in RESULTS.md."""
    targets = {
        "COMPLEX-ARRAYS": 0.7,
        "PARTIAL-COMBO": 1.0,
        "COMBO": 0.5,
        "partner-100": 1.4,
        "partner-10000": 1.0,
        "partner-100000": 0.85,
        "partner-1000000": 0.8,
        "partner-ranges-1000": 1.2,
        "partner-ranges-10000": 1.0,
        "heterogeneous-100": 1.2,
        "heterogeneous-1000": 0.45,
        "heterogeneous-10000": 0.3,
    }
    shapes = (*TEXT_SHAPES, *NUMBER_AND_BUT_SHAPES, "COMPLEX-ARRAYS", "PARTIAL-COMBO", "COMBO")
    return [
        Goal("city-lots-geometric-mean", 1.7, _over(shapes, _geometric_mean)),
        Goal("weakest-of-text-shapes", 2.0, _over(TEXT_SHAPES, min)),
        Goal("weakest-of-numeric-and-anything-but", 1.6, _over(NUMBER_AND_BUT_SHAPES, min)),
        *(Goal(name, target, _over((name,), min)) for name, target in targets.items()),
        Goal("flatness", 0.6, _over(("partner-100000", "partner-100"), lambda found: found[0] / found[1])),
        Goal("add-us", 25, _over(("add-us",), min), at_most=True),
        Goal("remove-us", 10, _over(("remove-us",), min), at_most=True),
        Goal("stall-ms", 3, _over(("stall-ms",), min), at_most=True),
        Goal("stall-ms-own-bounds", 3, _over(("stall-ms-own-bounds",), min), at_most=True),
        Goal("bytes-per-rule", 2_048, _over(("bytes-per-rule",), min), at_most=True),
    ]


def _over(
    names: Sequence[str], combine: Callable[[Sequence[float]], float]
) -> Callable[[Figures], float | None]:
    def measure(figures: Figures) -> float | None:
        found = [figures[name] for name in names if name in figures]
        return combine(found) if len(found) == len(names) else None

    return measure


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def measure_rates(chosen: Sequence[Workload], effort: Effort) -> Iterator[tuple[str, float]]:
    """The ratio of each workload; prints its row."""
    print(f"\n| {'workload':<24} | rules | bytes | hits | events/s | orjson/s | ratio (lowest to highest) |")
    print("|---|---|---|---|---|---|---|")
    for workload in chosen:
        found = _checked_rate(workload, effort)
        print(
            f"| {workload.name:<24} | {workload.rules:,} | {found.event_bytes:.0f} | {found.hits:.2f} | "
            f"{found.events_per_second:,.0f} | {found.yardstick_per_second:,.0f} | "
            f"**{found.ratio:.3g}** ({found.lowest:.3g} to {found.highest:.3g}) |",
            flush=True,
        )
        yield workload.name, found.ratio


def _checked_rate(workload: Workload, effort: Effort) -> Rate:
    match = matcher(build(workload))
    check(workload, match, effort.checked)
    return rate(workload, match, effort)


def measure_changes(effort: Effort, rules: int) -> Mapping[str, float]:
    """What one change costs at `rules` partner rules, and where only bounds tell rules apart."""
    cost, of_bounds = change_cost(rules, effort), own_bounds_cost(effort)
    print(f"\nat {rules:,} rules: {_cost_words(cost)}")
    print(f"\nat {OWN_BOUNDS_RULES:,} rules with bounds of their own: {_cost_words(of_bounds)}")
    stalls = {"stall-ms": cost.stall_ms, "stall-ms-own-bounds": of_bounds.stall_ms}
    return {"add-us": cost.add_us, "remove-us": cost.remove_us, **stalls}


def _cost_words(cost: ChangeCost) -> str:
    return (
        f"parse {cost.parse_us:.1f} µs, add {cost.add_us:.1f} µs, remove "
        f"{cost.remove_us:.1f} µs, a match {cost.plain_match_us:.1f} µs; longest change with the match after "
        f"it {cost.stall_ms:.2f} ms, longest such match {cost.match_ms:.2f} ms"
    )


def measure_memory(rules: int) -> Mapping[str, float]:
    """What a partner rule takes."""
    taken = bytes_per_rule(rules)
    print(f"\nmemory at {rules:,} rules: {taken:,.0f} bytes a rule")
    return {"bytes-per-rule": taken}


def main(wanted: Sequence[str], effort: Effort, *, quick: bool) -> None:
    """Run what was chosen and print the goals."""
    started = time.monotonic()
    print(f"{now_text()}, Python {sys.version.split()[0]}, {effort.rounds} rounds{', quick' * quick}")

    def is_wanted(name: str) -> bool:
        return any(fnmatchcase(name, each) for each in wanted) if wanted else True

    most = QUICK_RULES if quick and not wanted else math.inf
    chosen = [each for each in workloads() if is_wanted(each.name) and each.rules <= most]
    figures: Figures = dict(measure_rates(chosen, effort)) if chosen else {}
    if is_wanted(CHANGES):
        figures |= measure_changes(effort, QUICK_RULES if quick else CHANGED_RULES)
    if is_wanted(MEMORY):
        figures |= measure_memory(QUICK_RULES * 10 if quick else KEPT_RULES)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nwhole process: peak memory {peak:,.0f} MiB, {time.monotonic() - started:.0f} s\n")
    for line in (goal.line(figures) for goal in goals()):
        if line:
            print(line)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("workloads", nargs="*", help="names or shapes of names; all if none is given")
    arguments.add_argument("--rounds", type=int)
    arguments.add_argument("--core", type=int, default=0, help="the core to stay on")
    arguments.add_argument("--quick", action="store_true", help="few events, at most 1,000 rules")
    arguments.add_argument("--list", action="store_true", help="name the workloads")
    options = arguments.parse_args()
    if options.list:
        print(*(each.name for each in workloads()), CHANGES, MEMORY, sep="\n")
        sys.exit()
    os.sched_setaffinity(0, {options.core})
    effort = QUICK if options.quick else Effort()
    if options.rounds:
        effort = msgspec.structs.replace(effort, rounds=options.rounds)
    main(options.workloads, effort, quick=options.quick)
