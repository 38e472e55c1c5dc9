"""Several nodes on one store: they agree, whoever was cut off, came late, or started anew."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from partnerbus.kernel.errors import RevisionConflict, StoreError, StoreOverloaded, StoreUnavailable
from partnerbus.model.delivery import DeliveryState, NewDelivery, NewRecord
from partnerbus.store.jetstream.catching_up import NODE
from partnerbus.store.jetstream.publisher import WINDOW
from partnerbus.store.protocol import LIVE, START, DeliveryQuery
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
from tests.store.several_nodes import Nodes, reached
from tests.store.test_jetstream_opening import ask


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


async def test_a_node_whose_stream_was_deleted_says_so(nodes: Nodes) -> None:
    a = await nodes.open("a")
    await fill(a, 1)
    await ask(nodes.url, f"STREAM.DELETE.{nodes.stream}")
    assert "is gone" in await a.lost()


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
