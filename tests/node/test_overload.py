"""A real server under more than it can take: memory stays bounded, callers are told, nothing is lost."""

import asyncio
import re
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import boto3
import msgspec
import pytest
from botocore.config import Config

from partnerbus.kernel.clock import SystemClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.node.folder import DataFolder, opened
from partnerbus.store.protocol import Ledger
from partnerbus.testing.operator import Operator
from partnerbus.testing.receiver import Hang, Receiver, Respond
from partnerbus.testing.server_process import ServerProcess
from tests.node import launch_slow_matcher
from tests.node.deliver import CUSTOMER, OPEN, deliver_to

pytestmark = pytest.mark.slow

MEBIBYTE = 2**20
BOUND = 1024 * MEBIBYTE
"""What docs/overload.md promises under overload, above an idle node's memory."""

ENTRIES, ENTRY_BYTES = 4, 240_000
PUBLISHERS = 1_000
"""Together they offer almost a gibibyte, of which each request would be in memory four times."""


BACKLOG_BOUND = 512 * MEBIBYTE
"""The same with few publishers, however much of what they put waits for matcher and targets."""

FEW_PUBLISHERS = 16
MOST_WAITING = 2_300
"""So many events are more than that bound: they cannot all be in memory."""

TOO_MANY = 5 * MOST_WAITING
"""By then publishers should have been told."""


def peak_bytes(pid: int) -> int:
    """The most that a process ever had in memory."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def put_request(url: str, source: str = "shop") -> bytes:
    entry = {"Source": source, "DetailType": "order", "Detail": '{"n":"' + "x" * ENTRY_BYTES + '"}'}
    body = msgspec.json.encode({"Entries": [entry] * ENTRIES})
    return (
        f"POST / HTTP/1.1\r\nHost: {url.removeprefix('http://')}\r\nX-Amz-Target: AWSEvents.PutEvents\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential={CUSTOMER}/20260101/us-east-1/events/aws4_request\r\n"
        f"Content-Type: application/x-amz-json-1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def put(url: str, request: bytes) -> str:
    """What a publisher got: `stored`, or the error's code."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert length is not None
        answer = msgspec.json.decode(await reader.readexactly(int(length[1])))
    finally:
        writer.close()
    if head.startswith(b"HTTP/1.1 200"):
        assert answer["FailedEntryCount"] == 0
        return "stored"
    return str(answer["__type"])


@asynccontextmanager
async def slow_disk(data: Path) -> AsyncIterator[None]:
    """While it lasts, no commit of the server's can end."""
    other = sqlite3.connect(data / "partnerbus.db", isolation_level=None, timeout=60)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


async def test_publishers_faster_than_the_disk_are_throttled_and_memory_is_bounded(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with ServerProcess(data, "--auth", "none") as server:
        request = put_request(server.url)
        assert await put(server.url, request) == "stored"
        idle = peak_bytes(server.pid)
        async with slow_disk(data):
            publishers = [asyncio.create_task(put(server.url, request)) for _ in range(PUBLISHERS)]
            patient = asyncio.create_task(asyncio.to_thread(put_patiently, server.url))
            await asyncio.wait(publishers, return_when=asyncio.FIRST_COMPLETED)
        got = Counter(await asyncio.gather(*publishers))
        await patient
        assert peak_bytes(server.pid) - idle < BOUND
        await server.stop()
    assert got["ThrottlingException"] > 0
    assert set(got) <= {"stored", "ThrottlingException", "InternalException"}
    async with opened(DataFolder(data), SystemClock(), Failpoints()) as found:
        (info,) = await found.store.logs()
        ledger = await found.store.ledger(info.log)
        assert ledger.accepted == ENTRIES * (got["stored"] + 1) + 1


def put_patiently(url: str) -> None:
    """An SDK tries again until there is room."""
    client = boto3.client(
        "events",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=CUSTOMER,
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 10, "mode": "standard"}, read_timeout=120),
    )
    answer = client.put_events(Entries=[{"Source": "shop", "DetailType": "order", "Detail": "{}"}])
    assert answer["FailedEntryCount"] == 0
    client.close()


async def publish_until_told(url: str, source: str) -> Counter[str]:
    """What publishers got, each of which goes on until it is told to try again later, or for too long."""
    request = put_request(url, source)
    got: Counter[str] = Counter()

    async def publisher() -> None:
        while ENTRIES * got["stored"] < TOO_MANY:
            answer = await put(url, request)
            got[answer] += 1
            if answer != "stored":
                return

    await asyncio.gather(*(publisher() for _ in range(FEW_PUBLISHERS)))
    return got


async def settled(operator: Operator, is_settled: Callable[[Ledger], bool]) -> Ledger:
    """The ledger of the customer's default bus once `is_settled`."""
    while not is_settled(ledger := await operator.ledger(CUSTOMER, "default")):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.05)
    return ledger


async def test_publishers_faster_than_the_matcher_are_throttled_and_memory_is_bounded(tmp_path: Path) -> None:
    data, slow = tmp_path / "data", tmp_path / "slow"
    slow.touch()
    program = (sys.executable, launch_slow_matcher.__file__, str(slow))
    options = ("--auth", "none", "--max-unrouted-events", str(MOST_WAITING))
    async with ServerProcess(data, *options, program=program) as server:
        assert await put(server.url, put_request(server.url)) == "stored"
        idle = peak_bytes(server.pid)
        got = await publish_until_told(server.url, "shop")
        slow.unlink()
        await asyncio.to_thread(put_patiently, server.url)
        assert peak_bytes(server.pid) - idle < BACKLOG_BOUND
        async with Operator(data) as operator:
            ledger = await settled(operator, lambda ledger: not ledger.unrouted)
    assert set(got) == {"stored", "ThrottlingException"}
    assert ENTRY_BYTES * MOST_WAITING > BACKLOG_BOUND
    assert ledger.accepted == ledger.unmatched == ENTRIES * (got["stored"] + 1) + 1 > MOST_WAITING


async def test_publishers_faster_than_the_target_are_throttled_and_memory_is_bounded(tmp_path: Path) -> None:
    data = tmp_path / "data"
    options = (*OPEN, "--max-pending-deliveries", str(MOST_WAITING), "--test-clock")
    async with Receiver() as receiver, ServerProcess(data, *options) as server, Operator(data) as operator:
        receiver.script("/", Hang())
        await deliver_to(f"{receiver.url}/", server.url)
        idle = peak_bytes(server.pid)
        got = await publish_until_told(server.url, "test")
        receiver.script("/", Respond())
        while (ledger := await operator.ledger(CUSTOMER, "default")).pending:
            await operator.shift_clock(timedelta(seconds=30))  # to the retries
            await asyncio.sleep(0.05)
        await asyncio.to_thread(put_patiently, server.url)
        assert peak_bytes(server.pid) - idle < BACKLOG_BOUND
    assert set(got) == {"stored", "ThrottlingException"}
    assert ledger.owed == ledger.delivered == ENTRIES * got["stored"] + 1 > MOST_WAITING
