"""From put to webhook on NATS, beside a bare publish-to-pull of the same bytes and the embedded store."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec

from benchmarks.goals import Figures
from benchmarks.nats_world import Cluster, Contender
from benchmarks.path_world import detail, put_request
from partnerbus.testing.bench import DELIVERED, SOURCE, Latency
from partnerbus.testing.bench import latency as latency_of
from partnerbus.testing.load import uncollected
from partnerbus.testing.sink import Sink

RATE = 200
BARE = "bare"
PATIENCE_SECONDS = 60

Way = Callable[[float], Awaitable[Latency]]


async def latency(
    cluster: Cluster, contenders: Sequence[Contender], sink: Sink, rounds: int, seconds: float
) -> Figures:
    """All in turn, several rounds, by schedule; the last contenders are one, two and three nodes."""
    ways: dict[str, Way] = {BARE: partial(_publish_to_pull, cluster)}
    ways |= {each.name: partial(_put_to_webhook, each, sink) for each in contenders}
    found: dict[str, list[Latency]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, measure in ways.items():
            found[name].append(await measure(seconds))
    medians = {name: _median(several) for name, several in found.items()}
    bare = medians[BARE]
    print(f"{cluster.name}, publish to pull at {RATE}/s: {_shown(bare)}")
    for each in contenders:
        ours = medians[each.name]
        print(
            f"{cluster.name}, put to webhook at {RATE}/s, {each.name}: {_shown(ours)}; ratios "
            f"{ours.p50 / bare.p50:.1f} and {ours.p99 / bare.p99:.1f}",
            flush=True,
        )
    one = medians[contenders[-3].name]
    return {f"webhook-over-pull-p50-{cluster.name}": one.p50 / bare.p50}


def _median(several: Sequence[Latency]) -> Latency:
    return Latency(
        p50=statistics.median(each.p50 for each in several),
        p99=statistics.median(each.p99 for each in several),
    )


def _shown(found: Latency) -> str:
    return f"p50 {found.p50:.2f} ms, p99 {found.p99:.2f} ms"


async def _put_to_webhook(to: Contender, sink: Sink, seconds: float) -> Latency:
    """By one of its nodes, which need not be the one that routes or delivers."""
    url = to.nodes[0].url
    puts = [put_request(url, 1, DELIVERED, n=n) for n in range(int(RATE * seconds))]
    found = await latency_of(sink, url, puts, RATE)
    await to.rest()
    return found


async def _publish_to_pull(cluster: Cluster, seconds: float) -> Latency:
    """From one connection to a pull consumer of another, as the library does it.

    The publisher waits for no acknowledgement.
    """
    count = int(RATE * seconds)
    entries = [{"Source": SOURCE, "DetailType": DELIVERED, "Detail": detail(n=n)} for n in range(count)]
    payloads = [msgspec.json.encode(entry) for entry in entries]
    publisher, puller = await cluster.connect(), await cluster.connect()
    jetstream = publisher.jetstream()
    await jetstream.add_stream(name=BARE, subjects=[BARE], num_replicas=len(cluster.servers))
    subscription = await puller.jetstream().pull_subscribe(BARE, durable=BARE)
    arrived: list[float] = []

    async def pull() -> None:
        while len(arrived) < count:
            for message in await subscription.fetch(1, timeout=PATIENCE_SECONDS):
                arrived.append(time.perf_counter())
                await message.ack()

    with uncollected():
        pulling = asyncio.create_task(pull())
        started = time.perf_counter() + 0.1
        due = [started + n / RATE for n in range(count)]
        for instant, payload in zip(due, payloads, strict=True):
            await asyncio.sleep(max(0.0, instant - time.perf_counter()))
            await publisher.publish(BARE, payload)
        await pulling
    await jetstream.delete_stream(BARE)
    await publisher.close()
    await puller.close()
    waits = [1_000 * (there - instant) for instant, there in zip(due, arrived, strict=True)]
    return Latency(p50=statistics.median(waits), p99=statistics.quantiles(waits, n=100)[98])
