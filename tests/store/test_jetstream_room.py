"""A stream that is full: nodes make room, whoever runs, and whatever else has no room."""

import asyncio
from datetime import timedelta

import pytest

from partnerbus.kernel.errors import StoreOverloaded, StoreUnavailable
from partnerbus.model.delivery import NewRecord
from partnerbus.store.jetstream import JetStreamStore
from partnerbus.store.jetstream.shelf import Shelf
from partnerbus.store.protocol import START
from partnerbus.testing.store_contract.world import make_event
from tests.store.several_nodes import Nodes, copier, reached
from tests.store.test_jetstream_opening import ask

DETAIL = b'{"a":"' + b"x" * 20_000 + b'"}'


async def bound(nodes: Nodes, more: int) -> None:
    """Let the stream have room for `more` bytes only."""
    found = await ask(nodes.url, f"STREAM.INFO.{nodes.stream}")
    found["config"]["max_bytes"] = found["state"]["bytes"] + more
    assert "error" not in await ask(nodes.url, f"STREAM.UPDATE.{nodes.stream}", found["config"])


async def append(node: JetStreamStore, number: int) -> None:
    """One record, as soon as there is room."""
    new = NewRecord(log="log", dedup_id=number.to_bytes(16, "big"), event=make_event(number, DETAIL))
    while True:
        try:
            await node.append([new])
        except StoreOverloaded:
            await asyncio.sleep(0.01)
        else:
            return


async def test_what_was_left_of_a_copy_is_taken_away(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    a = await nodes.open("a")
    copies = copier(nodes, a)
    for number in range(3):
        await append(a, number)
        await copies.look()
    parts = f"$O.{nodes.stream}-copies.C"
    await a._replica._session.client.request(f"{parts}.left", b"the first part")
    assert len(await copies._shelf._subjects("C")) == 3
    await append(a, 3)
    await copies.look()
    assert f"{parts}.left" in await copies._shelf._subjects("C")  # somebody may be at it
    monkeypatch.setattr("partnerbus.store.jetstream.shelf.LEFT_AFTER", timedelta(0))
    await append(a, 4)
    await copies.look()
    assert f"{parts}.left" not in await copies._shelf._subjects("C")
    b = await nodes.open("b")
    assert len(await b.read("log", START)) == 5


async def test_a_node_starts_on_a_full_stream_that_no_other_one_has_open(nodes: Nodes) -> None:
    a = await nodes.open("a")
    for number in range(5):
        await append(a, number)
    await a.close()
    await bound(nodes, 1)
    a = await nodes.open("a")
    await append(a, 30)
    b = await nodes.open("b")
    await reached(b, a)
    assert len(await b.read("log", START)) == 6


async def test_what_a_copy_has_is_forgotten_when_there_is_no_room_for_another_one(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def put(*_: object) -> None:
        raise StoreUnavailable("no room")

    a = await nodes.open("a")
    for number in range(10):
        await append(a, number)
    await copier(nodes, a).look()
    monkeypatch.setattr(Shelf, "put", put)
    await bound(nodes, 1)
    for number in range(10, 15):
        await append(a, number)
    b = await nodes.open("b")
    await reached(b, a)
    assert list(await b.read("log", START)) == list(await a.read("log", START))
    assert (await b.ledger("log")).accepted == 15
