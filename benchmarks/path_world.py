"""A server to measure: a real process on the first core, a data folder on the disk, one way through it."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import boto3
import msgspec
from types_boto3_events import EventBridgeClient

from partnerbus.testing.bench import (
    KEYS,
    PARTNER,
    SOURCE,
    make_accounts,
    prepare,
)
from partnerbus.testing.load import signed_request
from partnerbus.testing.server_process import ServerProcess

DETAIL_BYTES = 900

Fill = Callable[[Path], Awaitable[None]]
"""What a folder gets before the server starts on it."""


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


@asynccontextmanager
async def running_server(sink: str, *options: str, fill: Fill | None = None) -> AsyncIterator[ServerProcess]:
    """A server with both accounts, a source and its bus, and a rule that sends some events to `sink`.

    `options` are more of those of `serve`.
    """
    with tempfile.TemporaryDirectory(prefix="partnerbus-bench-") as folder:
        data = Path(folder) / "data"
        await asyncio.to_thread(make_accounts, data)
        async with _serving(data, *options) as server:
            await prepare(server.url, sink)
            if fill is None:
                yield server
                return
        await fill(data)
        async with _serving(data, *options) as server:
            yield server


@asynccontextmanager
async def _serving(data: Path, *options: str) -> AsyncIterator[ServerProcess]:
    async with ServerProcess(data, "--allow-private-targets", "--no-throttling", *options) as server:
        os.sched_setaffinity(server.pid, {0})
        yield server


def cpu_seconds(pid: int) -> float:
    """What a process has had of the processor, its own and the system's on its behalf."""
    return _cpu_seconds(Path(f"/proc/{pid}/stat"))


def main_thread_cpu_seconds(pid: int) -> float:
    """What of it the main thread has had: in a server of ours the event loop's."""
    return _cpu_seconds(Path(f"/proc/{pid}/task/{pid}/stat"))


def _cpu_seconds(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_bytes(pid: int) -> int:
    """The most that a process has ever had in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1_024


def resident_bytes(pid: int) -> int:
    """What a process has in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
