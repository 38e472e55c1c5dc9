import asyncio
import signal
import socket
from datetime import timedelta

import pytest

from partnerbus.edge.server import Server, listen
from partnerbus.kernel.errors import ConfigurationError
from tests.edge.world import open_world, read_reply, until


async def nothing(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def asked(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    status = (await read_reply(reader)).status
    writer.close()
    await writer.wait_closed()
    return status


async def test_port_0_takes_a_free_port_and_tells_it():
    server = Server(nothing, "127.0.0.1", 0)
    server.bind()
    port = server.port
    assert port > 0
    async with server:
        assert server.port == port
        assert server.url == f"http://127.0.0.1:{port}"
        assert await asked(port) == 200


@pytest.mark.parametrize(
    ("host", "url"), [("0.0.0.0", "http://127.0.0.1:"), ("localhost", "http://localhost:")]
)
async def test_the_url_is_one_that_clients_can_use(host, url):
    async with Server(nothing, host, 0) as server:
        assert server.url == f"{url}{server.port}"
        assert await asked(server.port) == 200


async def test_a_taken_port_is_said_before_anything_runs():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError) as caught:
            Server(nothing, "127.0.0.1", port).bind()
    assert str(caught.value).startswith(f"Port {port} of 127.0.0.1 is already in use")


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("no.such.host.invalid", "The host 'no.such.host.invalid' is not known."),
        ("192.0.2.1", "This machine has"),
    ],
)
async def test_a_host_that_cannot_be(host, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        Server(nothing, host, 0).bind()


async def test_a_port_is_free_again_after_the_server():
    async with Server(nothing, "127.0.0.1", 0) as server:
        assert await asked(server.port) == 200
    async with Server(nothing, "127.0.0.1", server.port) as again:
        assert await asked(again.port) == 200


async def test_signal_handlers_are_left_alone():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with Server(nothing, "127.0.0.1", 0):
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_a_stopping_server_finishes_what_it_has_begun(tmp_path):
    async with open_world(tmp_path) as world, world.connected() as (reader, writer):
        writer.write(world.signed(b'{"Name":"a"}', operation="EnableRule").wire())
        await world.gate.entered.wait()
        async with world.connected() as (idle, _):
            stopping = asyncio.create_task(world.server.__aexit__(None, None, None))
            assert await idle.read() == b""  # connections without a request go at once
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", world.server.port)
        assert not stopping.done()
        world.gate.opened.set()
        reply = await read_reply(reader)
        assert reply.status == 200
        assert reply.headers["connection"] == "close"
        await stopping


async def test_a_request_whose_head_has_begun_is_still_answered(tmp_path):
    async with open_world(tmp_path) as world, world.connected() as (reader, writer):
        sent = world.signed().wire()
        writer.write(sent[:40])
        await writer.drain()
        await until(lambda: any(c.headers is not None for c in world.server._connections()))
        stopping = asyncio.create_task(world.server.__aexit__(None, None, None))
        await asyncio.sleep(0)
        writer.write(sent[40:])
        reply = await read_reply(reader)
        assert reply.status == 200
        assert reply.headers["connection"] == "close"
        await stopping


async def test_what_does_not_finish_in_time_is_cut_off(tmp_path):
    short = timedelta(seconds=0.05)
    async with open_world(tmp_path, drain=short) as world, world.connected() as (reader, writer):
        writer.write(world.signed(b'{"Name":"a"}', operation="EnableRule").wire())
        await world.gate.entered.wait()
        await world.server.__aexit__(None, None, None)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await read_reply(reader)


async def test_beyond_the_most_connections_callers_are_told_to_try_again():
    async with Server(nothing, "127.0.0.1", 0, most_connections=2) as server:
        with socket.create_connection(("127.0.0.1", server.port)):
            assert await asked(server.port) == 503
