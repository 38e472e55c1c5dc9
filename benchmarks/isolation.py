"""Do sick targets slow down healthy ones? Put to delivery at the healthy targets, with and without sick ones.

    python -m benchmarks.isolation [--targets 1000] [--seconds 40] [--rate 300] [--quick]

Of the targets a tenth hangs (takes the request, never answers) and a tenth fails (answers 503 at once). Each
event goes to one target, in turn. Two runs, each on a fresh server on one core, with the load and the targets
on the other: first only the healthy targets get events, then all of them do. The healthy ones get as many
events, as fast, both times; what the sick ones get comes on top.

Ends with one line: `goal NAME measured target met|short`. Run it on an idle machine.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.goals import Goal, print_goals
from partnerbus.testing.load import now_text, open_loop, plain_request
from partnerbus.testing.receiver import Hang, Receiver, Respond
from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.sink import Sink
from partnerbus.testing.wire import Wire

CUSTOMER = "111122223333"
REGION = "us-east-1"
GOAL = Goal("isolation-p99-ratio", 2.0, at_most=True)
RULES_PER_BUS = 100


class Shape(msgspec.Struct, frozen=True):
    """How many targets there are, a tenth hanging and a tenth failing; events a second for all of them."""

    targets: int
    seconds: float
    rate: float

    @property
    def sick(self) -> int:
        return self.targets // 10

    @property
    def healthy(self) -> int:
        return self.targets - 2 * self.sick


class Measured(msgspec.Struct, frozen=True):
    """Seconds from the instant a put was due to its arrival, and the server's memory before and after."""

    seconds: Sequence[float]
    bytes_before: int
    bytes_after: int

    @property
    def p50(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.seconds, n=100)[98]

    def line(self, name: str) -> str:
        grown = (self.bytes_after - self.bytes_before) / 1e6
        return (
            f"{name}: p50 {1_000 * self.p50:.2f} ms, p99 {1_000 * self.p99:.2f} ms over {len(self.seconds)} "
            f"events; memory {self.bytes_before / 1e6:.0f} MB, grown by {grown:.1f} MB"
        )


async def prepare(wire: Wire, urls: Sequence[str]) -> None:
    """A rule and a target for each URL; the events of detail type `n` go to the n-th."""
    made = await wire.call(
        "CreateConnection",
        Name="key",
        AuthorizationType="API_KEY",
        AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "value"}},
    )
    for number, url in enumerate(urls):
        destination = await wire.call(
            "CreateApiDestination",
            Name=f"d{number}",
            ConnectionArn=made["ConnectionArn"],
            InvocationEndpoint=url,
            HttpMethod="POST",
        )
        bus = bus_of(number)
        if number % RULES_PER_BUS == 0:
            await wire.call("CreateEventBus", Name=bus)
        pattern = msgspec.json.encode({"detail-type": [str(number)]}).decode()
        await wire.call("PutRule", Name=f"r{number}", EventBusName=bus, EventPattern=pattern)
        targets = [{"Id": "1", "Arn": destination["ApiDestinationArn"]}]
        put = await wire.call("PutTargets", Rule=f"r{number}", EventBusName=bus, Targets=targets)
        assert put["FailedEntryCount"] == 0, put


def bus_of(number: int) -> str:
    return f"bus{number // RULES_PER_BUS}"


def put_request(url: str, number: int, n: int) -> bytes:
    """A PutEvents of the n-th event, for the target of that number."""
    entry = {
        "Source": "bench",
        "DetailType": str(number),
        "EventBusName": bus_of(number),
        "Detail": f'{{"n":{n}}}',
    }
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "AWSEvents.PutEvents",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={CUSTOMER}/20260101/{REGION}/events/aws4_request",
    }
    return plain_request(url, msgspec.json.encode({"Entries": [entry]}), headers)


async def measure(shape: Shape, *, with_sick: bool) -> Measured:
    """One run on a fresh server. The first targets are the healthy ones."""
    with tempfile.TemporaryDirectory(prefix="partnerbus-bench-") as folder:
        server = ServerProcess(Path(folder) / "data", "--auth", "none", "--allow-private-targets")
        async with Sink(keep=True) as sink, Receiver() as receiver, server:
            os.sched_setaffinity(server.pid, {0})
            async with Wire(server.url, CUSTOMER) as wire:
                await prepare(wire, _urls(shape, sink, receiver))
            before = _memory(server.pid)
            seconds = await _run(shape, server.url, sink, shape.targets if with_sick else shape.healthy)
            return Measured(seconds, before, _memory(server.pid))


def _urls(shape: Shape, sink: Sink, receiver: Receiver) -> list[str]:
    hanging = [f"/hang/{number}" for number in range(shape.sick)]
    failing = [f"/fail/{number}" for number in range(shape.sick)]
    for path in hanging:
        receiver.script(path, Hang())
    for path in failing:
        receiver.script(path, Respond(status=503))
    healthy = [f"{sink.url}/{number}" for number in range(shape.healthy)]
    return [*healthy, *(receiver.url + path for path in (*hanging, *failing))]


async def _run(shape: Shape, url: str, sink: Sink, targets: int) -> list[float]:
    """Seconds from when each event for a healthy target was due to be put to when it arrived."""
    rate = shape.rate * targets / shape.targets
    order = list(range(targets))
    random.Random(1).shuffle(order)  # the sick ones among the others
    numbers = [order[n % targets] for n in range(int(rate * shape.seconds))]
    requests = [put_request(url, number, n) for n, number in enumerate(numbers)]
    due = await open_loop(url, requests.__getitem__, rate=rate, count=len(requests))
    healthy = [n for n, number in enumerate(numbers) if number < shape.healthy]
    await sink.reached(len(healthy))
    arrived: dict[int, float] = {}
    for instant, body in sink.arrivals:
        arrived.setdefault(msgspec.json.decode(body)["detail"]["n"], instant)
    return [arrived[n] - due[n] for n in healthy]


def _memory(pid: int) -> int:
    """Resident bytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def main(shape: Shape, quick: bool) -> None:
    """Both runs, and how they compare."""
    os.sched_setaffinity(0, {1} if (os.cpu_count() or 1) > 1 else {0})
    print(f"{now_text()}, Python {sys.version.split()[0]}, {os.cpu_count()} cores{', quick' * quick}")
    print(f"{shape.targets} targets, {shape.rate:g} events/s for {shape.seconds:g} s")
    alone = await measure(shape, with_sick=False)
    print(alone.line("healthy targets alone"))
    beside = await measure(shape, with_sick=True)
    print(beside.line(f"beside {shape.sick} that hang and {shape.sick} that fail"))
    ratio = beside.p99 / alone.p99
    print_goals([GOAL], {GOAL.name: ratio})


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--targets", type=int, default=1_000)
    arguments.add_argument("--seconds", type=float, default=40)
    arguments.add_argument("--rate", type=float, default=300)
    arguments.add_argument(
        "--quick", action="store_true", help="100 targets for 5 seconds: only to see that it runs"
    )
    given = arguments.parse_args()
    chosen = Shape(100, 5, 50) if given.quick else Shape(given.targets, given.seconds, given.rate)
    asyncio.run(main(chosen, given.quick))
