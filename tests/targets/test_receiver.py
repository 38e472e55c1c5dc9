"""The scripted receiver does what its scripts say."""

import asyncio

import aiohttp
import pytest

from partnerbus.testing.receiver import HalfClose, Hang, Receiver, Reset, Respond


async def test_records_and_answers_in_turn():
    async with Receiver() as receiver, aiohttp.ClientSession() as session:
        receiver.script("/a b", Respond(status=503, headers={"Retry-After": "7"}), Respond(body=b"done"))
        first = await session.post(f"{receiver.url}/a%20b?x=1&x=2", data=b"one", headers={"X-A": "v"})
        second = await session.put(f"{receiver.url}/a%20b", data=b"two")
        third = await session.put(f"{receiver.url}/a%20b", data=b"three")
        assert (first.status, first.headers["Retry-After"]) == (503, "7")
        assert [second.status, await second.read(), await third.read()] == [200, b"done", b"done"]
        requests = await receiver.received(3, "/a b")
        assert [request.body for request in requests] == [b"one", b"two", b"three"]
        assert requests[0].query == (("x", "1"), ("x", "2"))
        assert requests[0].headers["x-a"] == "v"
        assert receiver.connections == 1


async def test_waits_for_what_has_not_arrived():
    async with Receiver() as receiver, aiohttp.ClientSession() as session:
        waiting = asyncio.create_task(receiver.received(1))
        await session.post(receiver.url)
        assert [request.method for request in await waiting] == ["POST"]


async def test_chunked_requests_arrive_whole():
    async def body():
        yield b"ab"
        yield b"cd"

    async with Receiver() as receiver, aiohttp.ClientSession() as session:
        await session.post(receiver.url, data=body())
        assert receiver.requests[0].body == b"abcd"


@pytest.mark.parametrize("answer", [Reset(), HalfClose()])
async def test_breaks_connections(answer):
    async with Receiver() as receiver, aiohttp.ClientSession() as session:
        receiver.script("/", answer)
        with pytest.raises(aiohttp.ClientError):
            await (await session.post(receiver.url)).read()


async def test_a_hanging_request_ends_with_the_receiver():
    async with aiohttp.ClientSession() as session:
        async with Receiver() as receiver:
            receiver.script("/", Hang())
            sent = asyncio.create_task(session.post(receiver.url))
            await receiver.received(1)
        with pytest.raises(aiohttp.ClientError):
            await sent
