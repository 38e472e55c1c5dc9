"""Which connections are kept, what is read from them, and that nobody gets another's answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from partnerbus.kernel.clock import SystemClock
from partnerbus.targets import outbound_pool
from partnerbus.targets.addresses import AddressGuard
from partnerbus.targets.outbound import Failure, OutboundFailure, OutboundRequest, OutboundResponse
from partnerbus.targets.outbound_client import HttpOutbound
from partnerbus.testing.receiver import Raw, Receiver, Respond

OK = b"HTTP/1.1 200 OK\r\n"
MINE, ANOTHERS = OK + b"Content-Length: 4\r\n\r\nmine", OK + b"Content-Length: 7\r\n\r\nanother"
REQUEST_END = b"\r\n\r\n"


@pytest.fixture
async def outbound() -> AsyncIterator[HttpOutbound]:
    outbound = HttpOutbound(SystemClock(), AddressGuard(allow_private=True))
    yield outbound
    await outbound.close()


async def body_of(outbound: HttpOutbound, url: str, method: str = "GET") -> bytes:
    answer = await outbound.send(OutboundRequest(method=method, url=url))
    assert isinstance(answer, OutboundResponse), answer
    return answer.body


Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def a_server(converse: Conversation) -> AsyncIterator[str]:
    """The URL of a server that does on each of its connections what it is told."""
    under_way: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        try:
            with suppress(asyncio.CancelledError, ConnectionError):
                await converse(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way)


# -- answers that nobody asked for -------------------------------------------------------------------------


async def test_an_answer_behind_the_answer_is_nobody_s(outbound: HttpOutbound):
    connections = 0

    async def say_more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(REQUEST_END)
        writer.write(MINE + ANOTHERS)
        assert await reader.read() == b""

    async with a_server(say_more) as url:
        assert [await body_of(outbound, url) for _ in range(2)] == [b"mine", b"mine"]
    assert connections == 2


async def test_what_comes_unasked_closes_the_connection(
    outbound: HttpOutbound, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outbound_pool, "IDLE_SECONDS", 3_600.0)
    first_is_read, is_closed = asyncio.Event(), asyncio.Event()

    async def say_it_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(REQUEST_END)
        writer.write(MINE)
        if not first_is_read.is_set():
            await first_is_read.wait()
            writer.write(ANOTHERS)
        assert await reader.read() == b""
        is_closed.set()

    async with a_server(say_it_later) as url:
        assert await body_of(outbound, url) == b"mine"
        first_is_read.set()
        await is_closed.wait()
        assert await body_of(outbound, url) == b"mine"
        await outbound.close()


async def test_an_answer_before_the_whole_request_is_the_answer_and_the_last(outbound: HttpOutbound):
    """A server that refuses a body it has not read: what is left of it must not follow."""
    read: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        read.append(await reader.readuntil(REQUEST_END))
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        while await reader.read(65_536):
            pass

    body = b"a" * 16_000_000
    async with a_server(refuse) as url:
        for _ in range(2):
            answer = await outbound.send(OutboundRequest(method="POST", url=url, body=body))
            assert isinstance(answer, OutboundResponse)
            assert answer.status == 413
    assert all(head.startswith(b"POST / HTTP/1.1\r\n") for head in read)
    assert len(read) == 2


# -- how an answer ends ------------------------------------------------------------------------------------


async def test_a_head_alone_is_the_whole_answer_to_head(outbound: HttpOutbound, receiver: Receiver):
    receiver.script("/", Respond(body=b"a body that HEAD does not send"))
    assert [await body_of(outbound, receiver.url, "HEAD") for _ in range(2)] == [b"", b""]
    assert [request.method for request in receiver.requests] == ["HEAD", "HEAD"]


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_that_has_no_body(outbound: HttpOutbound, receiver: Receiver, status: int):
    receiver.script("/", Respond(status=status))
    assert [await body_of(outbound, receiver.url) for _ in range(2)] == [b"", b""]
    assert receiver.connections == 1


@pytest.mark.parametrize("head", [OK, OK + b"Transfer-Encoding: gzip\r\n"])
async def test_a_body_may_end_with_its_connection(outbound: HttpOutbound, receiver: Receiver, head: bytes):
    receiver.script("/", Raw(head + b"\r\nall of it"))
    assert await body_of(outbound, receiver.url) == b"all of it"


async def test_a_chunked_body_that_ends_with_its_connection_is_broken(
    outbound: HttpOutbound, receiver: Receiver
):
    receiver.script("/", Raw(OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"))
    answer = await outbound.send(OutboundRequest(method="GET", url=receiver.url))
    assert isinstance(answer, OutboundFailure)
    assert answer.failure is Failure.CONNECTION


async def test_trailers_are_no_headers(outbound: HttpOutbound, receiver: Receiver):
    chunked = (
        b"Transfer-Encoding: chunked\r\nRetry-After: 1\r\n\r\n1\r\na\r\n0\r\nRetry-After: 2\r\nX-T: t\r\n\r\n"
    )
    receiver.script("/", Raw(OK + chunked))
    answer = await outbound.send(OutboundRequest(method="GET", url=receiver.url))
    assert isinstance(answer, OutboundResponse)
    assert answer.headers == {"transfer-encoding": "chunked", "retry-after": "1"}
    assert answer.body == b"a"


async def test_interim_answers_come_before_the_answer(outbound: HttpOutbound, receiver: Receiver):
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
    receiver.script("/", Raw(interim * 10 + MINE))
    answer = await outbound.send(OutboundRequest(method="GET", url=receiver.url))
    assert isinstance(answer, OutboundResponse)
    assert (answer.headers, answer.body) == ({"content-length": "4"}, b"mine")


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"".join(b"X-%d: a\r\n" % n for n in range(100_000)) + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000 + MINE,
    ],
    ids=["headers", "interim answers"],
)
async def test_a_head_has_a_bound(outbound: HttpOutbound, receiver: Receiver, answer: bytes):
    """All that comes before the body would be kept, or waited for."""
    receiver.script("/", Raw(answer))
    found = await outbound.send(OutboundRequest(method="GET", url=receiver.url))
    assert isinstance(found, OutboundFailure)
    assert found.failure is Failure.CONNECTION


@pytest.mark.parametrize("headers", [b"", b"Upgrade: other\r\nConnection: upgrade\r\n"])
async def test_another_protocol_is_an_answer_and_no_more(
    outbound: HttpOutbound, receiver: Receiver, headers: bytes
):
    receiver.script("/", Raw(b"HTTP/1.1 101 Switching Protocols\r\n" + headers + b"\r\nwhatever"))
    answer = await outbound.send(OutboundRequest(method="GET", url=receiver.url))
    assert isinstance(answer, OutboundResponse)
    assert (answer.status, answer.body) == (101, b"")


# -- which are kept ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [b"HTTP/1.0 200 OK\r\n", OK + b"Connection: close\r\n"])
async def test_a_connection_that_is_to_be_closed_is(
    outbound: HttpOutbound, receiver: Receiver, answer: bytes
):
    receiver.script("/", Raw(answer + b"Content-Length: 1\r\n\r\na"))
    assert [await body_of(outbound, receiver.url) for _ in range(2)] == [b"a", b"a"]
    assert receiver.connections == 2


async def test_calls_at_once_have_a_connection_each(outbound: HttpOutbound, receiver: Receiver):
    for _ in range(2):
        await asyncio.gather(*(body_of(outbound, receiver.url) for _ in range(8)))
    assert receiver.connections == 8


async def test_what_is_not_used_is_closed(
    outbound: HttpOutbound, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outbound_pool, "IDLE_SECONDS", 0.0)
    await body_of(outbound, receiver.url)
    await receiver.deserted()
    await body_of(outbound, receiver.url)
    await receiver.deserted()


async def test_no_more_are_kept_than_there_is_room_for(
    outbound: HttpOutbound, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outbound_pool, "IDLE_CONNECTIONS", 1)
    await body_of(outbound, receiver.url)
    async with Receiver() as other:
        await body_of(outbound, other.url)
        await receiver.deserted()
        await body_of(outbound, other.url)
        assert other.connections == 1


async def test_who_gives_up_closes_its_connection(outbound: HttpOutbound):
    asked, is_closed = asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(REQUEST_END)
        asked.set()
        assert await reader.read() == b""
        is_closed.set()

    async with a_server(hang) as url:
        sent = asyncio.create_task(outbound.send(OutboundRequest(method="GET", url=url)))
        await asked.wait()
        sent.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sent
        await is_closed.wait()
