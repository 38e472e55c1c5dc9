"""A load generator that costs little: requests are made and signed before the clock starts.

A signature may be sent again while it is fresh, so a few dozen signed requests serve a whole run; the
generator then only writes bytes and counts answers, and the server's cost is what is seen.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

OK = b"http/1.1 200"


def signed_request(
    url: str, operation: str, members: object, access_key: str, secret: str, region: str = "us-east-1"
) -> bytes:
    """The bytes of a signed request, as an SDK would send it."""
    body = msgspec.json.encode(members)
    headers = {
        "Host": urlsplit(url).netloc,
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"AWSEvents.{operation}",
    }
    request = AWSRequest("POST", url + "/", headers=headers, data=body)
    SigV4Auth(Credentials(access_key, secret), "events", region).add_auth(request)
    return plain_request(url, body, dict(request.headers.items()))


def plain_request(url: str, body: bytes, headers: dict[str, str] | None = None, path: str = "/") -> bytes:
    """The bytes of a POST."""
    lines = {"Host": urlsplit(url).netloc, "Content-Length": str(len(body))} | (headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


class Connection:
    """One keep-alive connection; a request at a time."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            self._url.hostname, self._url.port, limit=1 << 20
        )

    async def send(self, request: bytes) -> bytes:
        """The body of the answer, which must be a 200."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
        body = await self._reader.readexactly(length)
        if not head.startswith(OK):
            raise RuntimeError(f"{head!r} {body!r}")
        if b"\r\nconnection: close" in head:
            await self.close()
            await self.open()
        return body

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def closed_loop(url: str, requests: Sequence[bytes], *, connections: int, seconds: float) -> float:
    """Requests per second that `connections` publishers get answered, each sending when it has its answer."""
    opened = [Connection(url) for _ in range(connections)]
    for connection in opened:
        await connection.open()
    end = time.perf_counter() + seconds
    answered = 0

    async def publisher(connection: Connection, at: int) -> None:
        nonlocal answered
        while time.perf_counter() < end:
            await connection.send(requests[at % len(requests)])
            answered += 1
            at += 1

    started = time.perf_counter()
    await asyncio.gather(*(publisher(connection, n) for n, connection in enumerate(opened)))
    rate = answered / (time.perf_counter() - started)
    for connection in opened:
        await connection.close()
    return rate


async def open_loop(
    url: str,
    make: Callable[[int], bytes],
    *,
    rate: float,
    count: int,
    connections: int = 32,
    answered: dict[int, float] | None = None,
) -> list[float]:
    """Send `count` requests by the schedule of `rate` a second, however slow the answers are.

    Gives, for each, the instant (`time.perf_counter`) at which it was due; `answered` gets the answer's.
    """
    free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
    for _ in range(connections):
        connection = Connection(url)
        await connection.open()
        free.put_nowait(connection)

    async def one(n: int, request: bytes) -> None:
        connection = await free.get()
        await connection.send(request)
        if answered is not None:
            answered[n] = time.perf_counter()
        free.put_nowait(connection)

    with uncollected():
        started = time.perf_counter() + 0.1
        due = [started + n / rate for n in range(count)]
        async with asyncio.TaskGroup() as group:
            for n, instant in enumerate(due):
                await asyncio.sleep(max(0.0, instant - time.perf_counter()))
                group.create_task(one(n, make(n)))
    while not free.empty():
        await free.get_nowait().close()
    return due


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection here meanwhile: a pause of the generator would be counted as the server's."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def now_text() -> str:
    """The current time, for whoever reads a result later."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
