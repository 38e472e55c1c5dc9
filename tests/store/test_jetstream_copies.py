"""Copies of the tables, and a node's own: who begins with which; what a disk has changed goes no further."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing

import pytest

from partnerbus.kernel.errors import StoreUnavailable
from partnerbus.store.jetstream import JetStreamStore
from partnerbus.store.protocol import LIVE, START, Kept, Place
from partnerbus.testing.store_contract.world import (
    DELIVERED,
    LEASE,
    fill,
    owe,
)
from tests.store.cut import wire
from tests.store.several_nodes import Nodes, copier, reached
from tests.store.test_jetstream_opening import ask


async def test_a_node_without_tables_begins_with_a_copy(nodes: Nodes) -> None:
    a = await nodes.open("a")
    copies = copier(nodes, a)
    for number in range(3):
        await owe(a, await fill(a, 10, first=1 + 10 * number))
        await copies.look()
    found = await ask(nodes.url, f"STREAM.INFO.{nodes.stream}")
    assert found["state"]["first_seq"] > 1
    await fill(a, 10, first=50)
    b = await nodes.open("b")
    assert list(await b.read("log", START)) == list(await a.read("log", START))
    assert await b.ledger("log") == await a.ledger("log")
    await reached(a, b)
    assert await nodes.agree("a", "b")


async def test_a_node_with_old_tables_begins_with_a_copy(nodes: Nodes) -> None:
    a, b = await nodes.open("a"), await nodes.open("b")
    await b.close()
    copies = copier(nodes, a)
    for number in range(3):
        await fill(a, 10, first=1 + 10 * number)
        await copies.look()
    b = await nodes.open("b")
    assert list(await b.read("log", START)) == list(await a.read("log", START))


async def test_a_node_that_stood_still_for_too_long_says_so(nodes: Nodes) -> None:
    async with wire(nodes.server.port) as to_a:
        a, b = await nodes.open("a", to_a.port), await nodes.open("b")
        await to_a.cut()
        copies = copier(nodes, b)
        for number in range(3):
            await fill(b, 10, first=1 + 10 * number)
            await copies.look()
        await to_a.mend()
        assert "takes a copy" in await a.lost()
        with pytest.raises(StoreUnavailable, match="takes a copy"):
            await a.append([])
        await a.close()
        a = await nodes.open("a")
        assert len(await a.read("log", START)) == 30


async def test_what_a_nodes_disk_has_changed_is_its_own_trouble(nodes: Nodes) -> None:
    a, b = await nodes.open("a"), await nodes.open("b")
    stored = await fill(a, 2)
    await owe(a, stored)
    await reached(b, a)
    a._replica.model.connection.execute("UPDATE records SET body = x'7b00' WHERE position = 1")
    claimed = await b.claim("lane", 1, LEASE)
    assert [claim.record for claim in claimed.claims] == stored[:1]
    assert "makes them anew" in await a.lost()
    await a.close()
    assert await b.settle(claimed.claims[0], DELIVERED)
    a = await nodes.open("a")
    assert list(await a.read("log", START)) == stored
    assert await a.ledger("log") == await b.ledger("log")


async def test_no_copy_passes_on_what_a_disk_has_changed(nodes: Nodes) -> None:
    a = await nodes.open("a")
    stored = await fill(a, 2)
    a._replica.model.connection.execute("UPDATE records SET body = x'7b00' WHERE position = 1")
    copies = copier(nodes, a)
    a._replica.run_beside(copies.look())
    assert "makes them anew" in await a.lost()
    assert await copies._shelf.newest() == 0
    await a.close()
    a = await nodes.open("a")
    assert list(await a.read("log", START)) == stored


LOOKS: dict[str, Callable[[JetStreamStore], Awaitable[object]]] = {
    "read": lambda node: node.read("log", START),
    "read_by_minute": lambda node: node.read_by_minute("kept", Place(0, 0), before=2**40),
    "find": lambda node: node.find([(1).to_bytes(16, "big")]),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
async def test_damage_that_is_read_ends_the_node_and_a_new_start_mends_it(
    nodes: Nodes, look: Callable[[JetStreamStore], Awaitable[object]]
) -> None:
    a = await nodes.open("a")
    stored = await fill(a, 3)
    kept = [Kept(log="kept", record=stored[0])]
    await a.advance("log", LIVE, stored[-1].position, owed=(), unmatched=3, kept=kept)
    sound = await look(a)
    await a.close()
    with closing(sqlite3.connect(nodes.folder / "a" / "jetstream.db")) as connection, connection:
        connection.execute("UPDATE records SET checksum = checksum + 1")
    a = await nodes.open("a")  # it remembers nothing that it could give instead
    with pytest.raises(StoreUnavailable, match="makes them anew"):
        await look(a)
    assert "damaged" in await a.lost()
    await a.close()
    a = await nodes.open("a")
    assert await look(a) == sound
    assert sound


async def test_copies_do_not_pile_up(nodes: Nodes) -> None:
    a = await nodes.open("a")
    copies = copier(nodes, a)
    for number in range(5):
        await fill(a, 1, first=1 + number)
        await copies.look()
    assert len(await copies._shelf.sequences()) == 2


async def test_one_node_at_a_time_makes_a_copy(nodes: Nodes) -> None:
    a, b = await nodes.open("a"), await nodes.open("b")
    await fill(a, 1)
    await reached(b, a)
    turns = await asyncio.gather(copier(nodes, a)._is_my_turn(0), copier(nodes, b)._is_my_turn(0))
    assert sorted(turns) == [False, True]
