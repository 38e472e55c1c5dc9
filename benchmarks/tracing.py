"""What does tracing cost? Events accepted and delivered per second, with and without it.

    python -m benchmarks.tracing [--rounds 5] [--events 4000] [--quick]

Three servers on one core, one at each level of `trace`, with the load and the webhook on the other. They are
measured in turn, round by round, in an order that changes; figures are medians over the rounds. Beside the
rate stands what an event costs of the server's processor, which other work on the machine disturbs less.

Ends with one line: `goal NAME measured target met|short`. Run it on an idle machine.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack

import msgspec

from benchmarks.goals import Goal, print_goals
from benchmarks.path_world import cpu_seconds, put_request, running_server
from partnerbus.model.exchange import TraceLevel
from partnerbus.testing.bench import DELIVERED, ENTRIES, deliver
from partnerbus.testing.load import now_text
from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.sink import Sink

GOAL = Goal("tracing-full-over-off", 0.85)
SETTLING_EVENTS = 500


class Measured(msgspec.Struct, frozen=True):
    """One round at one level."""

    events_per_second: float
    cpu_microseconds: float


async def main(rounds: int, events: int) -> None:
    """Measure, and print."""
    os.sched_setaffinity(0, {1} if (os.cpu_count() or 1) > 1 else {0})
    print(f"{now_text()}, Python {sys.version.split()[0]}, {os.cpu_count()} cores", flush=True)
    async with Sink() as sink, AsyncExitStack() as stack:
        servers = {
            level: await stack.enter_async_context(running_server(sink.url, "--trace", level))
            for level in TraceLevel
        }
        found: dict[TraceLevel, list[Measured]] = {level: [] for level in servers}
        for server in servers.values():
            await _measure(server, sink, SETTLING_EVENTS)
        for _ in range(rounds):
            for level in random.sample(list(servers), len(servers)):
                found[level].append(await _measure(servers[level], sink, events))
    _print(found)


async def _measure(server: ServerProcess, sink: Sink, events: int) -> Measured:
    request = put_request(server.url, ENTRIES, DELIVERED)
    before = cpu_seconds(server.pid)
    rate = await deliver(sink, server.url, request, events // ENTRIES)
    return Measured(rate, (cpu_seconds(server.pid) - before) / events * 1e6)


def _print(found: Mapping[TraceLevel, list[Measured]]) -> None:
    rates, costs = {}, {}
    for level, measured in found.items():
        rates[level] = statistics.median(each.events_per_second for each in measured)
        costs[level] = statistics.median(each.cpu_microseconds for each in measured)
    off = TraceLevel.OFF
    for level in found:
        print(
            f"trace {level}: {rates[level]:.0f} accepted and delivered/s, {rates[level] / rates[off]:.3f} of "
            f"off; {costs[level]:.0f} us of processor an event, {costs[level] / costs[off]:.3f} of off"
        )
    print_goals([GOAL], {GOAL.name: rates[TraceLevel.FULL] / rates[off]})


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--events", type=int, default=4_000)
    arguments.add_argument("--quick", action="store_true", help="small and short: only to see that it runs")
    chosen = arguments.parse_args()
    asyncio.run(main(1, 200) if chosen.quick else main(chosen.rounds, chosen.events))
