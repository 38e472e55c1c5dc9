"""A connection to somebody else's server that takes only so much of an answer.

aiohttp bounds a head, and whoever reads a body may stop. What it does not bound is what comes before the
head (interim answers, which it reads for ever, without a turn for anybody else) and between the pieces of a
body. A server that sends such without end would hold up every other delivery of the node until its call is
timed out; here it is cut off.
"""

import asyncio
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage

ANSWER_BYTES = 4 * 1024 * 1024
"""How much is taken of an answer, whatever it is made of. No body that is read whole comes near it."""

INTERIM_ANSWERS = 16
"""How many answers of 100 to 199 may come before the real one."""


class OutboundConnection(ResponseHandler):
    """aiohttp's connection, with bounds."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._bytes_left = ANSWER_BYTES
        self._interim_left = INTERIM_ANSWERS

    def set_response_params(self, **params: Any) -> None:
        """A request is sent: its answer has the whole allowance."""
        self._bytes_left = ANSWER_BYTES
        self._interim_left = INTERIM_ANSWERS
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            self._cut()
        else:
            super().data_received(data)

    def feed_data(self, data: tuple[RawResponseMessage, aiohttp.StreamReader], size: int = 0) -> None:
        if self._interim_left < 0:
            return
        if data[0].code < 200:
            self._interim_left -= 1
        if self._interim_left < 0:
            self._cut()
        else:
            super().feed_data(data, size)

    def _cut(self) -> None:
        error = aiohttp.ClientPayloadError("The answer does not end.")
        if self._payload is not None:
            self._payload.set_exception(error)
        self.set_exception(error)
        if self.transport is not None:
            self.transport.abort()
