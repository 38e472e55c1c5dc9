"""What callers reach: the node's inside of now, behind a gate that is closed while another one is made.

The server and all that tells callers apart stay; what they ask stands here. So nobody outside holds a part of
an inside that is gone.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import msgspec

from partnerbus.api.admin import Admin, AdminAnswer
from partnerbus.api.admin.reset import RESET_PATH
from partnerbus.api.admin.tail import TAIL_PATH
from partnerbus.api.admin.viewer import Viewer
from partnerbus.api.errors import ApiError
from partnerbus.api.face import Answer, Face, refusal
from partnerbus.api.operation import Call, Services
from partnerbus.engine.accounts import KeyHolder
from partnerbus.engine.engine import Engine
from partnerbus.node.folder import Opened
from partnerbus.store.line_files import LineFiles
from partnerbus.targets.registry import Targets


class Inside(msgspec.Struct, frozen=True, kw_only=True):
    """All that knows what is stored. It is made, opened once, and closed."""

    found: Opened
    targets: Targets
    bus_logs: LineFiles
    traces: LineFiles
    engine: Engine
    services: Services
    face: Face
    admin: Admin

    async def open(self) -> None:
        """Let it move. If that fails it is closed."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.targets.close)
            stack.push_async_callback(self.bus_logs.close)
            stack.push_async_callback(self.traces.close)
            await stack.enter_async_context(self.engine)
            stack.pop_all()

    async def close(self, grace: timedelta) -> None:
        """Let attempts under way end within `grace`, then let go of everything but the store."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.targets.close)
            stack.push_async_callback(self.bus_logs.close)
            stack.push_async_callback(self.traces.close)
            stack.push_async_exit(self.engine)
            await self.engine.drain(grace)


class Gate:
    """Calls pass while it is open. Whoever closes it waits until nobody is behind it any more."""

    def __init__(self) -> None:
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._inside = 0
        self._closing = asyncio.Lock()

    async def __aenter__(self) -> None:
        while not self._is_open.is_set():
            await self._is_open.wait()
        self._inside += 1
        self._is_empty.clear()

    async def __aexit__(self, *_: object) -> None:
        self._inside -= 1
        if not self._inside:
            self._is_empty.set()

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Closed and empty for the length of the block; one after the other, if several want that."""
        async with self._closing:
            self._is_open.clear()
            try:
                await self._is_empty.wait()
                yield
            finally:
                self._is_open.set()


NO_EDGE = "This node answers no callers of the API: its role is another one. Ask another node."


class FrontFace:
    """The face of the inside of now; of a node that is no edge, a refusal that SDKs try again elsewhere."""

    def __init__(self, gate: Gate, inside: Callable[[], Inside], *, is_edge: bool) -> None:
        self._gate = gate
        self._inside = inside
        self._is_edge = is_edge

    def knows(self, operation: str) -> bool:
        return self._inside().face.knows(operation)

    async def answer(self, call: Call, body: bytes) -> Answer:
        if not self._is_edge:
            return refusal(ApiError("InternalException", NO_EDGE, 503))
        async with self._gate:
            return await self._inside().face.answer(call, body)


NOT_BEHIND_THE_GATE = (RESET_PATH, TAIL_PATH)


class FrontAdmin:
    """The admin face of the inside of now.

    What makes another one closes the gate itself, and who only waits for something to happen must not keep it
    open.
    """

    def __init__(self, gate: Gate, inside: Callable[[], Inside]) -> None:
        self._gate = gate
        self._inside = inside

    async def answer(
        self, viewer: Viewer, method: str, path: str, query: Mapping[str, str], body: bytes
    ) -> AdminAnswer:
        if path.rstrip("/") in NOT_BEHIND_THE_GATE:
            return await self._inside().admin.answer(viewer, method, path, query, body)
        async with self._gate:
            return await self._inside().admin.answer(viewer, method, path, query, body)


class FrontKeys:
    """The accounts and keys of the inside of now; those of the next are the same."""

    def __init__(self, inside: Callable[[], Inside]) -> None:
        self._inside = inside

    def holder(self, access_key: str) -> KeyHolder | None:
        return self._inside().found.accounts.holder(access_key)

    def is_account(self, account: str) -> bool:
        return self._inside().found.accounts.find(account) is not None
