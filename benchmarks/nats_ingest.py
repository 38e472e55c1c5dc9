"""Acknowledged on NATS: events a second through one, two and three nodes, beside what does less."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from benchmarks.goals import Figures
from benchmarks.nats_world import Cluster, Contender
from benchmarks.path_world import detail, put_request
from partnerbus.store.jetstream.publisher import WINDOW
from partnerbus.testing.bench import IGNORED, SOURCE
from partnerbus.testing.load import closed_loop

ENTRIES = (10, 20)
PUBLISHERS = 64
REQUESTS = 64
MICROSECONDS = 1_000_000

RAW = "raw"
RAW_BYTES = 256 * 1024 * 1024
"""How much of what was published raw is kept."""

SAME, WIDE = f"raw, {WINDOW} unacknowledged", "raw, 256 unacknowledged"


class Measured(msgspec.Struct, frozen=True):
    """Events a second, and the microseconds of a core that each process, and event loop, took for one."""

    rate: float
    processes: Mapping[str, float] = {}
    loops: Mapping[str, float] = {}

    @property
    def bounds(self) -> tuple[float, float]:
        """Events a second with which the busiest process, or only the busiest event loop, would fill a core.

        With a core for everybody it is between them: threads of a node wait for each other, but not always.
        """
        return MICROSECONDS / max(self.processes.values()), MICROSECONDS / max(self.loops.values())


Way = Callable[[float], Awaitable[Measured]]
"""Publishes for so many seconds."""


async def ingest(cluster: Cluster, contenders: Sequence[Contender], rounds: int, seconds: float) -> Figures:
    """All in turn, several rounds; the last contenders are one, two and three nodes."""
    figures: Figures = {}
    raw = await cluster.connect()
    await raw.jetstream().add_stream(
        name=RAW, subjects=[RAW], num_replicas=len(cluster.servers), max_bytes=RAW_BYTES
    )
    for entries in ENTRIES:
        ways: dict[str, Way] = {
            SAME: partial(_publish_raw, raw, WINDOW),
            WIDE: partial(_publish_raw, raw, 256),
        }
        ways |= {each.name: partial(_publish, each, entries) for each in contenders}
        found = await _in_turn(ways, rounds, seconds)
        for name, measured in found.items():
            _tell(f"{cluster.name}, {entries} a request, {name}", measured, found[SAME])
        one, three = (found[each.name] for each in (contenders[-3], contenders[-1]))
        figures[f"put-{entries}-over-raw-{cluster.name}"] = one.rate / found[SAME].rate
        figures[f"three-nodes-over-one-{entries}-{cluster.name}"] = three.rate / one.rate
        low, high = (of_three / of_one for of_three, of_one in zip(three.bounds, one.bounds, strict=True))
        print(
            f"{cluster.name}, {entries} a request: three nodes {three.rate / one.rate:.2f} of one; "
            f"by what each takes, with a core for each, {low:.2f} to {high:.2f}",
            flush=True,
        )
    await raw.close()
    return figures


async def _in_turn(ways: Mapping[str, Way], rounds: int, seconds: float) -> dict[str, Measured]:
    found: dict[str, list[Measured]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, measure in ways.items():
            found[name].append(await measure(seconds))
    return {name: _median(several) for name, several in found.items()}


def _median(several: Sequence[Measured]) -> Measured:
    return Measured(
        statistics.median(each.rate for each in several),
        _medians([each.processes for each in several]),
        _medians([each.loops for each in several]),
    )


def _medians(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(each[name] for each in several) for name in several[0]}


def _tell(what: str, measured: Measured, raw: Measured) -> None:
    print(f"{what}: {measured.rate:.0f} events/s, {measured.rate / raw.rate:.2f} of {SAME}")
    if measured.processes:
        each = ", ".join(
            f"{name} {spent:.0f}" for name, spent in (*measured.processes.items(), *measured.loops.items())
        )
        low, high = measured.bounds
        print(f"  us of a core an event: {each}; a core full at {low:.0f} to {high:.0f} events/s", flush=True)


# -- through nodes -----------------------------------------------------------------------------------------


async def _publish(to: Contender, entries: int, seconds: float) -> Measured:
    """By signed requests to all of its nodes alike, until all of it is routed, too."""
    accepted = (await to.rest()).accepted
    processes, loops = to.cpu_seconds(), to.loop_seconds()
    share = PUBLISHERS // len(to.nodes)
    rates = await asyncio.gather(
        *(
            closed_loop(url, _requests(url, entries), connections=share, seconds=seconds)
            for url in (node.url for node in to.nodes)
        )
    )
    events = (await to.rest()).accepted - accepted
    return Measured(
        sum(rates) * entries,
        _spent(processes, to.cpu_seconds(), events),
        _spent(loops, to.loop_seconds(), events),
    )


def _spent(before: Mapping[str, float], after: Mapping[str, float], events: int) -> dict[str, float]:
    return {name: (after[name] - before[name]) * MICROSECONDS / events for name in before}


def _requests(url: str, entries: int) -> list[bytes]:
    return [put_request(url, entries, IGNORED, n=n) for n in range(REQUESTS)]


# -- without -----------------------------------------------------------------------------------------------


async def _publish_raw(client: Client, window: int, seconds: float) -> Measured:
    """The same events, one a message, so many of them unacknowledged, as fast as the client can."""
    entry = {"Source": SOURCE, "DetailType": IGNORED, "Detail": detail(n=1)}
    payload, inbox = msgspec.json.encode(entry), client.new_inbox()
    free, acknowledged, refused = asyncio.Semaphore(window), 0, []

    async def answered(message: Msg) -> None:
        nonlocal acknowledged
        acknowledged += 1
        if b'"error"' in message.data or not message.data:
            refused.append(message.data)
        free.release()

    subscription = await client.subscribe(f"{inbox}.*", cb=answered)
    started, sent = time.perf_counter(), 0
    while time.perf_counter() < started + seconds:
        await free.acquire()
        await client.publish(RAW, payload, reply=f"{inbox}.{sent}")
        sent += 1
    for _ in range(window):
        await free.acquire()
    rate = acknowledged / (time.perf_counter() - started)
    await subscription.unsubscribe()
    if refused:
        raise RuntimeError(f"{len(refused)} of {sent} were refused: {refused[0]!r}")
    return Measured(rate)
