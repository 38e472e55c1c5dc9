"""How fast an index matches, timed in turn with `orjson.loads` of the same bytes.

Times are processor time of this thread, so that neighbours on the core cost patience and not accuracy.
"""

import statistics
import time
from collections.abc import Callable, Sequence

import msgspec
import orjson

from benchmarks.match_check import Match
from benchmarks.match_workload import Workload

FEWEST_EVENTS = 2
TURN = 100
"""Events that one side takes before it is the other's turn."""


class Effort(msgspec.Struct, frozen=True):
    """How much to measure; a round has at most `events` events and takes about `seconds` at most."""

    rounds: int = 7
    events: int = 4_000
    seconds: float = 2.0
    checked: int = 40
    changes: int = 200
    """How many rules are added and removed in a round at most."""


class Rate(msgspec.Struct, frozen=True):
    """One workload's figures; `ratio` is the median of the rounds' ratios."""

    events_per_second: float
    yardstick_per_second: float
    ratio: float
    lowest: float
    highest: float
    hits: float
    event_bytes: float


def rate(workload: Workload, match: Match, effort: Effort) -> Rate:
    """Events per second, round by round, each on events that were not seen before."""
    count = _events_a_round(workload, match, effort)
    ours, theirs = [], []
    for number in range(effort.rounds):
        events = [workload.event((number + 1) * effort.events + n) for n in range(count)]
        mine, yardstick = _in_turn(match, events)
        ours.append(count / mine)
        theirs.append(count / yardstick)
    ratios = [mine / yardstick for mine, yardstick in zip(ours, theirs, strict=True)]
    return Rate(
        events_per_second=statistics.median(ours),
        yardstick_per_second=statistics.median(theirs),
        ratio=statistics.median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
        hits=statistics.mean(len(match(event)) for event in events[:1_000]),
        event_bytes=statistics.mean(map(len, events)),
    )


def _events_a_round(workload: Workload, match: Match, effort: Effort) -> int:
    """As many as the time allows; also warms the index up."""
    done, spent = 0, 0.0
    while spent < effort.seconds / 4 and done < effort.events:
        spent += seconds(match, [workload.event(done)])
        done += 1
    return max(FEWEST_EVENTS, min(effort.events, int(effort.seconds / spent * done)))


def _in_turn(match: Match, events: list[bytes]) -> tuple[float, float]:
    """Seconds of the index and of the yardstick, some events in turn; each goes first half the time.

    An index so slow that its rounds are shorter than one turn leaves nothing of the yardstick in the
    processor's caches, so then the yardstick takes the same events several times.
    """
    again = max(1, TURN // len(events))
    mine = yardstick = 0.0
    for number, start in enumerate(range(0, len(events), TURN)):
        some = events[start : start + TURN]
        if number % 2:
            mine += seconds(match, some)
        yardstick += seconds(orjson.loads, some * again) / again
        if not number % 2:
            mine += seconds(match, some)
    return mine, yardstick


def seconds(act: Callable[[bytes], object], events: Sequence[bytes]) -> float:
    """Processor time of one call an event."""
    started = time.thread_time()
    for event in events:
        act(event)
    return time.thread_time() - started
