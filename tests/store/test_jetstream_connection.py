"""A node's connection to the cluster: what happens when it, or the machine's clock, is not what it was."""

import asyncio
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from partnerbus.kernel import clock
from partnerbus.kernel.errors import StoreUnavailable
from partnerbus.model.delivery import NewRecord
from partnerbus.store.jetstream import JetStreamStore
from partnerbus.store.protocol import START
from partnerbus.testing.store_contract.world import fill, make_event
from tests.store.cut import wire
from tests.store.nats_servers import nats_server
from tests.store.several_nodes import Nodes, reached

USERS = 'authorization { users: [ { user: a, password: "a" }, { user: %s, password: "%s" } ] }'
LARGE = b'{"a":"' + b"x" * 200_000 + b'"}'


async def probe_for_ever(node: JetStreamStore) -> None:
    while True:
        await node.probe()


async def append_large(node: JetStreamStore, number: int) -> None:
    event = make_event(number, LARGE)
    await node.append([NewRecord(log="log", dedup_id=number.to_bytes(16, "big"), event=event)])


async def test_a_server_that_vanishes_without_a_word_is_left(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("partnerbus.store.jetstream.session.PING_EVERY_SECONDS", 0.5)
    monkeypatch.setattr("partnerbus.store.jetstream.publisher.WINDOW", 100)
    async with wire(nodes.server.port) as to_a:
        a = await nodes.open("a", to_a.port)
        to_a.go_deaf()
        # More than the sockets on the way take, so that some of it is with the node still.
        await asyncio.gather(*(append_large(a, number) for number in range(100)))
        assert len(await a.read("log", START)) > 0


async def test_what_was_given_up_without_a_connection_is_not_sent_later(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with wire(nodes.server.port) as to_a:
        a, b = await nodes.open("a", to_a.port), await nodes.open("b")
        with monkeypatch.context() as patch:
            patch.setattr("partnerbus.store.jetstream.publisher.PATIENCE", timedelta(seconds=0.5))
            await to_a.cut()
            with pytest.raises(StoreUnavailable):
                await fill(a, 1)
        await to_a.mend()
        stored = await fill(b, 1, first=2)
        await reached(a, b)
        stored += await fill(a, 1, first=3)
        await reached(b, a)
        assert await b.read("log", START) == stored


async def test_a_clock_that_is_set_back_holds_nothing_up(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AnHourAgo(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) - timedelta(hours=1)

    monkeypatch.setattr("partnerbus.store.jetstream.publisher.PATIENCE", timedelta(seconds=1))
    async with wire(nodes.server.port) as to_a:
        a = await nodes.open("a", to_a.port)
        await to_a.cut()
        monkeypatch.setattr(clock, "datetime", AnHourAgo)
        with pytest.raises(StoreUnavailable):
            await fill(a, 1)


async def test_a_node_that_is_let_in_no_more_says_so_and_goes_on_once_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nats_server(tmp_path, more=USERS % ("node", "node")) as server:
        nodes = Nodes(server, tmp_path, "node:node@")
        a = await nodes.open("a")
        with monkeypatch.context() as patch:
            patch.setattr("partnerbus.store.jetstream.publisher.PATIENCE", timedelta(seconds=2))
            server.reload(USERS % ("other", "other"))
            with pytest.raises(StoreUnavailable, match="Authorization Violation"):
                await probe_for_ever(a)
        server.reload(USERS % ("node", "node"))
        await fill(a, 1)
        await nodes.close()


async def test_a_server_that_ends_the_connection_for_good_ends_the_store(nodes: Nodes) -> None:
    async with wire(nodes.server.port) as to_a:
        a = await nodes.open("a", to_a.port)
        to_a.say(b"-ERR 'User Authentication Expired'\r\n")
        assert "user authentication expired" in await a.lost()
        with pytest.raises(StoreUnavailable, match="user authentication expired"):
            await fill(a, 1)
