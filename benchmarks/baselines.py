"""What our numbers are divided by: the same bytes through parts that do less."""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from partnerbus.kernel.clock import SystemClock
from partnerbus.targets.addresses import AddressGuard
from partnerbus.targets.outbound import OutboundRequest
from partnerbus.targets.outbound_client import HttpOutbound
from partnerbus.testing.bench import syncs_per_second

PATIENCE_SECONDS = 60
NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/errors crit;
events {{ worker_connections 2048; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port} backlog=2048; location / {{ return 200 "{{}}"; }} }}
}}
"""


@asynccontextmanager
async def nginx() -> AsyncIterator[str | None]:
    """The URL of an nginx on the first core that answers 200 to everything; None if there is none here."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        print("nginx is not installed here: no ratio over it")
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="partnerbus-bench-") as folder:
        port = free_port()
        settings = Path(folder) / "nginx.conf"
        settings.write_text(NGINX.format(folder=folder, port=port))
        async with _running(port, program, "-c", str(settings)) as url:
            yield url


@asynccontextmanager
async def moto() -> AsyncIterator[str]:
    """The URL of a moto server on the first core."""
    port = free_port()
    async with _running(port, sys.executable, "-m", "moto.server", "-p", str(port)) as url:
        yield url


@asynccontextmanager
async def _running(port: int, *command: str) -> AsyncIterator[str]:
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)
    os.sched_setaffinity(process.pid, {0})
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await _listening(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _listening(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


async def bare_outbound(url: str, body: bytes, *, count: int, concurrent: int = 64) -> float:
    """Requests per second of the client that deliveries are made with, alone."""
    left = iter(range(count))
    request = OutboundRequest(method="POST", url=url, body=body)
    outbound = HttpOutbound(SystemClock(), AddressGuard(allow_private=True))

    async def worker() -> None:
        for _ in left:
            await outbound.send(request)

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(concurrent)))
    rate = count / (time.perf_counter() - started)
    await outbound.close()
    return rate


async def bare_aiohttp(url: str, body: bytes, *, count: int, concurrent: int = 64) -> float:
    """Requests per second of aiohttp's client alone."""
    left = iter(range(count))

    async def worker(session: aiohttp.ClientSession) -> None:
        for _ in left:
            async with session.post(url, data=body) as response:
                await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrent)) as session:
        started = time.perf_counter()
        await asyncio.gather(*(worker(session) for _ in range(concurrent)))
        return count / (time.perf_counter() - started)


def fsyncs_per_second(seconds: float) -> float:
    """How often a second 1 KB at the end of a file is on the disk of the temporary folder, one by one."""
    with tempfile.TemporaryDirectory(prefix="partnerbus-bench-") as folder:
        return syncs_per_second(Path(folder), seconds)
