"""Does a replay slow down what is live? Put to delivery of live events, without and beside a replay.

    python -m benchmarks.replay [--events 1000000] [--seconds 60] [--rate 200] [--quick]

One rule sends every event of a bus to one webhook, so replayed events stand in the same line as live ones.
First the archive is filled, a thousand events to a minute of their time, and the server started anew; then
live events are put by schedule, first alone, then while all of the archive is replayed. The server is on one
core, the load and the webhook on the other. What is replayed is counted while live events are put, and for as
long again without.

Ends with one line: `goal NAME measured target met|short`. Run it on an idle machine.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks.goals import Goal, print_goals
from partnerbus.testing.load import Connection, now_text, open_loop, plain_request
from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.sink import Sink
from partnerbus.testing.wire import Wire

CUSTOMER = "111122223333"
REGION = "us-east-1"
BUS = "bench"
BUS_ARN = f"arn:aws:events:{REGION}:{CUSTOMER}:event-bus/{BUS}"
ARCHIVE_ARN = f"arn:aws:events:{REGION}:{CUSTOMER}:archive/{BUS}"
FIRST = 1_780_000_020
"""When the first archived event was, at a whole minute."""

EVENTS_PER_MINUTE = 1_000
PUBLISHERS = 8
NO_RATE = "1000000"
DETAIL_BYTES = 900
GOAL = Goal("replay-live-p99-ratio", 2.0, at_most=True)


class Shape(msgspec.Struct, frozen=True):
    """How many events are archived; live events a second, and for how long."""

    events: int
    seconds: float
    rate: float

    @property
    def end(self) -> int:
        """An instant after every archived event."""
        return FIRST + 60 * (self.events // EVENTS_PER_MINUTE + 1)


def put_request(url: str, *entries: Mapping[str, object]) -> bytes:
    """A PutEvents of these details, with a Time if they have one."""
    sent = [
        {
            "Source": "bench",
            "DetailType": "order",
            "EventBusName": BUS,
            "Detail": msgspec.json.encode({**entry, "note": "n" * DETAIL_BYTES}).decode(),
            **({"Time": entry["time"]} if "time" in entry else {}),
        }
        for entry in entries
    ]
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "AWSEvents.PutEvents",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={CUSTOMER}/20260101/{REGION}/events/aws4_request",
    }
    return plain_request(url, msgspec.json.encode({"Entries": sent}), headers)


# -- before --------------------------------------------------------------------------------------------


def create_account(data: Path) -> None:
    """The customer, whose API destinations may be as fast as they can."""
    for words in (
        ("account", "create", CUSTOMER),
        ("account", "quota", "set", CUSTOMER, "api-destination-rate", NO_RATE),
    ):
        command = [sys.executable, "-m", "partnerbus", *words, "--data", str(data)]
        subprocess.run(command, check=True, capture_output=True)


def server_of(data: Path) -> ServerProcess:
    return ServerProcess(data, "--auth", "none", "--allow-private-targets", "--no-throttling")


async def fill(url: str, wire: Wire, shape: Shape) -> None:
    """Archive all events, and wait until they are there."""
    await wire.call("CreateEventBus", Name=BUS)
    await wire.call("CreateArchive", ArchiveName=BUS, EventSourceArn=BUS_ARN)
    numbers = iter(range(0, shape.events, 10))

    async def publisher() -> None:
        connection = Connection(url)
        await connection.open()
        for first in numbers:
            times = [FIRST + 60 * (n // EVENTS_PER_MINUTE) for n in range(first, first + 10)]
            await connection.send(put_request(url, *({"archived": True, "time": time} for time in times)))
        await connection.close()

    await asyncio.gather(*(publisher() for _ in range(PUBLISHERS)))
    archived = 0
    while archived < shape.events:
        await asyncio.sleep(0.1)
        found = await wire.call("DescribeArchive", ArchiveName=BUS)
        archived = msgspec.convert(found["EventCount"], int)


async def archive(data: Path, shape: Shape) -> None:
    """Fill the archive by a server of its own, so that the disk has nothing left to do for it."""
    async with server_of(data) as server, Wire(server.url, CUSTOMER) as wire:
        os.sched_setaffinity(server.pid, {0})
        started = time.perf_counter()
        await fill(server.url, wire, shape)
        took = time.perf_counter() - started
    os.sync()
    print(f"archived {shape.events} events in {took:.0f} s, {shape.events / took:.0f} a second")


async def add_rule(wire: Wire, sink: Sink) -> None:
    """From here on every event of the bus goes to the webhook."""
    made = await wire.call(
        "CreateConnection",
        Name="key",
        AuthorizationType="API_KEY",
        AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "value"}},
    )
    destination = await wire.call(
        "CreateApiDestination",
        Name="sink",
        ConnectionArn=made["ConnectionArn"],
        InvocationEndpoint=f"{sink.url}/",
        HttpMethod="POST",
        InvocationRateLimitPerSecond=int(NO_RATE),
    )
    await wire.call("PutRule", Name="all", EventBusName=BUS, EventPattern='{"source":["bench"]}')
    targets = [{"Id": "1", "Arn": destination["ApiDestinationArn"]}]
    put = await wire.call("PutTargets", Rule="all", EventBusName=BUS, Targets=targets)
    assert put["FailedEntryCount"] == 0, put


async def start_replay(wire: Wire, shape: Shape) -> None:
    await wire.call(
        "StartReplay",
        ReplayName=BUS,
        EventSourceArn=ARCHIVE_ARN,
        EventStartTime=FIRST,
        EventEndTime=shape.end,
        Destination={"Arn": BUS_ARN},
    )


# -- measuring -----------------------------------------------------------------------------------------


async def live(url: str, sink: Sink, shape: Shape, first: int) -> list[float]:
    """Seconds from when each live event was due to be put to when it arrived."""
    count = int(shape.rate * shape.seconds)
    requests = [put_request(url, {"live": n}) for n in range(first, first + count)]
    due = await open_loop(url, requests.__getitem__, rate=shape.rate, count=count)
    wanted = set(range(first, first + count))
    arrived: dict[int, float] = {}
    seen = 0
    while wanted:
        for instant, body in sink.arrivals[seen:]:
            seen += 1
            number = msgspec.json.decode(body)["detail"].get("live")
            if number in wanted:
                wanted.discard(number)
                arrived[number] = instant
        await asyncio.sleep(0.05)
    return [arrived[first + n] - instant for n, instant in enumerate(due)]


def p99(seconds: Sequence[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


def line(name: str, seconds: Sequence[float]) -> str:
    return (
        f"live events {name}: p50 {1_000 * statistics.median(seconds):.2f} ms, "
        f"p99 {1_000 * p99(seconds):.2f} ms over {len(seconds)} events"
    )


async def replayed_per_second(sink: Sink, seconds: float) -> float:
    """What arrives while nothing else does, up to the last one should the replay end before."""
    before, started = len(sink.arrivals), time.perf_counter()
    await asyncio.sleep(seconds)
    arrived = sink.arrivals[before:]
    return len(arrived) / (arrived[-1][0] - started) if arrived else 0


async def measure(shape: Shape) -> float:
    """The ratio of the two p99."""
    with tempfile.TemporaryDirectory(prefix="partnerbus-bench-") as folder:
        data = Path(folder) / "data"
        create_account(data)
        await archive(data, shape)
        async with Sink(keep=True) as sink, server_of(data) as server, Wire(server.url, CUSTOMER) as wire:
            os.sched_setaffinity(server.pid, {0})
            await add_rule(wire, sink)
            alone = await live(server.url, sink, shape, 0)
            print(line("alone", alone))
            sink.arrivals.clear()
            await start_replay(wire, shape)
            await sink.reached(sink.count + 1)
            before, started = sink.count, time.perf_counter()
            beside = await live(server.url, sink, shape, len(alone))
            replayed = (sink.count - before - len(beside)) / (time.perf_counter() - started)
            print(line("beside a replay", beside))
            idle = await replayed_per_second(sink, shape.seconds)
            state = (await wire.call("DescribeReplay", ReplayName=BUS))["State"]
            print(f"replayed {replayed:.0f} events/s beside live ones, {idle:.0f} alone; then {state}")
            return p99(beside) / p99(alone)


async def main(shape: Shape, quick: bool) -> None:
    """Measure, and say how it compares."""
    os.sched_setaffinity(0, {1} if (os.cpu_count() or 1) > 1 else {0})
    print(f"{now_text()}, Python {sys.version.split()[0]}, {os.cpu_count()} cores{', quick' * quick}")
    print(f"{shape.events} archived events, {shape.rate:g} live ones/s for {shape.seconds:g} s")
    ratio = await measure(shape)
    print_goals([GOAL], {GOAL.name: ratio})


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--events", type=int, default=1_000_000)
    arguments.add_argument("--seconds", type=float, default=60)
    arguments.add_argument("--rate", type=float, default=200)
    arguments.add_argument(
        "--quick", action="store_true", help="20,000 events for 5 seconds: only to see that it runs"
    )
    given = arguments.parse_args()
    chosen = Shape(20_000, 5, 50) if given.quick else Shape(given.events, given.seconds, given.rate)
    asyncio.run(main(chosen, given.quick))
