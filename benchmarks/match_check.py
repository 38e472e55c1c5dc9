"""An index of a workload's rules, held against the oracle before anybody asks how fast it is."""

from collections.abc import Callable, Sequence

from benchmarks.match_workload import Workload, seeded
from partnerbus.patterns import PatternIndex, event_fields, parse_pattern
from partnerbus.testing.pattern_oracle import oracle_matches

Index = PatternIndex[str]
Match = Callable[[bytes], Sequence[str]]


class WrongAnswer(Exception):
    """The index does not say what the oracle says: its speed is of no interest."""


def rule_name(number: int) -> str:
    return f"rule-{number}"


def build(workload: Workload) -> Index:
    """An index of all rules of the workload."""
    index = Index()
    for number in range(workload.rules):
        index.add(rule_name(number), parse_pattern(workload.rule(number)))
    return index


def matcher(index: Index) -> Match:
    """From an event's bytes to rule names, the shortest way that the index has."""
    match_json: Match | None = getattr(index, "match_json", None)
    return match_json or (lambda event: index.match(event_fields(event)))


def check(workload: Workload, match: Match, sample: int) -> None:
    """Hold the index against the oracle: the first events, which rules are made of, and some later ones."""
    chance = seeded("check", workload.name)
    early = min(10, sample // 2)
    for number in (*range(early), *(chance.randrange(1 << 30) for _ in range(sample - early))):
        event = workload.event(number)
        found = sorted(match(event))
        some = {chance.randrange(workload.rules) for _ in range(10)}
        candidates = {*workload.near(number), *some, *(int(name.rpartition("-")[2]) for name in found)}
        wanted = sorted(rule_name(n) for n in candidates if oracle_matches(workload.rule(n), event))
        if found != wanted:
            raise WrongAnswer(f"{workload.name}, event {number}: {found}, by the oracle {wanted}")
