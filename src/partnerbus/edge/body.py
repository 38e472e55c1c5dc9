"""Reading bodies within limits: one request's, and all requests' together."""

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from partnerbus.api.errors import ApiError
from partnerbus.api.face import throttled
from partnerbus.edge.head import RequestHead

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

ALL_BODIES_BYTES = 256 * 1024 * 1024
"""What the bodies of all requests under way may take together."""


class Disconnected(Exception):
    """The caller went away before the request was complete."""


def too_large(limit: int) -> ApiError:
    return ApiError(
        "RequestEntityTooLargeException", f"The request body is larger than {limit} bytes.", status=413
    )


class BodyReader:
    """Reads bodies. Memory is taken only as bytes arrive, and never more than the two limits."""

    def __init__(self, all_bytes: int = ALL_BODIES_BYTES) -> None:
        self._left = all_bytes

    @asynccontextmanager
    async def read(self, head: RequestHead, receive: Receive, limit: int) -> AsyncIterator[bytes]:
        """The whole body, its memory counted until the block ends.

        Raises `ApiError` for one that is larger than `limit` (before reading, if the head says so) or for
        which all requests together have no room, and `Disconnected`.
        """
        announced = head.one(b"content-length")
        if announced is not None and int(announced) > limit:
            raise too_large(limit)
        taken = 0
        try:
            chunks = []
            more = True
            while more:
                chunk, more = await _next(receive)
                taken += len(chunk)
                self._left -= len(chunk)
                if taken > limit:
                    raise too_large(limit)
                if self._left < 0:
                    raise throttled()
                chunks.append(chunk)
            yield b"".join(chunks)
        finally:
            self._left += taken


async def _next(receive: Receive) -> tuple[bytes, bool]:
    event = await receive()
    if event["type"] == "http.disconnect":
        raise Disconnected
    return event.get("body", b""), event.get("more_body", False)


def decoded(head: RequestHead, body: bytes, limit: int) -> bytes:
    """The body with its `Content-Encoding` undone; never makes more than `limit` bytes."""
    encodings = head.values(b"content-encoding")
    if not encodings or encodings == ["identity"]:
        return body
    if encodings != ["gzip"]:
        raise _malformed("The only Content-Encoding that is understood is gzip.")
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise _malformed("The request body is not valid gzip.") from None
    if len(plain) > limit:
        raise too_large(limit)
    if not inflater.eof or inflater.unused_data:
        raise _malformed("The request body is not one whole gzip stream.")
    return plain


def _malformed(message: str) -> ApiError:
    return ApiError("MalformedHttpRequestException", message)
