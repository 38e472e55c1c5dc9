"""The smallest client there is: signs nothing, for servers that run with `--auth none`.

The harness kills the server while requests are under way, and must know exactly which of them were
answered. An SDK retries on its own, so the harness does not use one.
"""

from types import TracebackType
from typing import Self

import aiohttp
import msgspec

CONTENT_TYPE = "application/x-amz-json-1.1"


class WireError(Exception):
    """The server answered with an error; `code` is its `__type`."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code


class Wire:
    """Calls operations as one account in one region."""

    def __init__(self, url: str, account: str, region: str = "us-east-1", connections: int = 64) -> None:
        self.url = url
        credential = f"{account}/20260101/{region}/events/aws4_request"
        self._headers = {
            "Content-Type": CONTENT_TYPE,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=00",
        }
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections))

    async def call(self, operation: str, **members: object) -> dict[str, object]:
        """Call an operation; its answer, or `WireError`, or an `aiohttp.ClientError` if none came."""
        headers = self._headers | {"X-Amz-Target": f"AWSEvents.{operation}"}
        body = msgspec.json.encode(members)
        async with self._session.post(self.url, data=body, headers=headers) as response:
            content = await response.read()
        answer = msgspec.json.decode(content, type=dict[str, object]) if content else {}
        if response.status != 200:
            raise WireError(str(answer.get("__type")), str(answer.get("message")))
        return answer

    async def close(self) -> None:
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
