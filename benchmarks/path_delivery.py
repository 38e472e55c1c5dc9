"""Delivered: events a second, and how long from put to webhook."""

import statistics

from benchmarks.baselines import bare_aiohttp, bare_outbound
from benchmarks.goals import Figures
from benchmarks.path_world import detail, put_request
from partnerbus.testing.bench import DELIVERED, ENTRIES, Latency
from partnerbus.testing.bench import deliver as deliver_once
from partnerbus.testing.bench import latency as latency_of
from partnerbus.testing.load import plain_request
from partnerbus.testing.sink import Sink

RATES = (200, 1_000, 3_000)


async def deliver(url: str, sink: Sink, rounds: int, events: int = 4_000) -> Figures:
    """Events accepted and delivered per second, against aiohttp and against our own client alone."""
    ours, aiohttp, outbound = [], [], []
    body = detail().encode()
    for _ in range(rounds):
        aiohttp.append(await bare_aiohttp(sink.url, body, count=events))
        outbound.append(await bare_outbound(sink.url, body, count=events))
        ours.append(await deliver_once(sink, url, put_request(url, ENTRIES, DELIVERED), events // ENTRIES))
    rate, base, own = map(statistics.median, (ours, aiohttp, outbound))
    print(
        f"deliver {events} events of {ENTRIES} a request: {rate:.0f} accepted and delivered/s, "
        f"{rate / base:.3f} of aiohttp's {base:.0f} alone, {rate / own:.3f} of our client's {own:.0f} alone"
    )
    return {"delivered-over-bare-client": rate / base}


async def latency(url: str, sink: Sink, seconds: float) -> Figures:
    """From the instant a put was due to its arrival, by schedule, against a direct POST by the same load."""
    figures: Figures = {}
    for rate in RATES:
        count = int(rate * seconds)
        posts = [plain_request(sink.url, detail(n=n).encode()) for n in range(count)]
        direct = await latency_of(sink, sink.url, posts, rate)
        puts = [put_request(url, 1, DELIVERED, n=n) for n in range(count)]
        ours = await latency_of(sink, url, puts, rate)
        print(
            f"put to webhook at {rate}/s: {_shown(ours)}; direct POST: {_shown(direct)}; ratios "
            f"{ours.p50 / direct.p50:.1f} and {ours.p99 / direct.p99:.1f}",
            flush=True,
        )
        figures[f"latency-{rate}-p50"] = ours.p50 / direct.p50
        figures[f"latency-{rate}-p99"] = ours.p99 / direct.p99
    return figures


def _shown(found: Latency) -> str:
    return f"p50 {found.p50:.2f} ms, p99 {found.p99:.2f} ms"
