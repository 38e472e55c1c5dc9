"""Reading bodies within limits: one request's, and all requests' together."""

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
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

    def read(self, head: RequestHead, receive: Receive, limit: int) -> "_Reading":
        """`async with` it for the whole body; its memory is counted until the block ends.

        Raises `ApiError` for one that is larger than `limit` (before reading, if the head says so) or for
        which all requests together have no room, and `Disconnected`.
        """
        announced = head.one(b"content-length")
        if announced is not None and int(announced) > limit:
            raise too_large(limit)
        return _Reading(self, receive, limit)

    def take(self, size: int) -> None:
        """Count so many bytes more (or fewer, if negative); `ApiError` if there is no room for them."""
        self._left -= size
        if self._left < 0 < size:
            raise throttled()


class _Reading:
    """One body. (A class, since a generator would cost as much as the rest of it.)"""

    __slots__ = ("_limit", "_reader", "_receive", "_taken")

    def __init__(self, reader: BodyReader, receive: Receive, limit: int) -> None:
        self._reader = reader
        self._receive = receive
        self._limit = limit
        self._taken = 0

    async def __aenter__(self) -> bytes:
        chunks = []
        more = True
        try:
            while more:
                chunk, more = await _next(self._receive)
                self._take(len(chunk))
                chunks.append(chunk)
        except BaseException:
            self._release()
            raise
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _take(self, size: int) -> None:
        self._taken += size
        self._reader.take(size)
        if self._taken > self._limit:
            raise too_large(self._limit)

    def _release(self) -> None:
        self._reader.take(-self._taken)


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
