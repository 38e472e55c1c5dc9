"""The promises of `Outbound`, on real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from partnerbus.kernel.clock import ManualClock, SystemClock
from partnerbus.targets.addresses import AddressGuard
from partnerbus.targets.outbound import (
    CALL_TIMEOUT,
    Failure,
    OutboundFailure,
    OutboundRequest,
    OutboundResponse,
)
from partnerbus.targets.outbound_client import HttpOutbound
from partnerbus.testing.receiver import Drip, HalfClose, Hang, Huge, Receiver, Reset, Respond

OPEN = AddressGuard(allow_private=True)
CLOSED = AddressGuard()


@asynccontextmanager
async def an_outbound(guard=OPEN, clock=None, resolve=None, tls=None) -> AsyncIterator[HttpOutbound]:
    outbound = HttpOutbound(clock or SystemClock(), guard, resolve, tls)
    try:
        yield outbound
    finally:
        await outbound.close()


def post(url: str, body: bytes = b"{}") -> OutboundRequest:
    return OutboundRequest(method="POST", url=url, headers={"X-Test": "1"}, body=body)


def failure_of(answer: OutboundResponse | OutboundFailure) -> Failure:
    assert isinstance(answer, OutboundFailure), answer
    return answer.failure


async def test_sends_exactly_what_it_is_given(receiver: Receiver):
    receiver.script("/p/%2F", Respond(status=202, headers={"Retry-After": "1"}, body=b"ok"))
    async with an_outbound() as outbound:
        answer = await outbound.send(post(f"{receiver.url}/p/%252F?a=%2B&b", b'{"a":1}'))
    assert isinstance(answer, OutboundResponse)
    assert (answer.status, answer.headers["retry-after"], answer.body) == (202, "1", b"ok")
    [request] = receiver.requests
    assert (request.method, request.target, request.body) == ("POST", "/p/%252F?a=%2B&b", b'{"a":1}')
    assert set(request.headers) == {"host", "x-test", "content-length"}


async def test_connections_are_used_again(receiver: Receiver):
    async with an_outbound() as outbound:
        for _ in range(5):
            await outbound.send(post(receiver.url))
    assert receiver.connections == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(receiver: Receiver, status: int):
    receiver.script("/", Respond(status=status, headers={"Location": f"{receiver.url}/elsewhere"}))
    async with an_outbound() as outbound:
        answer = await outbound.send(post(receiver.url))
    assert isinstance(answer, OutboundResponse)
    assert answer.status == status
    assert [request.path for request in receiver.requests] == ["/"]


async def test_a_huge_answer_is_cut_and_the_rest_never_fetched(receiver: Receiver):
    receiver.script("/", Huge(size=1_000_000_000))
    async with an_outbound() as outbound:
        answer = await outbound.send(
            OutboundRequest(method="GET", url=receiver.url, body_limit=1_000, timeout=CALL_TIMEOUT)
        )
    assert isinstance(answer, OutboundResponse)
    assert answer.body == b"x" * 1_000
    assert receiver.sent_bytes < 50_000_000  # what the sockets' buffers took


async def test_a_compressed_answer_is_not_unpacked(receiver: Receiver):
    receiver.script("/", Respond(headers={"Content-Encoding": "gzip"}, body=b"not gzip at all"))
    async with an_outbound() as outbound:
        answer = await outbound.send(post(receiver.url))
    assert isinstance(answer, OutboundResponse)
    assert answer.body == b"not gzip at all"


@pytest.mark.parametrize("answer", [Hang(), Drip()])
async def test_the_whole_call_ends_in_time(receiver: Receiver, answer):
    clock = ManualClock()
    receiver.script("/", answer)
    async with an_outbound(clock=clock) as outbound:
        sent = asyncio.create_task(outbound.send(post(receiver.url)))
        await receiver.received(1)
        await clock.advance(CALL_TIMEOUT - timedelta(milliseconds=1))
        assert not sent.done()
        await clock.advance(timedelta(milliseconds=1))
        assert failure_of(await sent) is Failure.TIMEOUT


@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
@pytest.mark.parametrize("answer", [Reset(), HalfClose()])
async def test_a_broken_connection_is_a_failure_and_nothing_is_sent_twice(receiver: Receiver, answer, method):
    receiver.script("/", Respond(), answer)
    async with an_outbound() as outbound:
        await outbound.send(OutboundRequest(method=method, url=receiver.url))
        broken = await outbound.send(OutboundRequest(method=method, url=receiver.url))
    assert failure_of(broken) is Failure.CONNECTION
    assert len(receiver.requests) == 2


async def test_nobody_listens():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]  # bound, so that nobody else gets it, and not listening
        async with an_outbound() as outbound:
            assert failure_of(await outbound.send(post(f"http://127.0.0.1:{port}"))) is Failure.CONNECTION


async def test_what_answers_is_no_http_server():
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server, an_outbound() as outbound:
        port = server.sockets[0].getsockname()[1]
        assert failure_of(await outbound.send(post(f"http://127.0.0.1:{port}"))) is Failure.CONNECTION


# -- names and addresses -----------------------------------------------------------------------------------


class FakeResolver:
    """Answers each look-up with the next list of addresses."""

    def __init__(self, *answers: Sequence[str] | OSError) -> None:
        self._answers = list(answers)

    async def __call__(self, host: str) -> Sequence[str]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), Failure.NAME_UNKNOWN),
        (socket.gaierror(socket.EAI_AGAIN, "again"), Failure.NAME_LOOKUP),
    ],
)
async def test_names_that_do_not_resolve(error, failure):
    async with an_outbound(resolve=FakeResolver(error)) as outbound:
        assert failure_of(await outbound.send(post("http://nowhere.example/"))) is failure


async def test_a_name_with_no_addresses_at_all():
    async with an_outbound(resolve=FakeResolver([])) as outbound:
        assert failure_of(await outbound.send(post("http://nowhere.example/"))) is Failure.NAME_UNKNOWN


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"])
async def test_refused_addresses_are_never_connected_to(receiver: Receiver, host: str):
    async with an_outbound(CLOSED) as outbound:
        answer = await outbound.send(post(f"http://{host}:{receiver.port}/"))
    assert failure_of(answer) is Failure.ADDRESS_REFUSED
    assert receiver.connections == 0


@pytest.mark.parametrize("host", ["0x7f.1", "2130706433", "0177.0.0.1", "127.1"])
async def test_odd_spellings_are_refused(receiver: Receiver, host: str):
    async with an_outbound(CLOSED) as outbound:
        answer = await outbound.send(post(f"http://{host}:{receiver.port}/"))
    assert failure_of(answer) in (Failure.ADDRESS_REFUSED, Failure.NAME_UNKNOWN, Failure.INVALID)
    assert receiver.connections == 0


async def test_a_name_that_turns_private_is_refused(receiver: Receiver):
    """DNS rebinding: public when it was put, private when it is used; and one of two addresses private."""
    rebinding = FakeResolver(["127.0.0.1"])
    async with an_outbound(CLOSED, resolve=rebinding) as outbound:
        answer = await outbound.send(post(f"http://rebinding.example:{receiver.port}/"))
    assert failure_of(answer) is Failure.ADDRESS_REFUSED
    assert receiver.connections == 0


async def test_the_last_check_is_at_the_socket(receiver: Receiver):
    """Even a resolver that lies after its check cannot make a socket connect."""

    class Switching(AddressGuard):
        asked = 0

        def allows(self, address):
            self.asked += 1
            return self.asked == 1  # allowed when resolved, refused when connected to

    guard = Switching()
    async with an_outbound(guard, resolve=FakeResolver(["127.0.0.1"])) as outbound:
        answer = await outbound.send(post(f"http://rebinding.example:{receiver.port}/"))
    assert (failure_of(answer), guard.asked) == (Failure.ADDRESS_REFUSED, 2)
    assert receiver.connections == 0


async def test_allowed_addresses_of_a_name_are_used(receiver: Receiver):
    resolve = FakeResolver(["169.254.169.254", "127.0.0.1"])
    async with an_outbound(OPEN, resolve=resolve) as outbound:
        answer = await outbound.send(post(f"http://mixed.example:{receiver.port}/"))
    assert isinstance(answer, OutboundResponse)
    assert receiver.requests[0].headers["host"] == f"mixed.example:{receiver.port}"


# -- TLS ---------------------------------------------------------------------------------------------------


async def test_a_trusted_certificate(private_ca):
    server, client = private_ca
    async with Receiver(tls=server) as receiver, an_outbound(tls=client) as outbound:
        assert isinstance(await outbound.send(post(receiver.url)), OutboundResponse)


async def test_an_unknown_issuer_is_refused(private_ca):
    server, _ = private_ca
    async with Receiver(tls=server) as receiver, an_outbound() as outbound:
        assert failure_of(await outbound.send(post(receiver.url))) is Failure.TLS
        assert receiver.requests == []


async def test_a_certificate_for_another_name_is_refused(private_ca):
    server, client = private_ca
    resolve = FakeResolver(["127.0.0.1"])
    async with Receiver(tls=server) as receiver, an_outbound(tls=client, resolve=resolve) as outbound:
        answer = await outbound.send(post(f"https://other.example:{receiver.port}"))
        assert failure_of(answer) is Failure.TLS
        assert receiver.requests == []


async def test_plain_http_where_tls_was_asked_for(receiver: Receiver):
    async with an_outbound() as outbound:
        answer = await outbound.send(post(f"https://127.0.0.1:{receiver.port}"))
    assert failure_of(answer) in (Failure.TLS, Failure.CONNECTION)


# -- hostile requests --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\0b"])
async def test_headers_cannot_be_split(receiver: Receiver, value: str):
    async with an_outbound() as outbound:
        answer = await outbound.send(
            OutboundRequest(method="POST", url=receiver.url, headers={"X-Test": value})
        )
    assert failure_of(answer) is Failure.INVALID
    assert receiver.requests == []
