"""A short look at how fast a server is on this machine, beside what the machine itself can do.

    figures = await measure(folder)

A server on `folder`, with signatures, is published to by a generator that costs little (`load`), and delivers
to a webhook that costs little (`sink`). All share this machine's cores, so the numbers are the lower end.
"""

import asyncio
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from partnerbus.testing.load import Connection, closed_loop, open_loop, plain_request, signed_request
from partnerbus.testing.server_process import PARTNERBUS, ServerProcess, clean_environment
from partnerbus.testing.sink import Sink

PARTNER, CUSTOMER = "999900001111", "111122223333"
KEYS = {PARTNER: ("PBBENCHPARTNER000000", "p" * 40), CUSTOMER: ("PBBENCHCUSTOMER00000", "c" * 40)}
SOURCE = "aws.partner/acme.com/bench"
DELIVERED, IGNORED = "deliver", "ignored"
"""Detail types: events of the first go to the webhook, nobody asks for the other."""

FILLER_BYTES = 900
ENTRIES = 10
PUBLISHERS = 64
LATENCY_RATE = 200
STEPS = 6
"""How often `measure` says that it is further."""


class Latency(msgspec.Struct, frozen=True):
    """In milliseconds."""

    p50: float
    p99: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, each beside what it should be compared with."""

    syncs_per_second: float
    """How often 1 KB at the end of a file gets on this disk, one after the other."""
    acknowledged_per_second: float
    """Requests with one entry, by 64 publishers at once."""
    acknowledged_events_per_second: float
    """The same with ten entries a request."""
    delivered_per_second: float
    """Events accepted, ten a request by one publisher, and delivered to one webhook."""
    put_to_webhook: Latency
    """At 200 events a second, from the instant a put was due to the event's arrival."""
    direct_post: Latency
    """The same bytes by the same generator without a server between."""


async def measure(
    folder: Path,
    *,
    seconds: float = 5.0,
    events: int = 4_000,
    environment: Mapping[str, str] | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Figures:
    """Measure on a new server in `folder`, about `seconds` for each figure, with `events` delivered.

    `environment` is the server's, besides; it may name a store in a cluster.
    """
    syncs = syncs_per_second(folder, min(seconds, 2.0))
    progress()
    data = folder / "data"
    await asyncio.to_thread(make_accounts, data, environment)
    options = ("--allow-private-targets", "--no-throttling")
    tried = ServerProcess(data, *options, environment=environment, log=folder / "log")
    async with Sink(keep=True) as sink, tried as server:
        await prepare(server.url, sink.url)
        rates = []
        for entries in (1, ENTRIES):
            requests = [_put(server.url, entries, IGNORED)]
            rate = await closed_loop(server.url, requests, connections=PUBLISHERS, seconds=seconds)
            rates.append(rate * entries)
            progress()
        delivered = await deliver(sink, server.url, _put(server.url, ENTRIES, DELIVERED), events // ENTRIES)
        progress()
        count = int(LATENCY_RATE * seconds)
        posts = [plain_request(sink.url, _detail(n).encode()) for n in range(count)]
        direct = await latency(sink, sink.url, posts, LATENCY_RATE)
        progress()
        puts = [_put(server.url, 1, DELIVERED, n) for n in range(count)]
        ours = await latency(sink, server.url, puts, LATENCY_RATE)
        progress()
    return Figures(
        syncs_per_second=syncs,
        acknowledged_per_second=rates[0],
        acknowledged_events_per_second=rates[1],
        delivered_per_second=delivered,
        put_to_webhook=ours,
        direct_post=direct,
    )


def syncs_per_second(folder: Path, seconds: float) -> float:
    """How often a second 1 KB at the end of a file in `folder` is on its disk, one by one."""
    path = folder / "syncs"
    with path.open("wb") as file:
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            file.write(b"n" * 1_024)
            file.flush()
            os.fdatasync(file.fileno())
            count += 1
        rate = count / (time.perf_counter() - started)
    path.unlink()
    return rate


# -- the world ---------------------------------------------------------------------------------------------


def make_accounts(data: Path, environment: Mapping[str, str] | None = None) -> None:
    """Both accounts with their keys, in a folder that no server has yet, or the store that is named there."""
    for account, (key, secret) in KEYS.items():
        partner = ["--partner", "acme.com"] if account == PARTNER else []
        keys = ["--access-key-id", key, "--secret-access-key", secret]
        _command(data, environment, "account", "create", account, *partner, *keys)
    _command(data, environment, "account", "quota", "set", CUSTOMER, "api-destination-rate", "1000000")


def _command(data: Path, environment: Mapping[str, str] | None, *arguments: str) -> None:
    command = [*PARTNERBUS, *arguments, "--data", str(data)]
    variables = clean_environment() | dict(environment or {})
    subprocess.run(command, check=True, capture_output=True, env=variables)  # noqa: S603 - our own program


async def prepare(url: str, sink: str) -> None:
    """A source, its bus, and a rule that sends some events to `sink`."""
    await _call(url, PARTNER, "CreatePartnerEventSource", Name=SOURCE, Account=CUSTOMER)
    await _call(url, CUSTOMER, "CreateEventBus", Name=SOURCE, EventSourceName=SOURCE)
    connection = await _call(
        url,
        CUSTOMER,
        "CreateConnection",
        Name="key",
        AuthorizationType="API_KEY",
        AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "value"}},
    )
    destination = await _call(
        url,
        CUSTOMER,
        "CreateApiDestination",
        Name="sink",
        ConnectionArn=connection["ConnectionArn"],
        InvocationEndpoint=f"{sink}/",
        HttpMethod="POST",
        InvocationRateLimitPerSecond=1_000_000,
    )
    rule = {"Name": "deliver", "EventBusName": SOURCE}
    pattern = msgspec.json.encode({"detail-type": [DELIVERED]}).decode()
    await _call(url, CUSTOMER, "PutRule", **rule, EventPattern=pattern)
    targets = [{"Id": "1", "Arn": destination["ApiDestinationArn"]}]
    await _call(url, CUSTOMER, "PutTargets", Rule=rule["Name"], EventBusName=SOURCE, Targets=targets)


async def _call(url: str, account: str, operation: str, **members: object) -> dict[str, object]:
    connection = Connection(url)
    await connection.open()
    answer = await connection.send(signed_request(url, operation, members, *KEYS[account]))
    await connection.close()
    return msgspec.json.decode(answer, type=dict[str, object]) if answer else {}


def _detail(n: int) -> str:
    """A detail of about 1 KB with a number to know it by."""
    return msgspec.json.encode({"n": n, "filler": "n" * FILLER_BYTES}).decode()


def _put(url: str, entries: int, detail_type: str, n: int = 0) -> bytes:
    entry = {"Source": SOURCE, "DetailType": detail_type, "Detail": _detail(n)}
    return signed_request(url, "PutPartnerEvents", {"Entries": [entry] * entries}, *KEYS[PARTNER])


# -- the figures -------------------------------------------------------------------------------------------


async def deliver(sink: Sink, url: str, request: bytes, times: int) -> float:
    """Events a second that one publisher gets accepted and delivered; `request` holds `ENTRIES` of them."""
    goal = sink.count + times * ENTRIES
    connection = Connection(url)
    await connection.open()
    started = time.perf_counter()
    for _ in range(times):
        await connection.send(request)
    await sink.reached(goal)
    rate = times * ENTRIES / (time.perf_counter() - started)
    await connection.close()
    return rate


class _Numbered(msgspec.Struct):
    n: int


class _Envelope(msgspec.Struct):
    detail: _Numbered


async def latency(sink: Sink, url: str, requests: Sequence[bytes], rate: int) -> Latency:
    """From the instant a request was due to its arrival at the sink; the n-th carries the number n."""
    sink.arrivals.clear()
    goal = sink.count + len(requests)
    due = await open_loop(url, requests.__getitem__, rate=rate, count=len(requests))
    await sink.reached(goal)
    arrived: dict[int, float] = {}
    for instant, body in sink.arrivals:
        arrived.setdefault(_number(body), instant)
    waits = [1_000 * (arrived[n] - instant) for n, instant in enumerate(due)]
    return Latency(p50=statistics.median(waits), p99=statistics.quantiles(waits, n=100)[98])


def _number(body: bytes) -> int:
    found = msgspec.json.decode(body, type=_Envelope | None) if b'"detail"' in body else None
    return found.detail.n if found is not None else msgspec.json.decode(body, type=_Numbered).n
