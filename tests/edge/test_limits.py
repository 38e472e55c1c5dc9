import asyncio
import gzip
import json

import pytest

from partnerbus.edge.aws_json import body_limit
from partnerbus.edge.connection import ConnectionLimits
from tests.edge.world import ENTRIES_BYTES, World, open_world, read_reply

pytestmark = pytest.mark.slow

LIMIT = body_limit(ENTRIES_BYTES)
TOO_LARGE = (413, "RequestEntityTooLargeException", f"The request body is larger than {LIMIT} bytes.")


async def test_the_largest_body_passes(world):
    body = json.dumps({"Name": "a", "Ignored": ""}).encode()
    body = body.replace(b'""', b'"' + b"x" * (LIMIT - len(body)) + b'"')
    assert len(body) == LIMIT
    assert (await world.call("DescribeEventBus", body)).status == 200


async def test_ten_megabytes_with_a_length_are_refused_and_the_connection_stays(world):
    body = b"x" * 10_000_000
    async with world.connected() as (reader, writer):
        writer.write(world.signed(body).wire())
        assert (await read_reply(reader)).error == TOO_LARGE
        await writer.drain()
        writer.write(world.signed().wire())
        assert (await read_reply(reader)).status == 200


async def test_what_follows_a_refusal_is_read_up_to_a_limit(tmp_path):
    async with open_world(tmp_path, limits=ConnectionLimits(discarded_bytes=1_000_000)) as world:
        async with world.connected() as (_, writer):
            writer.write(world.signed(b"x" * 50_000_000).wire())
            with pytest.raises(ConnectionError):
                await writer.drain()
        assert (await world.call()).status == 200


async def test_a_length_beyond_the_limit_is_refused_before_the_body_is_sent(world):
    head = world.signed().having(Content_Length=str(10**15)).wire().removesuffix(b"{}")
    assert (await world.raw(head)).error == TOO_LARGE


async def test_ten_megabytes_in_chunks_are_cut_off_at_the_limit(world):
    head = world.signed().without("Content-Length").having(Transfer_Encoding="chunked")
    async with world.connected() as (reader, writer):
        writer.write(head.wire().removesuffix(b"{}"))
        reply = asyncio.create_task(read_reply(reader))
        sent = 0
        while not reply.done() and sent < 10_000_000:
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()
            sent += 0x10000
            await asyncio.sleep(0)
        assert (await reply).error == TOO_LARGE


async def test_strangers_bodies_are_not_read(world):
    head = world.signed().having(Authorization="Bearer x", Content_Length="1000").wire().removesuffix(b"{}")
    assert (await world.raw(head)).error[1] == "IncompleteSignatureException"


async def test_a_body_that_is_cut_off_gets_no_answer_and_harms_nobody(world):
    head = world.signed().having(Content_Length="1000").wire()
    async with world.connected() as (_, writer):
        writer.write(head)
        await writer.drain()
    assert (await world.call()).status == 200
    assert world.log() == ""


async def test_a_body_in_chunks_is_read(world):
    request = world.signed(b'{"Name":"shop"}').without("Content-Length").having(Transfer_Encoding="chunked")
    chunks = b'7\r\n{"Name"\r\n8\r\n:"shop"}\r\n0\r\n\r\n'
    reply = await world.raw(request.wire().removesuffix(request.body) + chunks)
    assert reply.json["Name"] == "shop"


async def test_all_bodies_together_are_bounded(tmp_path):
    async with open_world(tmp_path, all_bodies_bytes=100_000) as world:
        body = b'{"Name":"a"}' + b" " * 60_000
        async with world.connected() as (_, writer):
            held = world.signed(body, operation="EnableRule").wire()
            writer.write(held)
            await world.gate.entered.wait()
            refused = await world.call("DescribeEventBus", body)
            assert refused.error == (400, "ThrottlingException", "Rate exceeded")
            world.gate.opened.set()
        assert (await world.call("DescribeEventBus", body)).status == 200


# -- compressed bodies -----------------------------------------------------------------------------------


async def compressed(world: World, body: bytes, encoding: str = "gzip"):
    return await world.ask(world.signed(body, Content_Encoding=encoding))


async def test_a_gzip_bomb_is_not_inflated(world):
    bomb = gzip.compress(b"\0" * (LIMIT * 20))
    assert len(bomb) < LIMIT
    assert (await compressed(world, bomb)).error == TOO_LARGE


@pytest.mark.parametrize(
    ("body", "encoding", "sentence"),
    [
        (b"{}", "gzip", "The request body is not valid gzip."),
        (gzip.compress(b"{}", mtime=0)[:-3], "gzip", "The request body is not one whole gzip stream."),
        (gzip.compress(b"{}", mtime=0) + b"more", "gzip", "The request body is not one whole gzip stream."),
        (b"{}", "br", "The only Content-Encoding that is understood is gzip."),
        (b"{}", "gzip, gzip", "The only Content-Encoding that is understood is gzip."),
    ],
)
async def test_what_cannot_be_inflated(world, body, encoding, sentence):
    assert (await compressed(world, body, encoding)).error == (400, "MalformedHttpRequestException", sentence)


# -- heads -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (b"X-Big: " + b"x" * 70_000, "The headers of this request are too large."),
        (
            b"\r\n".join(b"X-%d: %s" % (n, b"x" * 4_000) for n in range(20)),
            "The headers of this request are too",
        ),
        (b"\r\n".join(b"X-%d: 1" % n for n in range(120)), "This request has too many headers."),
    ],
)
async def test_heads_that_are_too_large(world, head, sentence):
    reply = await world.raw(b"POST / HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n\r\n")
    assert reply.status == 431
    assert reply.json["error"].startswith(sentence)
    assert reply.headers["connection"] == "close"


async def test_a_url_that_is_too_long(world):
    reply = await world.raw(b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (reply.status, reply.json) == (431, {"error": "The URL of this request is too long."})


@pytest.mark.parametrize("start", [b"POST / HTTP/1.1\r\nHost: a\r\nX-Endless: ", b"POST / HTTP/1.1\r\nX-End"])
async def test_a_header_without_an_end_is_cut_off(world, start):
    async with world.connected() as (reader, writer):
        writer.write(start)
        reply = asyncio.create_task(read_reply(reader))
        sent = 0
        while not reply.done() and sent < 50_000_000:
            try:
                writer.write(b"x" * 16_384)
                await writer.drain()
            except ConnectionError:
                break
            sent += 16_384
            await asyncio.sleep(0)
        assert (await reply).status == 431
        assert sent < 1_000_000


# -- time ------------------------------------------------------------------------------------------------

IMPATIENT = ConnectionLimits(request_seconds=0.2)
RESTLESS = ConnectionLimits(idle_seconds=1)
"""Long enough for a request to be sent in time on a busy machine."""


@pytest.mark.parametrize("kept", [20, 200])
async def test_a_request_that_arrives_too_slowly_is_ended(tmp_path, kept):
    async with open_world(tmp_path, limits=IMPATIENT) as world:
        sent = world.signed().wire()
        reply = await world.raw(sent[:kept])
        assert (reply.status, reply.json) == (408, {"error": "This request took too long to arrive."})


async def test_a_body_that_never_comes_is_ended(tmp_path):
    async with open_world(tmp_path, limits=IMPATIENT) as world:
        assert (await world.raw(world.signed().having(Content_Length="3").wire())).status == 408
        assert world.log() == ""


async def test_dripping_does_not_help(tmp_path):
    async with open_world(tmp_path, limits=IMPATIENT) as world, world.connected() as (reader, writer):
        reply = asyncio.create_task(read_reply(reader))
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\n")
        while not reply.done():
            writer.write(b"X-A: b\r\n")
            await asyncio.wait([reply], timeout=0.05)
        assert (await reply).status == 408


@pytest.mark.parametrize("first", [b"", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n"])
async def test_a_connection_without_a_request_is_closed(tmp_path, first):
    async with open_world(tmp_path, limits=RESTLESS) as world, world.connected() as (reader, writer):
        writer.write(first)
        if first.strip():
            assert (await read_reply(reader)).status == 200
        assert await reader.read() == b""


async def test_a_request_that_takes_its_time_to_be_answered_is_not_idle(tmp_path):
    async with open_world(tmp_path, limits=RESTLESS) as world, world.connected() as (reader, writer):
        writer.write(world.signed(b'{"Name":"a"}', operation="EnableRule").wire())
        await world.gate.entered.wait()
        async with world.connected() as (idle, _):
            assert await idle.read() == b""  # by now a connection without a request has been closed
        world.gate.opened.set()
        assert (await read_reply(reader)).status == 200
