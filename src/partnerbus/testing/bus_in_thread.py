"""A whole node in a thread of this process, for tests that are not asyncio themselves (boto3 is not)."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import boto3
import msgspec

from partnerbus.kernel.clock import SystemClock
from partnerbus.kernel.telemetry import make_log
from partnerbus.node.node import Node
from partnerbus.node.settings import AuthMode, Settings
from partnerbus.testing.receiver import Received, Receiver, Script

if TYPE_CHECKING:
    from types_boto3_events import EventBridgeClient

PATIENCE_SECONDS = 60.0

T = TypeVar("T")


class BusInThread:
    """A real server on a free port that takes anybody's word, and an HTTP receiver beside it.

    `with BusInThread(folder) as bus: bus.client("111122223333").list_event_buses()`. Its time is the
    machine's until `advance` shifts it. `settings` are those of `partnerbus serve`, by field name.
    """

    def __init__(self, data: Path, **settings: object) -> None:
        usual = Settings(data=data, port=0, auth=AuthMode.NONE, allow_private_targets=True, allow_reset=True)
        self._settings = msgspec.structs.replace(usual, **settings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="partnerbus", daemon=True)
        self._stack = AsyncExitStack()
        self._clock = SystemClock()
        self._receiver = Receiver()
        self._node = Node(self._settings, clock=self._clock, log=make_log("error"))

    @property
    def url(self) -> str:
        """What a client takes as its `endpoint_url`."""
        return self._node.url

    def client(self, account: str, region: str = "us-east-1") -> "EventBridgeClient":
        """A boto3 `events` client that acts as `account`, and as every partner."""
        return boto3.client(
            "events",
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=account,
            aws_secret_access_key="any",  # noqa: S106
        )

    def advance(self, duration: timedelta) -> None:
        """Shift the node's time forwards; retries and expiries that are due by then happen at once."""
        self._loop.call_soon_threadsafe(self._clock.shift, duration)
        self.idle()

    def idle(self) -> None:
        """Wait until every event is routed and every delivery that is due has been attempted."""
        self._run(self._node.idle())

    def reset(self) -> None:
        """Forget everything but accounts and keys, and what the receiver got. Time goes on."""
        self._run(self._node.reset())
        self._loop.call_soon_threadsafe(self._receiver.forget)

    def script(self, path: str, *answers: Script) -> str:
        """Let the receiver answer requests for `path` so, the last one for ever; the URL to deliver to."""
        self._loop.call_soon_threadsafe(self._receiver.script, path, *answers)
        return self._receiver.url + path

    def received(self, count: int, path: str | None = None) -> list[Received]:
        """Wait until `count` requests have arrived at the receiver (for `path`, if given); all of them."""
        return self._run(self._receiver.received(count, path))

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._run(self._stack.enter_async_context(self._receiver))
            self._run(self._stack.enter_async_context(self._node))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        try:
            self._run(self._stack.aclose())
            self._run(self._loop.shutdown_asyncgens())
            self._run(self._loop.shutdown_default_executor())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _run(self, work: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)
