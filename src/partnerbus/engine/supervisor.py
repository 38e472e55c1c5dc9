"""What keeps the moving parts moving."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.telemetry import Log

PAUSE = timedelta(seconds=1)


class Sweep(msgspec.Struct, frozen=True):
    """Work that is done every so often."""

    name: str
    every: timedelta
    run: Callable[[], Awaitable[None]]


class Supervisor:
    """Runs loops and sweeps. What crashes is logged and started again after a pause on the clock."""

    def __init__(self, clock: Clock, log: Log) -> None:
        self._clock = clock
        self._log = log
        self._running: dict[str, asyncio.Task[None]] = {}
        self._down: set[str] = set()

    @property
    def is_ready(self) -> bool:
        """Whether something was started, and nothing that should run is down."""
        return bool(self._running) and not self._down

    @property
    def down(self) -> frozenset[str]:
        """The names of what crashed and has not been started again yet."""
        return frozenset(self._down)

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a loop until it returns or is stopped."""
        self._running[name] = asyncio.create_task(self._keep_running(name, run), name=name)

    def sweep(self, sweep: Sweep) -> None:
        """Run a sweep, for the first time after its period."""

        async def repeat() -> None:
            while True:
                await self._clock.sleep(sweep.every)
                await sweep.run()

        self.start(f"sweep {sweep.name}", repeat)

    async def stop(self, *names: str) -> None:
        """Cancel what runs under these names (all, if none is given), and wait for it to end."""
        stopped = [self._running.pop(name) for name in names or tuple(self._running)]
        for task in stopped:
            task.cancel()
        await asyncio.gather(*stopped, return_exceptions=True)

    async def _keep_running(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await run()
            except Exception:  # noqa: BLE001 (that is what this is for)
                self._log.exception("crashed, will be started again", part=name)
            else:
                return
            self._down.add(name)
            try:
                await self._clock.sleep(PAUSE)
            finally:
                self._down.discard(name)
