"""Delivered: events a second, and how long from put to webhook."""

import statistics
import time
from collections.abc import Sequence

import msgspec

from benchmarks.baselines import bare_client
from benchmarks.goals import Figures
from benchmarks.load import Connection, open_loop, plain_request
from benchmarks.path_world import DELIVERED, detail, put_request
from benchmarks.sink import Sink

ENTRIES = 10
RATES = (200, 1_000, 3_000)


async def deliver(url: str, sink: Sink, rounds: int, events: int = 4_000) -> Figures:
    """Events accepted and delivered per second, against the outbound library alone."""
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(await bare_client(sink.url, detail().encode(), count=events))
        goal = sink.count + events
        request = put_request(url, ENTRIES, DELIVERED)
        connection = Connection(url)
        await connection.open()
        started = time.perf_counter()
        for _ in range(events // ENTRIES):
            await connection.send(request)
        await sink.reached(goal)
        ours.append(events / (time.perf_counter() - started))
        await connection.close()
    rate, base = statistics.median(ours), statistics.median(theirs)
    print(
        f"deliver {events} events of {ENTRIES} a request: {rate:.0f} accepted and delivered/s, "
        f"{rate / base:.3f} of the bare client's {base:.0f}"
    )
    return {"delivered-over-bare-client": rate / base}


async def latency(url: str, sink: Sink, seconds: float) -> Figures:
    """From the instant a put was due to its arrival, by schedule, against a direct POST by the same load."""
    figures: Figures = {}
    for rate in RATES:
        count = int(rate * seconds)
        posts = [plain_request(sink.url, detail(n=n).encode()) for n in range(count)]
        direct = _quantiles(await _latencies(sink, sink.url, posts, rate))
        puts = [put_request(url, 1, DELIVERED, n=n) for n in range(count)]
        ours = _quantiles(await _latencies(sink, url, puts, rate))
        print(
            f"put to webhook at {rate}/s: {_shown(ours)}; direct POST: {_shown(direct)}; ratios "
            f"{ours[0] / direct[0]:.1f} and {ours[1] / direct[1]:.1f}",
            flush=True,
        )
        figures[f"latency-{rate}-p50"] = ours[0] / direct[0]
        figures[f"latency-{rate}-p99"] = ours[1] / direct[1]
    return figures


def _shown(quantiles: tuple[float, float]) -> str:
    return f"p50 {1_000 * quantiles[0]:.2f} ms, p99 {1_000 * quantiles[1]:.2f} ms"


def _quantiles(waits: Sequence[float]) -> tuple[float, float]:
    return statistics.median(waits), statistics.quantiles(waits, n=100)[98]


async def _latencies(sink: Sink, url: str, requests: Sequence[bytes], rate: int) -> list[float]:
    sink.arrivals.clear()
    goal = sink.count + len(requests)
    due = await open_loop(url, requests.__getitem__, rate=rate, count=len(requests))
    await sink.reached(goal)
    arrived: dict[int, float] = {}
    for instant, body in sink.arrivals:
        event = msgspec.json.decode(body)
        arrived.setdefault(event.get("detail", event)["n"], instant)
    return [arrived[n] - instant for n, instant in enumerate(due)]
