"""Acknowledged: requests a second, and how long the slowest wait."""

import asyncio
import statistics
from collections.abc import Sequence

from benchmarks.baselines import fsyncs_per_second, moto, nginx
from benchmarks.goals import Figures
from benchmarks.path_world import client, put_request
from partnerbus.testing.bench import CUSTOMER, IGNORED, PARTNER, SOURCE
from partnerbus.testing.load import closed_loop, open_loop

ENTRIES = (1, 10, 20)
PUBLISHERS = (1, 16, 64, 256)
MAIN = 64
"""The publishers that the goals are about."""

REQUESTS = 64
"""So many different requests are sent over and over."""


async def ingest(url: str, rounds: int, seconds: float) -> Figures:
    """Requests answered a second, beside nginx and moto with the same bytes and the disk's own pace."""
    figures: Figures = {}
    async with nginx() as limit, moto() as emulator:
        await asyncio.to_thread(_offer, emulator)
        for entries in ENTRIES:
            requests = [put_request(url, entries, IGNORED, n=n) for n in range(REQUESTS)]
            for publishers in PUBLISHERS:
                urls = [each for each in (url, limit, emulator) if each is not None]
                rates = await _in_turn(urls, requests, publishers, rounds, seconds)
                _tell(entries, publishers, rates, url, limit, emulator)
                if publishers == MAIN:
                    figures |= _figures(entries, rates, url, limit, emulator)
    if (events := figures.get("durable-10")) is not None:
        pace = statistics.median([await asyncio.to_thread(fsyncs_per_second, seconds) for _ in range(rounds)])
        print(f"the disk, one fdatasync after the other: {pace:.0f}/s")
        figures["durable-10-over-fsync"] = events / pace
    return figures


def _offer(url: str) -> None:
    """The emulator must know the source."""
    client(url, PARTNER).create_partner_event_source(Name=SOURCE, Account=CUSTOMER)


async def _in_turn(
    urls: Sequence[str], requests: Sequence[bytes], publishers: int, rounds: int, seconds: float
) -> dict[str, float]:
    found: dict[str, list[float]] = {url: [] for url in urls}
    for _ in range(rounds):
        for url, rates in found.items():
            rates.append(await closed_loop(url, requests, connections=publishers, seconds=seconds))
    return {url: statistics.median(rates) for url, rates in found.items()}


def _tell(
    entries: int, publishers: int, rates: dict[str, float], url: str, limit: str | None, emulator: str
) -> None:
    ours = rates[url]
    over_nginx = f"{ours / rates[limit]:.3f} of nginx's {rates[limit]:.0f}, " if limit is not None else ""
    print(
        f"ingest, {entries} a request, {publishers} publishers: {ours:.0f} requests/s, "
        f"{ours * entries:.0f} events/s; {over_nginx}{ours / rates[emulator]:.1f} times moto's "
        f"{rates[emulator]:.0f}",
        flush=True,
    )


def _figures(entries: int, rates: dict[str, float], url: str, limit: str | None, emulator: str) -> Figures:
    figures = {
        f"put-{entries}-over-moto": rates[url] / rates[emulator],
        f"durable-{entries}": rates[url] * entries,
    }
    if limit is not None:
        figures[f"put-{entries}-over-nginx"] = rates[url] / rates[limit]
    return figures


async def acknowledgement(url: str, seconds: float) -> Figures:
    """How much longer than most the slowest wait, at half of what is possible, by schedule."""
    requests = [put_request(url, 1, IGNORED, n=n) for n in range(REQUESTS)]
    capacity = await closed_loop(url, requests, connections=MAIN, seconds=5)
    rate = capacity / 2
    answered: dict[int, float] = {}
    due = await open_loop(
        url,
        lambda n: requests[n % REQUESTS],
        rate=rate,
        count=int(rate * seconds),
        connections=MAIN,
        answered=answered,
    )
    waits = [answered[n] - instant for n, instant in enumerate(due)]
    p50, p99 = statistics.median(waits), statistics.quantiles(waits, n=100)[98]
    print(
        f"acknowledged at {rate:.0f} requests/s for {seconds:.0f} s: p50 {1_000 * p50:.2f} ms, "
        f"p99 {1_000 * p99:.2f} ms, longest {1_000 * max(waits):.0f} ms"
    )
    return {"ack-p99-over-p50": p99 / p50}
