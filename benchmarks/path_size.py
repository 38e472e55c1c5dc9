"""What size costs: many rules, stored events, owed deliveries, beside a server with none of them."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from benchmarks.goals import Figures
from benchmarks.path_fill import many_rules, owed_deliveries, stored_events
from benchmarks.path_world import Fill, cpu_seconds, peak_bytes, put_request, resident_bytes, running_server
from partnerbus.testing.bench import IGNORED
from partnerbus.testing.load import closed_loop
from partnerbus.testing.server_process import ServerProcess

PUBLISHERS = 64
ENTRIES = 10
REST_SECONDS = 10
"""How long a server with owed deliveries tries its target before its memory is read."""


class Sizes(msgspec.Struct, frozen=True):
    """How large the large folders are."""

    buses: int = 10_000
    rules: int = 100_000
    stored: int = 10_000_000
    owed: int = 1_000_000


class Beside(msgspec.Struct, frozen=True):
    """A server over one that has nothing: events a second, and processor time an event."""

    rate: float
    cost: float

    def line(self) -> str:
        return f"events a second {self.rate:.2f} of those without, processor time an event {self.cost:.2f}"


async def rules(sink: str, sizes: Sizes, rounds: int, seconds: float) -> Figures:
    """Events a second with so many buses and rules over those with one of each."""
    fill = partial(many_rules, buses=sizes.buses, rules=sizes.rules)
    name = f"{sizes.buses:,} buses and {sizes.rules:,} rules"
    return {"many-rules-over-one": await _compare(name, sink, fill, rounds, seconds)}


async def stored(sink: str, sizes: Sizes, rounds: int, seconds: float) -> Figures:
    """Events a second with so many events stored over those on an empty store."""
    fill = partial(stored_events, events=sizes.stored)
    name = f"{sizes.stored:,} stored events"
    return {"stored-over-empty": await _compare(name, sink, fill, rounds, seconds)}


async def owed(sink: str, sizes: Sizes, rounds: int, seconds: float) -> Figures:
    """Memory with so many deliveries owed to a target that is down, over an idle one's; events a second."""
    fill = partial(owed_deliveries, deliveries=sizes.owed)
    async with running_server(sink) as idle, running_server(sink, fill=fill) as server:
        await asyncio.sleep(REST_SECONDS)
        more = (resident_bytes(server.pid) - resident_bytes(idle.pid)) / 2**20
        beside = await _events(idle, server, rounds, seconds)
        peak = peak_bytes(server.pid) / 2**20
        started = await _start_seconds(server)
    print(
        f"{sizes.owed:,} owed deliveries: {more:+.0f} MiB over idle, at most {peak:.0f}; {beside.line()}; "
        f"started again in {started:.1f} s"
    )
    return {"owed-memory-mib": more, "owed-over-empty": beside.rate}


async def _compare(name: str, sink: str, fill: Fill, rounds: int, seconds: float) -> float:
    async with running_server(sink) as small, running_server(sink, fill=_told(name, fill)) as large:
        beside = await _events(small, large, rounds, seconds)
        memory = [resident_bytes(server.pid) / 2**20 for server in (small, large)]
        peak = peak_bytes(large.pid) / 2**20
        started = [await _start_seconds(server) for server in (small, large)]
    print(
        f"{name}: {beside.line()}; memory {memory[1]:.0f} MiB, at most {peak:.0f}, {memory[0]:.0f} without; "
        f"started in {started[1]:.1f} s, {started[0]:.1f} without",
        flush=True,
    )
    return beside.rate


def _told(name: str, fill: Fill) -> Fill:
    """`fill`, and a line of how long it took and what it takes on the disk."""

    async def told(data: Path) -> None:
        began = time.perf_counter()
        await fill(data)
        size = await asyncio.to_thread(_folder_bytes, data) / 2**20
        print(f"{name}: filled in {time.perf_counter() - began:.0f} s, {size:,.0f} MiB", flush=True)

    return told


def _folder_bytes(data: Path) -> int:
    return sum(file.stat().st_size for file in data.iterdir())


async def _events(base: ServerProcess, server: ServerProcess, rounds: int, seconds: float) -> Beside:
    """The events a second of one over those of the other, in turn, and what an event costs."""
    found: Sequence[tuple[ServerProcess, list[float], list[float]]] = [(base, [], []), (server, [], [])]
    for _ in range(rounds):
        for each, rates, costs in found:
            requests = [put_request(each.url, ENTRIES, IGNORED, n=n) for n in range(PUBLISHERS)]
            used, began = cpu_seconds(each.pid), time.perf_counter()
            rates.append(await closed_loop(each.url, requests, connections=PUBLISHERS, seconds=seconds))
            events = rates[-1] * ENTRIES * (time.perf_counter() - began)
            costs.append(1e6 * (cpu_seconds(each.pid) - used) / events)
    (theirs, their_cost), (ours, our_cost) = (
        (statistics.median(rates), statistics.median(costs)) for _, rates, costs in found
    )
    return Beside(rate=ours / theirs, cost=our_cost / their_cost)


async def _start_seconds(server: ServerProcess) -> float:
    """How long it takes to be ready again after it was stopped."""
    await server.stop()
    began = time.perf_counter()
    await server.start()
    return time.perf_counter() - began
