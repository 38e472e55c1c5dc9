"""Answers that are meant to do harm: bounded memory, a loop that goes on, and no secret in what is kept."""

import asyncio
import io
import tracemalloc
import zlib

import pytest

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.telemetry import make_log
from partnerbus.model.reply import BODY_HEAD_BYTES, ErrorCode
from partnerbus.targets.addresses import AddressGuard
from partnerbus.targets.names import UrlCheck
from partnerbus.targets.outbound import (
    BODY_LIMIT_BYTES,
    CALL_TIMEOUT,
    OutboundRequest,
    OutboundResponse,
)
from partnerbus.targets.outbound_client import HttpOutbound
from partnerbus.testing.receiver import Drip, HalfClose, Huge, Raw, Receiver, Respond, Script
from tests.targets.sending import Sending
from tests.targets.things import Resources, a_connection, a_destination, a_target, an_invocation

OK = b"HTTP/1.1 200 OK\r\n"
FOR_EVER = 10**9
MEMORY = 24 * 1024 * 1024
"""What one answer may take while it is read: its bounds, the sockets' buffers, and the receiver's own."""

NOT_HTTP: dict[str, Script] = {
    "garbage": Raw(b"\x00\xff\xfe garbage \r\n\r\n"),
    "mail": Raw(b"220 mail.example ESMTP\r\n"),
    "no status": Raw(b"HTTP/1.1\r\n\r\n"),
    "status of words": Raw(b"HTTP/1.1 two hundred OK\r\n\r\n"),
    "status too large": Raw(b"HTTP/1.1 99999999999999999999 OK\r\n\r\n"),
    "nothing": Raw(b""),
    "half a head": Raw(OK + b"X-A: 1"),
    "header without name": Raw(OK + b": 1\r\n\r\n"),
    "header over lines": Raw(OK + b"X-A: 1\r\n 2\r\nContent-Length: x\r\n\r\n"),
    "two lengths": Raw(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    "negative length": Raw(OK + b"Content-Length: -1\r\n\r\n"),
    "chunk of words": Raw(OK + b"Transfer-Encoding: chunked\r\n\r\nmany\r\n"),
    "half a body": HalfClose(),
    "long status line": Raw(b"HTTP/1.1 200 ", b"O" * 4_096, 100),
    "long header": Raw(OK + b"X-A: ", b"a" * 4_096, 100),
    "long header name": Raw(OK, b"a" * 4_096, 100),
}


@pytest.mark.parametrize("name", NOT_HTTP)
async def test_what_is_no_answer_is_a_failed_attempt(sending: Sending, name: str):
    reply = await sending.send(NOT_HTTP[name], connection=a_connection(secret="sesame"))
    assert not reply.accepted
    assert reply.retryable
    assert "sesame" not in repr(reply)


ENDLESS: dict[str, Script] = {
    "headers": Raw(OK, b"X-A: " + b"a" * 1_000 + b"\r\n", FOR_EVER),
    "status line": Raw(b"HTTP/1.1 200 ", b"O" * 65_536, FOR_EVER),
    "header": Raw(OK + b"X-A: ", b"a" * 65_536, FOR_EVER),
    "body": Huge(size=10**12),
    "body without length": Raw(OK + b"\r\n", b"a" * 65_536, FOR_EVER),
    "chunks": Raw(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 10_000, FOR_EVER),
    "one chunk": Raw(OK + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n", b"a" * 65_536, FOR_EVER),
    "chunk extensions": Raw(OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a" * 65_536, FOR_EVER),
    "trailers": Raw(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: a\r\n" * 1_000, FOR_EVER),
    "continues": Raw(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000, FOR_EVER),
    "answers": Raw(b"", (OK + b"Content-Length: 1\r\n\r\na") * 1_000, FOR_EVER),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_what_never_ends_is_cut(receiver: Receiver, name: str):
    receiver.script("/", ENDLESS[name])
    outbound = HttpOutbound(ManualClock(), AddressGuard(allow_private=True))  # no time ends a call
    request = OutboundRequest(method="POST", url=receiver.url)
    other = OutboundRequest(method="POST", url=f"{receiver.url}/other")
    tracemalloc.start()
    try:
        cut = asyncio.create_task(outbound.send(request))
        await receiver.received(1)
        others = [await outbound.send(other) for _ in range(5)]
        answer = await cut
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await outbound.close()
    assert not isinstance(answer, OutboundResponse) or len(answer.body) <= BODY_LIMIT_BYTES
    assert peak < MEMORY
    assert all(isinstance(each, OutboundResponse) for each in others)


async def test_a_body_that_drips_ends_in_time(sending: Sending):
    sent = asyncio.create_task(sending.send(Drip(body=b"HTTP", promised=10**12)))
    await sending.receiver.received(1)
    await sending.clock.advance(CALL_TIMEOUT)
    assert (await sent).error is ErrorCode.TIMEOUT


async def test_an_answer_that_packs_much_into_little_is_not_unpacked_far(sending: Sending):
    packed = zlib.compress(b"a" * 50_000_000, 9)[:BODY_LIMIT_BYTES]
    answer = Respond(status=500, headers={"Content-Encoding": "deflate"}, body=packed)
    tracemalloc.start()
    try:
        reply = await sending.send(answer)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reply.body_head == "a" * BODY_HEAD_BYTES
    assert peak < MEMORY


async def test_a_private_authority_is_not_trusted_and_gets_no_secret(private_ca):
    server, _ = private_ca
    async with Receiver(tls=server) as receiver:
        sending = Sending(receiver)
        reply = await sending.send(connection=a_connection(secret="sesame"))
        await sending.close()
    assert (reply.error, reply.retryable) == (ErrorCode.CONNECTION_FAILURE, True)
    assert receiver.requests == []


async def test_what_is_kept_of_an_answer_can_be_logged(sending: Sending):
    """Secrets that come back, in any spelling, are in no line."""
    evil = b'{"you": "sesame/\xc3\xb6", "k": "sesame%2F%C3%B6", "b": "c2VzYW1lL8O2"}\r\n\x1b[31m\x00'
    reply = await sending.send(Respond(status=500, body=evil), connection=a_connection(secret="sesame/ö"))
    written = io.BytesIO()
    stream = io.TextIOWrapper(written)
    make_log("info", stream).info("attempt", reply=repr(reply), body=reply.body_head)
    await asyncio.sleep(0)  # lines of a turn of the event loop are written at its end
    assert b"sesame" not in written.getvalue()
    assert b"c2VzYW1l" not in written.getvalue()
    assert written.getvalue().count(b"\n") == 1
    assert b"\x1b" not in written.getvalue()


async def test_a_name_that_was_public_when_it_was_put_is_refused_when_it_is_private(sending: Sending):
    """DNS rebinding between the check and the attempt."""
    answers = [["8.8.8.8"], ["127.0.0.1"]]

    async def resolve(_: str) -> list[str]:
        return answers.pop(0)

    guard, connection = AddressGuard(), a_connection()
    check = UrlCheck(guard, sending.clock, resolve)
    url = f"https://rebinding.example:{sending.receiver.port}/hook"
    assert await check.refusal(url) is None
    destination = a_destination(url, connection=connection)
    outbound = HttpOutbound(sending.clock, guard, resolve)
    invoker = sending.invoker_of(Resources(destination, connection), outbound)
    reply = await invoker.invoke(an_invocation(a_target(destination.arn)))
    await outbound.close()
    await check.close()
    assert (reply.error, reply.retryable) == (ErrorCode.INVALID_PARAMETER, False)
    assert sending.receiver.connections == 0
