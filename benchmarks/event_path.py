"""The event's way in numbers: acknowledged, delivered, how long in between, and what size costs.

    python -m benchmarks.event_path [--rounds 5] [--seconds 3] [--stored N] [--quick] [ingest] [ack] …

A real server process on one core, the load and the webhook on the other. Every figure stands beside its
baseline, measured in turn in the same run; figures are medians over the rounds. Ends with one line a goal:
`goal NAME measured target met|short`.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from benchmarks import path_size
from benchmarks.goals import Figures, Goal, print_goals
from benchmarks.path_backlog import backlog
from benchmarks.path_delivery import deliver, latency
from benchmarks.path_ingest import acknowledgement, ingest
from benchmarks.path_size import Sizes
from benchmarks.path_world import running_server
from partnerbus.testing.load import now_text
from partnerbus.testing.sink import Sink

GOALS = (
    Goal("put-1-over-nginx", 0.10),
    Goal("put-1-over-moto", 25),
    Goal("put-10-over-moto", 12),
    Goal("durable-10-over-fsync", 10),
    Goal("ack-p99-over-p50", 6, at_most=True),
    Goal("latency-200-p50", 4, at_most=True),
    Goal("latency-200-p99", 6, at_most=True),
    Goal("delivered-over-bare-client", 0.35),
    Goal("many-rules-over-one", 0.8),
    Goal("stored-over-empty", 0.9),
    Goal("owed-memory-mib", 200, at_most=True),
    Goal("backlog-drain-over-small", 0.9),
    Goal("backlog-down-live-p50", 1.3, at_most=True),
    Goal("backlog-down-live-throughput", 1.3, at_most=True),
    Goal("backlog-drains-live-p50", 1.3, at_most=True),
    Goal("backlog-drains-live-throughput", 1.3, at_most=True),
)


class Effort(msgspec.Struct, frozen=True):
    """How long it takes. `ack_seconds` is the length of the acknowledgement's run."""

    rounds: int
    seconds: float
    ack_seconds: float
    sizes: Sizes


QUICK = Effort(1, 0.3, 3, Sizes(buses=20, rules=200, stored=5_000, owed=2_000))

Part = Callable[[Sink, Effort], Awaitable[Figures]]


async def _ingest(sink: Sink, effort: Effort) -> Figures:
    async with running_server(sink.url) as server:
        return await ingest(server.url, effort.rounds, effort.seconds)


async def _ack(sink: Sink, effort: Effort) -> Figures:
    async with running_server(sink.url) as server:
        return await acknowledgement(server.url, effort.ack_seconds)


async def _deliver(sink: Sink, effort: Effort) -> Figures:
    async with running_server(sink.url) as server:
        return await deliver(server.url, sink, effort.rounds)


async def _latency(sink: Sink, effort: Effort) -> Figures:
    async with running_server(sink.url) as server:
        return await latency(server.url, sink, effort.seconds * 5)


async def _rules(sink: Sink, effort: Effort) -> Figures:
    return await path_size.rules(sink.url, effort.sizes, effort.rounds, effort.seconds)


async def _stored(sink: Sink, effort: Effort) -> Figures:
    return await path_size.stored(sink.url, effort.sizes, effort.rounds, effort.seconds)


async def _owed(sink: Sink, effort: Effort) -> Figures:
    return await path_size.owed(sink.url, effort.sizes, effort.rounds, effort.seconds)


async def _backlog(sink: Sink, effort: Effort) -> Figures:
    return await backlog(sink, effort.sizes.owed, effort.seconds * 3)


PARTS: dict[str, Part] = {
    "ingest": _ingest,
    "ack": _ack,
    "deliver": _deliver,
    "latency": _latency,
    "rules": _rules,
    "stored": _stored,
    "owed": _owed,
    "backlog": _backlog,
}


async def main(parts: Sequence[str], effort: Effort) -> None:
    """Run the parts."""
    os.sched_setaffinity(0, {1} if (os.cpu_count() or 1) > 1 else {0})
    print(f"{now_text()}, Python {sys.version.split()[0]}, {os.cpu_count()} cores", flush=True)
    figures: Figures = {}
    async with Sink(keep=True) as sink:
        for part in parts:
            figures |= await PARTS[part](sink, effort)
    print_goals(GOALS, figures)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all of them")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=3)
    arguments.add_argument("--ack-seconds", type=float, default=300)
    arguments.add_argument(
        "--stored", type=int, default=Sizes().stored, help="how many events the large folder of `stored` has"
    )
    arguments.add_argument("--quick", action="store_true", help="small and short: only to see that it runs")
    chosen = arguments.parse_args()
    if unknown := [part for part in chosen.parts if part not in PARTS]:
        arguments.error(f"there is no part {unknown[0]}")
    full = Effort(chosen.rounds, chosen.seconds, chosen.ack_seconds, Sizes(stored=chosen.stored))
    asyncio.run(main(chosen.parts or [*PARTS], QUICK if chosen.quick else full))
