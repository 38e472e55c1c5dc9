"""The store on NATS JetStream in numbers: acknowledged, delivered, and what a kill costs.

    python -m benchmarks.jetstream [--rounds 3] [--seconds 3] [--quick] [ingest] [latency] [kills]

Real NATS servers with `sync_interval: always`, one and then three, and on each of both three stores: of one,
two and three nodes. What is compared is measured in turn within one run; figures are medians over the rounds,
those after a kill the worst. Nothing is bound to a core. Ends with one line a goal: `goal NAME measured
target met|short`. That three nodes acknowledge more than one needs a core for each process that takes part.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from benchmarks.goals import Figures, Goal, print_goals
from benchmarks.nats_ingest import ingest
from benchmarks.nats_kills import kills
from benchmarks.nats_latency import latency
from benchmarks.nats_world import Cluster, Contender, cluster_of, embedded, nodes
from partnerbus.testing.load import now_text
from partnerbus.testing.sink import Sink

GOALS = (
    Goal("put-10-over-raw-R1", 1.0),
    Goal("put-10-over-raw-R3", 1.0),
    Goal("three-nodes-over-one-20-R1", 1.5),
    Goal("three-nodes-over-one-20-R3", 1.5),
    Goal("webhook-over-pull-p50-R1", 4, at_most=True),
    Goal("webhook-over-pull-p50-R3", 4, at_most=True),
    Goal("seconds-to-publish-leader-killed", 10, at_most=True),
)
PARTS = ("ingest", "latency", "kills")
KILLS = 2
"""How often at most a node and a server are killed: one takes half a minute."""

STORES = {"one": 1, "two": 2, "three": 3}
"""How many nodes each store has."""


class Effort(msgspec.Struct, frozen=True):
    """How long it takes."""

    rounds: int
    seconds: float


QUICK = Effort(1, 0.5)


@asynccontextmanager
async def _contenders(cluster: Cluster, sink: Sink) -> AsyncIterator[Sequence[Contender]]:
    """The embedded store, then one, two and three nodes."""
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(embedded(cluster.folder, sink.url))]
        for store, count in STORES.items():
            found.append(await stack.enter_async_context(nodes(cluster, store, count, sink.url)))
        yield found


async def _measure(servers: int, parts: Sequence[str], effort: Effort) -> Figures:
    figures: Figures = {}
    async with (
        Sink(keep=True) as sink,
        cluster_of(servers) as cluster,
        _contenders(cluster, sink) as contenders,
    ):
        if "ingest" in parts:
            figures |= await ingest(cluster, contenders, effort.rounds, effort.seconds)
        if "latency" in parts:
            figures |= await latency(cluster, contenders, sink, effort.rounds, effort.seconds)
        if "kills" in parts and servers > 1:
            figures |= await kills(cluster, contenders[-1], sink, min(effort.rounds, KILLS))
    return figures


async def main(parts: Sequence[str], effort: Effort) -> None:
    """Run the parts."""
    print(f"{now_text()}, Python {sys.version.split()[0]}, {os.cpu_count()} cores", flush=True)
    figures: Figures = {}
    started = time.perf_counter()
    for servers in (1, 3):
        figures |= await _measure(servers, parts, effort)
    print(f"took {time.perf_counter() - started:.0f} s")
    print_goals(GOALS, figures)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all of them")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=float, default=3)
    arguments.add_argument("--quick", action="store_true", help="short: only to see that it runs")
    chosen = arguments.parse_args()
    if unknown := [part for part in chosen.parts if part not in PARTS]:
        arguments.error(f"there is no part {unknown[0]}")
    full = Effort(chosen.rounds, chosen.seconds)
    asyncio.run(main(chosen.parts or PARTS, QUICK if chosen.quick else full))
