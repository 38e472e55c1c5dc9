"""Several nodes on one store: they agree, whoever was cut off, came late, or started anew."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.errors import RevisionConflict, StoreError, StoreOverloaded, StoreUnavailable
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.telemetry import make_log
from partnerbus.model.delivery import DeliveryState, NewDelivery, NewRecord
from partnerbus.store.jetstream import ClusterSettings, JetStreamStore
from partnerbus.store.jetstream.catching_up import NODE
from partnerbus.store.jetstream.copies import Copier
from partnerbus.store.jetstream.publisher import WINDOW
from partnerbus.store.protocol import LIVE, START, DeliveryQuery, Kept, Place
from partnerbus.testing.store_contract.world import (
    DELIVERED,
    LARGE,
    LEASE,
    claim_one,
    fill,
    make_event,
    owe,
)
from tests.store.cut import wire
from tests.store.nats_servers import NatsServer, nats_server
from tests.store.test_jetstream_opening import ask


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with nats_server(tmp_path_factory.mktemp("nats")) as server:
        yield server


class Nodes:
    """Opens nodes of one store, by name; they share a clock."""

    def __init__(self, server: NatsServer, folder: Path, user: str = "") -> None:
        self.server = server
        self.user = user
        self.stream = token_hex(4)
        self.folder = folder
        self.clock = ManualClock()
        self.open_nodes: list[JetStreamStore] = []

    @property
    def url(self) -> str:
        return f"{self.server.url}/{self.stream}"

    async def open(self, name: str, port: int | None = None) -> JetStreamStore:
        url = f"nats://{self.user}127.0.0.1:{port or self.server.port}/{self.stream}"
        settings = ClusterSettings(url=url)
        node = await JetStreamStore.open(
            settings, self.folder / name, self.clock, Failpoints(), make_log("error")
        )
        self.open_nodes.append(node)
        return node

    def tables(self, name: str) -> list[str]:
        """Everything in a node's tables."""
        connection = sqlite3.connect(self.folder / name / "jetstream.db")
        try:
            return list(connection.iterdump())
        finally:
            connection.close()

    async def agree(self, one: str, other: str) -> bool:
        """Whether two nodes have the same tables, once they have run the same messages.

        Either may have just run one more, of what nodes do by themselves.
        """
        while True:
            first, second = self.tables(one), self.tables(other)
            if _ran(first) == _ran(second):
                return first == second
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        for node in self.open_nodes:
            await node.close()


def _ran(tables: Sequence[str]) -> str:
    return next(line for line in tables if line.startswith('INSERT INTO "journal"'))


@pytest.fixture
async def nodes(server: NatsServer, tmp_path: Path) -> AsyncIterator[Nodes]:
    nodes = Nodes(server, tmp_path)
    yield nodes
    await nodes.close()


async def reached(node: JetStreamStore, other: JetStreamStore) -> None:
    """Wait until `node` has run all that `other` has."""
    await node._replica._applier.reach(other._replica._applier.applied)


async def test_what_one_appends_the_other_reads(nodes: Nodes) -> None:
    a, b = await nodes.open("a"), await nodes.open("b")
    waiting = asyncio.create_task(b.read("log", START, wait=True))
    stored = await fill(a, 3)
    assert list(await waiting) == stored
    assert await fill(b, 3) == stored
    [later] = await fill(b, 1, first=4)
    assert later.position > stored[-1].position


async def test_who_catches_up_knows_what_others_were_answered(nodes: Nodes) -> None:
    a, b = await nodes.open("a"), await nodes.open("b")
    for number in range(1, 30):
        revision = await b.put(f"k{number}", b"", 0)
        await a.catch_up()
        found = await a.get(f"k{number}")
        assert found is not None
        assert found.revision == revision


async def test_who_cannot_catch_up_goes_on(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("partnerbus.store.jetstream.replica.CATCH_UP_PATIENCE", timedelta(milliseconds=50))
    async with wire(nodes.server.port) as to_a:
        a = await nodes.open("a", to_a.port)
        await to_a.cut()
        await a.catch_up()
        assert await a.get("k") is None


async def test_one_of_both_wins(nodes: Nodes) -> None:
    a, b = await nodes.open("a"), await nodes.open("b")
    changes = [a.watch(), b.watch()]
    puts = [node.put("k", name, 0) for node in (a, b) for name in (b"1", b"2", b"3")]
    answers = await asyncio.gather(*puts, return_exceptions=True)
    assert sum(isinstance(answer, RevisionConflict) for answer in answers) == 5
    seen = [await anext(each) for each in changes]
    assert seen[0] == seen[1]
    assert seen[0].revision in answers


async def test_a_delivery_is_claimed_by_one_node(nodes: Nodes) -> None:
    a, b = await nodes.open("a"), await nodes.open("b")
    await owe(a, await fill(a, 40))
    claimed = await asyncio.gather(*(node.claim("lane", 3, LEASE) for _ in range(8) for node in (a, b)))
    positions = [claim.record.position for each in claimed for claim in each.claims]
    assert len(positions) == len(set(positions)) == 40
    for each, node in zip(claimed, [b, a] * 8, strict=True):  # settled by the other one: a token is a token
        assert all([await node.settle(claim, DELIVERED) for claim in each.claims])
    await reached(a, b)
    assert (await a.ledger("log")).delivered == 40


async def test_a_node_that_was_cut_off_settles_nothing_that_others_took_over(nodes: Nodes) -> None:
    async with wire(nodes.server.port) as to_a:
        a, b = await nodes.open("a", to_a.port), await nodes.open("b")
        await owe(a, await fill(a, 1))
        lost = await claim_one(a)
        await reached(b, a)
        await to_a.cut()
        late = asyncio.create_task(a.settle(lost, DELIVERED))
        later = asyncio.create_task(a.advance("log", LIVE, lost.record.position, owed=[], unmatched=1))
        await nodes.clock.advance(LEASE)
        taken_over = await claim_one(b)
        assert taken_over.attempt == 2
        await to_a.mend()
        assert await late is False
        assert list(await later) == []
        assert await b.settle(taken_over, DELIVERED)
        await reached(a, b)
        assert [await node.ledger("log") for node in (a, b)] == [await b.ledger("log")] * 2


async def test_a_node_that_is_cut_off_says_so_and_nothing_happens_later(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("partnerbus.store.jetstream.publisher.PATIENCE", timedelta(seconds=0.5))
    async with wire(nodes.server.port) as to_a:
        a, b = await nodes.open("a", to_a.port), await nodes.open("b")
        await to_a.cut()
        with pytest.raises(StoreUnavailable):
            await fill(a, 1)
        await to_a.mend()
        monkeypatch.undo()
        stored = await fill(a, 1, first=2)
        await reached(b, a)
        assert [record.event.id for record in await b.read("log", START)][-1:] == [stored[0].event.id]
        assert list(await a.read("log", START)) == list(await b.read("log", START))


async def test_who_waits_for_a_place_waits_no_longer(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("partnerbus.store.jetstream.publisher.PATIENCE", timedelta(seconds=0.5))
    monkeypatch.setattr("partnerbus.store.jetstream.publisher.GROUP_COMMANDS", 1)
    monkeypatch.setattr("partnerbus.store.jetstream.publisher.TICK", timedelta(milliseconds=5))
    async with wire(nodes.server.port) as to_a:
        a = await nodes.open("a", to_a.port)
        await to_a.cut()
        before = a._publisher._next
        puts = [a.put(f"k{number}", b"", 0) for number in range(20 * WINDOW)]
        answers = await asyncio.gather(*puts, return_exceptions=True)
        assert all(isinstance(answer, StoreUnavailable) for answer in answers)
        assert a._publisher._next == before + len(puts)
        assert a._publisher.pending_bytes == 0


async def test_whoever_starts_as_a_node_ends_its_former_process(nodes: Nodes) -> None:
    a = await nodes.open("a")
    await owe(a, await fill(a, 1))
    claim = await claim_one(a)
    (nodes.folder / "a again").mkdir()
    (nodes.folder / "a again" / NODE).write_text((nodes.folder / "a" / NODE).read_text())
    again = await nodes.open("a again")
    with pytest.raises(StoreUnavailable, match="as this node"):
        await a.settle(claim, DELIVERED)
    with pytest.raises(StoreUnavailable, match="as this node"):
        await a.read("log", START)
    assert (await claim_one(again)).attempt == 2


async def test_a_node_that_restarts_leaves_others_their_claims(nodes: Nodes) -> None:
    a, b = await nodes.open("a"), await nodes.open("b")
    await owe(a, await fill(a, 2))
    of_a, of_b = await claim_one(a), await claim_one(b)
    await a.close()
    a = await nodes.open("a")
    assert not await a.settle(of_a, DELIVERED)
    assert await b.settle(of_b, DELIVERED)
    assert (await claim_one(a)).record == of_a.record


class Heard:
    """What a node is told of (`News`): the lanes in which something is owed."""

    def __init__(self) -> None:
        self.lanes: list[str] = []

    def stored(self, log: str, position: int) -> None:
        pass

    def owed(self, lane: str) -> None:
        self.lanes.append(lane)

    def owed_again(self, subscription: str, due_at: datetime | None) -> None:
        pass

    def redriven(self) -> None:
        pass


async def test_what_a_node_that_is_gone_has_claimed_is_owed_at_once(nodes: Nodes) -> None:
    a, b, c = await nodes.open("a"), await nodes.open("b"), await nodes.open("c")
    revision = await a.put("lease of a", b"", 0)
    await owe(a, await fill(a, 3))
    of_a, of_b = await claim_one(a), await claim_one(b)
    settled = await claim_one(a)
    assert await a.settle(settled, DELIVERED)
    c.listen(heard := Heard())
    assert await b.release(a.node, "lease of a", revision) == ["lane"]
    assert not await b.release(a.node, "lease of a", revision)
    assert await a.extend([of_a], LEASE) == [False]
    taken_over = await claim_one(c)
    assert (taken_over.record, taken_over.attempt) == (of_a.record, 2)
    assert heard.lanes == ["lane"]
    assert not await a.settle(of_a, DELIVERED)
    assert await b.settle(of_b, DELIVERED)
    assert await c.settle(taken_over, DELIVERED)
    assert not (await a.claim("lane", 1, LEASE)).claims


async def test_a_node_that_came_back_keeps_what_it_has_claimed(nodes: Nodes) -> None:
    a, b = await nodes.open("a"), await nodes.open("b")
    seen = await a.put("lease of a", b"1", 0)
    await owe(a, await fill(a, 1))
    claim = await claim_one(a)
    await a.put("lease of a", b"2", seen)
    assert not await b.release(a.node, "lease of a", seen)
    assert not await b.release(a.node, "no lease", 0)
    assert not await b.release("nobody", "lease of a", seen + 1)
    assert await a.settle(claim, DELIVERED)


def copier(nodes: Nodes, node: JetStreamStore) -> Copier:
    """Makes copies of a node's tables after every message."""
    replica = node._replica
    return Copier(
        replica._session,
        replica._stream,
        replica.model.path,
        node._publisher,
        nodes.clock,
        make_log("error"),
        after_messages=1,
    )


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


async def test_a_node_whose_stream_was_deleted_says_so(nodes: Nodes) -> None:
    a = await nodes.open("a")
    await fill(a, 1)
    await ask(nodes.url, f"STREAM.DELETE.{nodes.stream}")
    assert "is gone" in await a.lost()


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


async def test_what_is_born_claimed_elsewhere_is_not_read_here(nodes: Nodes) -> None:
    """It would cost every node a look at every event that any of them delivers."""
    a, b = await nodes.open("a"), await nodes.open("b")
    stored = await fill(a, 1)
    await reached(b, a)
    b._replica.model.connection.execute("UPDATE records SET body = x'7b00' WHERE position = 1")
    (claim,) = await owe(a, stored, born=True)
    assert claim.record == stored[0]
    assert await a.settle(claim, DELIVERED)
    assert await b.put("k", b"v", 0)
    assert (await b.ledger("log")).delivered == 1


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


async def test_what_is_in_the_stream_twice_is_run_once(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = await nodes.open("a"), await nodes.open("b")
    await owe(a, await fill(a, 4))
    publish = a._publisher._session.publish

    async def twice(*message: Any) -> None:
        await publish(*message)
        await publish(*message)

    monkeypatch.setattr(a._publisher._session, "publish", twice)
    assert len((await a.claim("lane", 1, LEASE)).claims) == 1
    monkeypatch.undo()
    await fill(a, 1, first=9)  # behind both
    await reached(b, a)
    for node in (a, b):
        found = await node.deliveries(DeliveryQuery(states=[DeliveryState.CLAIMED]))
        assert len(found) == 1


async def test_what_was_given_up_is_not_run_later(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("partnerbus.store.jetstream.publisher.PATIENCE", timedelta(seconds=0.5))
    a = await nodes.open("a")
    session = a._publisher._session
    publish, held = session.publish, list[Any]()

    async def hold(*message: Any) -> None:
        held.append(message)

    monkeypatch.setattr(session, "publish", hold)
    with pytest.raises(StoreUnavailable):
        await fill(a, 1)
    monkeypatch.undo()
    stored = await fill(a, 1, first=2)
    await publish(*next(message for message in held if message[0] == a._publisher._subject))
    await fill(a, 1, first=3)
    assert [record.event for record in await a.read("log", START)][:1] == [stored[0].event]
    assert (await a.ledger("log")).accepted == 2


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


async def test_a_full_stream_makes_room_and_nothing_is_half_written(nodes: Nodes) -> None:
    a = await nodes.open("a")
    found = await ask(nodes.url, f"STREAM.INFO.{nodes.stream}")
    found["config"]["max_bytes"] = 300_000
    assert "error" not in await ask(nodes.url, f"STREAM.UPDATE.{nodes.stream}", found["config"])
    detail = b'{"a":"' + b"x" * 20_000 + b'"}'
    refused = 0
    for number in range(1, 101):
        new = NewRecord(log="log", dedup_id=number.to_bytes(16, "big"), event=make_event(number, detail))
        while True:
            try:
                await a.append([new])
            except StoreOverloaded:
                refused += 1
                await asyncio.sleep(0.01)
            else:
                break
    assert (await a.ledger("log")).accepted == 100
    b = await nodes.open("b")
    assert len(await b.read("log", START)) == 100


async def test_what_is_larger_than_servers_take_is_whole_everywhere(nodes: Nodes) -> None:
    a, b = await nodes.open("a"), await nodes.open("b")
    new = [
        NewRecord(log="log", dedup_id=number.to_bytes(16, "big"), event=make_event(number, LARGE))
        for number in (1, 2)
    ]
    stored = await a.append(new)
    await reached(b, a)
    assert list(await b.read("log", START)) == list(stored)


async def test_a_command_that_fails_fails_alone_and_everywhere(nodes: Nodes) -> None:
    a, b = await nodes.open("a"), await nodes.open("b")
    stored = await fill(a, 1)
    nowhere = NewDelivery(subscription="sub", lane="lane", position=98)
    calls = [
        owe(a, [stored[0]]),
        a.advance("other", LIVE, 99, owed=[nowhere], unmatched=0),
        a.put("k", b"v", 0),
        fill(a, 1, first=2),
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(answer, ValueError) for answer in answers] == [False, True, False, False]
    assert not any(isinstance(answer, StoreError) for answer in answers)
    await reached(b, a)
    assert await b.cursor("other", LIVE) == START
    assert await nodes.agree("a", "b")
