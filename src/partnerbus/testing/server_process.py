"""A real `partnerbus serve` in a process of its own, to be killed at will."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PARTNERBUS = (sys.executable, "-m", "partnerbus")

_READY = re.compile(rb"https?://[^\s]+:\d+")
READY_SECONDS = 120.0
"""Only a server that never becomes ready takes so long, however busy the machine is."""


class ServerDied(Exception):
    """The server ended before it said that it was ready."""


class ServerProcess:
    """A server on a free port. `url` is known once it started; it may be started again after it died.

    `program` is what takes the place of `python -m partnerbus`, and in the end becomes it.
    """

    def __init__(
        self,
        data: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
        program: Sequence[str] = PARTNERBUS,
    ) -> None:
        self.data = data
        self.url = ""
        self._arguments = arguments
        self._environment = dict(environment or {})
        self._log = log
        self._program = program
        self._process: Process | None = None

    async def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start it and return once it is ready; `environment` adds to this start's alone."""
        command = [*self._program, "serve", "--port", "0", "--data", str(self.data)]
        log = self._log.open("ab") if self._log else None
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                *self._arguments,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=log if log is not None else DEVNULL,
                env=clean_environment() | self._environment | dict(environment or {}),
            )
        finally:
            if log is not None:
                log.close()
        async with asyncio.timeout(READY_SECONDS):
            self.url = await self._ready_url(self._process)

    async def wait(self) -> int:
        """Wait until it has ended; its exit status, negative for a signal."""
        process = self._running()
        _, status = await asyncio.gather(_drain(process), process.wait())
        return status

    async def kill(self) -> None:
        """`kill -9` it, as a power cut would, and wait until it is gone."""
        if self._running().returncode is None:
            self._running().kill()
        await self.wait()

    async def stop(self) -> int:
        """Ask it to stop, as an operator would; its exit status."""
        if self._running().returncode is None:
            self._running().send_signal(signal.SIGTERM)
        return await self.wait()

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    def _running(self) -> Process:
        if self._process is None:
            raise ServerDied("the server was never started")
        return self._process

    async def _ready_url(self, process: Process) -> str:
        assert process.stdout is not None
        async for line in process.stdout:
            if found := _READY.search(line):
                return found.group().decode()
        raise ServerDied(f"the server ended with status {await process.wait()} before it was ready")


async def _drain(process: Process) -> None:
    if process.stdout is not None:
        await process.stdout.read()


def clean_environment() -> dict[str, str]:
    """This process's, without what it says of a node of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PARTNERBUS_")}
