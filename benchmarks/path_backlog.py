"""A backlog owed to a target that is down and comes back: how fast it drains, and what others notice.

Full speed is that of a small backlog on a server of its own. Live events go to another target: by schedule
for latencies, and as fast as one publisher and the target go. They are put to a server that owes nothing, to
one with the backlog while its target is down, and while it drains.
"""

import asyncio
import time
from functools import partial

import msgspec

from benchmarks.baselines import free_port
from benchmarks.goals import Figures
from benchmarks.path_fill import owed_deliveries
from benchmarks.path_world import Fill, cpu_seconds, put_request, running_server
from partnerbus.testing.bench import DELIVERED, ENTRIES, Latency
from partnerbus.testing.bench import deliver as deliver_once
from partnerbus.testing.bench import latency as latency_of
from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.sink import Sink

LIVE_RATE = 200
LIVE_EVENTS = 2_000
"""So many live events are put as fast as it goes."""

SMALL = 20_000
SMALL_SECONDS = 2
"""So many owed deliveries last for longer than that."""

WARM = 200
"""After so many arrivals the target is tried with as many attempts at once as it ever is."""

COMES_BACK_SECONDS = 90
"""A circuit breaker holds a target for up to a minute."""

NO_RATE = 1_000_000


class Live(msgspec.Struct, frozen=True):
    """How live events fared, and how many deliveries of the backlog arrived a second by the way."""

    latency: Latency
    delivered_per_second: float
    drained_per_second: float

    def line(self) -> str:
        return (
            f"p50 {self.latency.p50:.2f} ms, p99 {self.latency.p99:.2f} ms at {LIVE_RATE}/s, "
            f"{self.delivered_per_second:.0f} delivered/s at full load; {self.drained_per_second:.0f} "
            "drained/s by the way"
        )


async def backlog(sink: Sink, deliveries: int, seconds: float) -> Figures:
    """The drain of so many deliveries over a small one's, and live events over those without a backlog."""
    small = min(SMALL, deliveries)
    full, full_cost = await _full_speed(sink, small, min(seconds, SMALL_SECONDS))
    async with running_server(sink.url) as idle, Sink() as nothing:
        alone = await _live(idle, sink, nothing, seconds)
        port = free_port()
        async with running_server(sink.url, fill=_fill(port, deliveries)) as server:
            down = await _live(server, sink, nothing, seconds)
            async with Sink(port=port) as back:
                waited = await _comes_back(back)
                drained, cost = await _drained(server, back, seconds)
                beside = await _live(server, sink, back, seconds)
    print(
        f"{deliveries:,} owed deliveries drain at {drained:.0f}/s, {drained / full:.2f} of the {full:.0f}/s "
        f"of {small:,}, at {cost / full_cost:.2f} of the processor time, from {waited:.0f} s after their "
        "target came back\n"
        f"live events with nothing owed: {alone.line()}\n"
        f"while the target is down: {down.line()}\n"
        f"while the backlog drains: {beside.line()}",
        flush=True,
    )
    figures = {"backlog-drain-over-small": drained / full}
    return figures | _slower("down", down, alone) | _slower("drains", beside, alone)


def _slower(when: str, live: Live, alone: Live) -> Figures:
    return {
        f"backlog-{when}-live-p50": live.latency.p50 / alone.latency.p50,
        f"backlog-{when}-live-throughput": alone.delivered_per_second / live.delivered_per_second,
    }


async def _full_speed(sink: Sink, deliveries: int, seconds: float) -> tuple[float, float]:
    """How fast a small backlog drains, and at what cost."""
    port = free_port()
    fill = _fill(port, deliveries)
    async with running_server(sink.url, fill=fill) as server, Sink(port=port) as back:
        await _comes_back(back)
        return await _drained(server, back, seconds)


def _fill(port: int, deliveries: int) -> Fill:
    return partial(owed_deliveries, deliveries=deliveries, url=f"http://127.0.0.1:{port}/", rate=NO_RATE)


async def _comes_back(back: Sink) -> float:
    """Wait until the target is tried with all that may be in flight; give how long it took."""
    began = time.perf_counter()
    await back.reached(WARM, COMES_BACK_SECONDS)
    return time.perf_counter() - began


async def _drained(server: ServerProcess, back: Sink, seconds: float) -> tuple[float, float]:
    """Deliveries a second, and the server's processor time for each."""
    before, used, began = back.count, cpu_seconds(server.pid), time.perf_counter()
    await asyncio.sleep(seconds)
    count = back.count - before
    return count / (time.perf_counter() - began), (cpu_seconds(server.pid) - used) / max(count, 1)


async def _live(server: ServerProcess, sink: Sink, back: Sink, seconds: float) -> Live:
    before, began = back.count, time.perf_counter()
    puts = [put_request(server.url, 1, DELIVERED, n=n) for n in range(int(LIVE_RATE * seconds))]
    latency = await latency_of(sink, server.url, puts, LIVE_RATE)
    rate = await deliver_once(
        sink, server.url, put_request(server.url, ENTRIES, DELIVERED), LIVE_EVENTS // ENTRIES
    )
    return Live(latency, rate, (back.count - before) / (time.perf_counter() - began))
