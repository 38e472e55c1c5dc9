"""A server that is too busy at first, as a client sees it."""

from collections import Counter
from types import TracebackType
from typing import Self

from aiohttp import ClientSession, web

from partnerbus.api.face import refusal, throttled

ENDS_AT_EACH_SIDE = {"connection", "content-encoding", "transfer-encoding"}
"""Headers that are of a connection, not of an answer."""


class BusyAtFirst:
    """Stands before a server. It throttles the first call of an operation; all others pass.

    `calls` counts what clients sent, by operation.
    """

    def __init__(self, server: str, operation: str) -> None:
        self.url = ""
        self.calls: Counter[str] = Counter()
        self._server = server
        self._operation = operation

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        operation = request.headers["X-Amz-Target"].partition(".")[2]
        self.calls[operation] += 1
        if operation == self._operation and self.calls[operation] == 1:
            answer = refusal(throttled())
            return web.Response(
                status=answer.status, body=answer.body, headers={"x-amzn-errortype": str(answer.error)}
            )
        # With the Host that was signed.
        async with self._session.post(self._server, data=body, headers=request.headers) as reply:
            kept = {
                name: value for name, value in reply.headers.items() if name.lower() not in ENDS_AT_EACH_SIDE
            }
            return web.Response(status=reply.status, body=await reply.read(), headers=kept)

    async def __aenter__(self) -> Self:
        self._session = ClientSession()
        app = web.Application()
        app.router.add_post("/", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._session.close()
