"""What our numbers are divided by: the same bytes through parts that do nothing else.

`python -m benchmarks.baselines PORT` serves an empty application on uvicorn, as our server runs it.
"""

import asyncio
import sys
import time

import aiohttp
import uvicorn
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope


async def empty_application(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Reads the body, answers 200."""
    if scope["type"] != "http":
        return
    more = True
    while more:
        message = await receive()
        more = message["type"] == "http.request" and message["more_body"]
    headers = [(b"content-length", b"2"), (b"content-type", b"application/x-amz-json-1.1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": b"{}", "more_body": False})


async def bare_client(url: str, body: bytes, *, count: int, concurrent: int = 64) -> float:
    """Requests per second of the outbound HTTP library alone."""
    left = iter(range(count))

    async def worker(session: aiohttp.ClientSession) -> None:
        for _ in left:
            async with session.post(url, data=body) as response:
                await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrent)) as session:
        started = time.perf_counter()
        await asyncio.gather(*(worker(session) for _ in range(concurrent)))
        return count / (time.perf_counter() - started)


if __name__ == "__main__":
    uvicorn.run(
        empty_application, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="error"
    )
