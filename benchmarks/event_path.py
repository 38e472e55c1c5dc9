"""The main job in numbers: acknowledged, delivered, and how long in between.

    python -m benchmarks.event_path [--rounds 5] [--seconds 3] [ingest] [deliver] [latency]

A real server process on one core, the load and the webhook on the other. Every figure stands beside its
baseline, measured in turn in the same run; figures are medians over the rounds.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import boto3
import msgspec
from types_boto3_events import EventBridgeClient

from benchmarks.baselines import bare_client
from benchmarks.load import Connection, closed_loop, now_text, open_loop, plain_request, signed_request
from benchmarks.sink import Sink
from partnerbus.testing.server_process import ServerProcess

PARTNER, CUSTOMER = "999900001111", "111122223333"
SOURCE = "aws.partner/acme.com/bench"
PUBLISHERS = 16
DETAIL_BYTES = 900
KEYS = {PARTNER: ("PBBENCHPARTNER000000", "p" * 40), CUSTOMER: ("PBBENCHCUSTOMER00000", "c" * 40)}


def detail(**members: object) -> str:
    """A detail of about 900 bytes, shaped like an order."""
    order = {"order": {"id": "ord_5d41402abc4b2a76b9719d911017c592", "total": 1999, "currency": "eur"}}
    text = msgspec.json.encode(members | order | {"note": ""}).decode()
    return text.replace('"note":""', f'"note":"{"n" * (DETAIL_BYTES - len(text))}"')


def put_request(url: str, entries: int, detail_type: str, **members: object) -> bytes:
    """A signed PutPartnerEvents of so many entries of about 1 KB."""
    entry = {"Source": SOURCE, "DetailType": detail_type, "Detail": detail(**members)}
    return signed_request(url, "PutPartnerEvents", {"Entries": [entry] * entries}, *KEYS[PARTNER])


def client(url: str, account: str) -> EventBridgeClient:
    key, secret = KEYS[account]
    return boto3.client(
        "events",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


def prepare(url: str, sink: str) -> None:
    """A source with its bus, and one rule that picks the events of type `deliver` for the sink."""
    customer, partner = client(url, CUSTOMER), client(url, PARTNER)
    partner.create_partner_event_source(Name=SOURCE, Account=CUSTOMER)
    customer.create_event_bus(Name=SOURCE, EventSourceName=SOURCE)
    connection = customer.create_connection(
        Name="key",
        AuthorizationType="API_KEY",
        AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "value"}},
    )
    destination = customer.create_api_destination(
        Name="sink",
        ConnectionArn=connection["ConnectionArn"],
        InvocationEndpoint=f"{sink}/",
        HttpMethod="POST",
        InvocationRateLimitPerSecond=1_000_000,
    )
    customer.put_rule(Name="deliver", EventBusName=SOURCE, EventPattern='{"detail-type":["deliver"]}')
    customer.put_targets(
        Rule="deliver",
        EventBusName=SOURCE,
        Targets=[{"Id": "1", "Arn": destination["ApiDestinationArn"]}],
    )
    for each in (customer, partner):
        each.close()


@asynccontextmanager
async def running_server(sink: str) -> AsyncIterator[str]:
    """A server on core 0 with both accounts and the rule; its URL."""
    with tempfile.TemporaryDirectory(prefix="partnerbus-bench-") as folder:
        data = Path(folder) / "data"
        for account, (key, secret) in KEYS.items():
            more = ["--partner", "acme.com"] if account == PARTNER else []
            command = [sys.executable, "-m", "partnerbus", "account", "create", account, *more]
            keys = ["--access-key-id", key, "--secret-access-key", secret, "--data", str(data)]
            await asyncio.to_thread(subprocess.run, [*command, *keys], check=True, capture_output=True)
        async with ServerProcess(data, "--allow-private-targets", "--no-throttling") as server:
            os.sched_setaffinity(server.pid, {0})
            await asyncio.to_thread(prepare, server.url, sink)
            yield server.url


@asynccontextmanager
async def running_baseline() -> AsyncIterator[str]:
    """The empty application on core 0; its URL."""
    port = "4099"
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.baselines", port)
    os.sched_setaffinity(process.pid, {0})
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", int(port))
                    writer.close()
                    break
                except OSError:
                    await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def ingest(url: str, rounds: int, seconds: float) -> None:
    """Requests answered per second, against an application that does nothing with the same bytes."""
    async with running_baseline() as empty:
        for entries in (1, 20):
            ours, theirs = [], []
            for _ in range(rounds):
                requests = [put_request(url, entries, "ignored", n=n) for n in range(PUBLISHERS)]
                theirs.append(await closed_loop(empty, requests, connections=PUBLISHERS, seconds=seconds))
                ours.append(await closed_loop(url, requests, connections=PUBLISHERS, seconds=seconds))
            rate, base = statistics.median(ours), statistics.median(theirs)
            print(
                f"ingest, {entries} a request: {rate:.0f} requests/s, {rate * entries:.0f} events/s; "
                f"empty uvicorn {base:.0f} requests/s; ratio {rate / base:.3f}"
            )


async def deliver(url: str, sink: Sink, rounds: int, events: int = 4_000) -> None:
    """Events accepted and delivered per second, against the outbound library alone."""
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(await bare_client(sink.url, detail().encode(), count=events))
        goal = sink.count + events
        request = put_request(url, 20, "deliver")
        connection = Connection(url)
        await connection.open()
        started = time.perf_counter()
        for _ in range(events // 20):
            await connection.send(request)
        accepted = time.perf_counter() - started
        await sink.reached(goal)
        ours.append(events / (time.perf_counter() - started))
        await connection.close()
    rate, base = statistics.median(ours), statistics.median(theirs)
    print(
        f"deliver {events} events of 20 a request: {rate:.0f} accepted and delivered/s "
        f"(accepted in {accepted:.2f} s in the last round); bare client {base:.0f}/s; ratio {rate / base:.3f}"
    )


async def latency(url: str, sink: Sink, seconds: float, rate: int = 200) -> None:
    """From the instant a put was due to its arrival, by schedule, against a direct POST by the same load."""
    count = int(rate * seconds)
    direct = await _latencies(
        sink, sink.url, [plain_request(sink.url, detail(n=n).encode()) for n in range(count)], rate
    )
    ours = await _latencies(sink, url, [put_request(url, 1, "deliver", n=n) for n in range(count)], rate)
    for name, found in (("direct POST", direct), ("put to webhook", ours)):
        p50, p99 = (
            1_000 * value for value in (statistics.median(found), statistics.quantiles(found, n=100)[98])
        )
        print(f"latency at {rate}/s, {name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms over {count} events")
    print(
        f"latency ratio: p50 {statistics.median(ours) / statistics.median(direct):.1f}, "
        f"p99 {statistics.quantiles(ours, n=100)[98] / statistics.quantiles(direct, n=100)[98]:.1f}"
    )


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


async def main(parts: Sequence[str], rounds: int, seconds: float) -> None:
    """Run the parts."""
    os.sched_setaffinity(0, {1} if (os.cpu_count() or 1) > 1 else {0})
    print(f"{now_text()}, Python {sys.version.split()[0]}, {os.cpu_count()} cores")
    async with Sink(keep=True) as sink, running_server(sink.url) as url:
        if "ingest" in parts:
            await ingest(url, rounds, seconds)
        if "deliver" in parts:
            await deliver(url, sink, rounds)
        if "latency" in parts:
            await latency(url, sink, seconds * 5)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("parts", nargs="*", default=["ingest", "deliver", "latency"])
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=3)
    chosen = arguments.parse_args()
    asyncio.run(main(chosen.parts, chosen.rounds, chosen.seconds))
