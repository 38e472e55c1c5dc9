"""What it costs to change the rules of a large index while it is matched, and to keep them."""

import gc
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import msgspec
import orjson

from benchmarks.match_check import Index, build, check, matcher
from benchmarks.match_measure import Effort, seconds
from benchmarks.match_workload import (
    RULES_PER_TENANT,
    Workload,
    own_bounds,
    own_bounds_event,
    partner,
    partner_event,
)
from partnerbus.patterns import Pattern, parse_pattern

YARDSTICK_SECONDS = 3.5e-6
"""What orjson.loads of the event takes on the machine that the costs of a change are told for."""

UNUSUAL = (
    '{"detail":{"audit":{"reviewer":["nobody"]}}}',
    '{"detail":{"tenant":[{"prefix":"tnt_0"}],"order":{"lines":{"sku":[{"suffix":"7"}]}}}}',
    '{"detail":{"customer":{"note":[{"exists":false}],"segment":[{"wildcard":"re*ing"}]}}}',
    '{"detail":{"order":{"lines":{"price":[{"numeric":[">",10,"<",20]}],"quantity":[8]}}}}',
    '{"detail-type":[{"anything-but":"Order placed"}],"detail":{"region":[{"prefix":"us"}]}}',
    '{"detail":{"region":[{"equals-ignore-case":"EU-WEST"}],"order":{"id":[{"suffix":"0"}]}}}',
    '{"$or":[{"region":["us-east-2"]},{"detail":{"trace":[{"prefix":"trc_ff"}]}}]}',
    '{"detail":{"order":{"id":[{"anything-but":{"suffix":["0","1"]}}],"gift":[true,null]}}}',
    '{"detail-type":["Order archived"],"detail":{"order":{"delivery":{"days":[{"numeric":["<=",2]}]}}}}',
)
"""Rules unlike all others on the bus: new paths, new operators, any source."""

FEWEST_CHANGES = len(UNUSUAL)


OWN_BOUNDS_RULES = 1_000
"""About as many as are tested together."""


class ChangeCost(msgspec.Struct, frozen=True):
    """Microseconds per rule scaled to the yardstick's machine, and the longest pauses as they were."""

    parse_us: float
    add_us: float
    remove_us: float
    stall_ms: float
    match_ms: float
    plain_match_us: float


def change_cost(rules: int, effort: Effort) -> ChangeCost:
    """Add and remove rules of new tenants one at a time, with an event of that tenant matched after each."""
    return _change_cost(
        partner(rules), lambda number: partner_event(number, number // RULES_PER_TENANT), effort
    )


def own_bounds_cost(effort: Effort) -> ChangeCost:
    """The same for rules that only their numeric bounds tell apart, so that all are tested by every event."""
    return _change_cost(own_bounds(OWN_BOUNDS_RULES), own_bounds_event, effort)


def _change_cost(workload: Workload, event_of: Callable[[int], bytes], effort: Effort) -> ChangeCost:
    """What it costs to add and remove rules beyond those of `workload`, each with its event matched after it.

    A stall is a change and the match after it, unusual rules included; the longest of all rounds counts. What
    was there before is hidden from the garbage collector, which runs.
    """
    index = build(workload)
    check(workload, matcher(index), effort.checked)
    gc.collect()
    gc.freeze()
    trial = _Trial(index, workload.rule, event_of)
    count = _changes_a_round(seconds(matcher(index), [workload.event(0)]), effort)
    rounds = [trial.round(workload.rules + number * count, count) for number in range(effort.rounds)]
    gc.unfreeze()
    check(workload, matcher(index), effort.checked)
    parse, add, remove, plain = (1e6 * statistics.median(each) for each in zip(*rounds, strict=True))
    return ChangeCost(parse, add, remove, 1e3 * trial.longest_stall, 1e3 * trial.longest_match, plain)


def _changes_a_round(match_seconds: float, effort: Effort) -> int:
    """As many as the time allows, a match being after each."""
    return max(FEWEST_CHANGES, min(effort.changes, int(effort.seconds / match_seconds)))


class _Trial:
    """Changes of one index, timed one by one."""

    def __init__(self, index: Index, rule_of: Callable[[int], str], event_of: Callable[[int], bytes]) -> None:
        self._index = index
        self._rule_of = rule_of
        self._event_of = event_of
        self._match = matcher(index)
        self.longest_stall = 0.0
        self.longest_match = 0.0

    def round(self, first: int, count: int) -> tuple[float, float, float, float]:
        """Seconds per rule to parse, add, remove, and per event to match before any change; scaled."""
        texts = [self._rule_of(first + n) for n in range(count)]
        events = [self._event_of(first + n) for n in range(count)]
        scale = YARDSTICK_SECONDS / (seconds(orjson.loads, events * 10) / count / 10)
        plain = seconds(self._match, events[:10]) / len(events[:10])
        started = time.thread_time()
        patterns = [parse_pattern(text) for text in texts]
        parsed = (time.thread_time() - started) / count
        added, removed = self._add_and_remove(patterns, events)
        self._add_and_remove([parse_pattern(text) for text in UNUSUAL], events)
        return parsed * scale, added * scale, removed * scale, plain * scale

    def _add_and_remove(self, patterns: Sequence[Pattern], events: Sequence[bytes]) -> tuple[float, float]:
        added = self._each(lambda n: self._index.add(f"new-{n}", patterns[n]), events[: len(patterns)])
        removed = self._each(lambda n: self._index.remove(f"new-{n}"), events[: len(patterns)])
        return added, removed

    def _each(self, change: Callable[[int], None], events: Sequence[bytes]) -> float:
        """Seconds per change."""
        spent = 0.0
        for number, event in enumerate(events, 1):
            started = time.thread_time()
            change(number - 1)
            changed = time.thread_time()
            self._match(event)
            matched = time.thread_time()
            spent += changed - started
            self.longest_stall = max(self.longest_stall, matched - started)
            self.longest_match = max(self.longest_match, matched - changed)
        return spent / len(events)


def bytes_per_rule(rules: int) -> float:
    """Memory that the index takes per partner rule, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_bytes_per_rule, rules).result()


def _bytes_per_rule(rules: int) -> float:
    first = build(partner(1_000))
    before = resident_bytes()
    index = build(partner(rules))
    matcher(index)(partner(rules).event(0))
    gc.collect()
    assert len(first) < len(index)
    return (resident_bytes() - before) / rules


def resident_bytes() -> int:
    """Memory of this process that is in use now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
