"""A file that the disk has changed, under a whole node: that reaches nobody, and other targets go on."""

from datetime import timedelta
from pathlib import Path

import pytest

from partnerbus.kernel.clock import SystemClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.ids import Ids
from partnerbus.model.delivery import NewRecord
from partnerbus.model.event import Event, event_time
from partnerbus.model.resources import default_log
from partnerbus.node.folder import DataFolder
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.testing.operator import Operator
from partnerbus.testing.receiver import Receiver, Respond
from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.wire import Wire
from tests.console.visitor import Visitor
from tests.edge.world import until
from tests.node.deliver import CUSTOMER, OPEN, deliver_to

pytestmark = [pytest.mark.fault, pytest.mark.slow]

REGION = "us-east-1"

WHAT_IT_MEANS = "the disk has changed what was put, so it is not shown, and nobody gets it."
STORED, CHANGED = "the seventh of ten", "the seventy of ten"


async def put(server: ServerProcess, source: str, text: str) -> None:
    async with Wire(server.url, CUSTOMER) as wire:
        entry = {"Source": source, "DetailType": "test", "Detail": f'{{"text":"{text}"}}'}
        assert (await wire.call("PutEvents", Entries=[entry]))["FailedEntryCount"] == 0


async def deliver_others_to(url: str, server: ServerProcess) -> None:
    """Let events of another source go to a target of their own."""
    async with Wire(server.url, CUSTOMER) as wire:
        connection = await wire.call("DescribeConnection", Name="key")
        destination = await wire.call(
            "CreateApiDestination",
            Name="other",
            ConnectionArn=connection["ConnectionArn"],
            InvocationEndpoint=url,
            HttpMethod="POST",
        )
        await wire.call("PutRule", Name="other", EventPattern='{"source":["other"]}')
        targets = [{"Id": "1", "Arn": destination["ApiDestinationArn"]}]
        await wire.call("PutTargets", Rule="other", Targets=targets)


async def test_a_changed_event_is_named_and_reaches_nobody(tmp_path: Path) -> None:
    data, log = tmp_path / "data", tmp_path / "log"
    path = data / "partnerbus.db"
    async with Receiver() as receiver:
        receiver.script("/sick", Respond(status=503))
        server = ServerProcess(data, *OPEN, "--test-clock", log=log)
        await server.start()
        await deliver_to(f"{receiver.url}/sick", server.url)
        await deliver_others_to(f"{receiver.url}/other", server)
        await put(server, "test", STORED)
        await server.stop()
        content = path.read_bytes()
        assert STORED.encode() in content
        path.write_bytes(content.replace(STORED.encode(), CHANGED.encode()))
        receiver.script("/sick", Respond())
        async with server, Operator(data) as operator:
            await operator.shift_clock(timedelta(hours=1))
            await until(lambda: "stored event damaged" in log.read_text())
            await put(server, "other", "later")
            (other,) = await receiver.received(1, "/other")
            assert b"later" in other.body
            (dead,) = await operator.dead_letters("every")
            assert "damaged" in dead.message
            assert bytes((await operator.delivery(dead.id)).event) == b"null"
            await put(server, "test", "behind it")
            await until(lambda: any(b"behind it" in request.body for request in receiver.requests))
        assert not any(CHANGED.encode() in request.body for request in receiver.requests)


async def store_unrouted(data: Path, *texts: str) -> list[str]:
    """Let a stopped server have stored events that it has not routed; their ids."""
    clock = SystemClock()
    store = await EmbeddedStore.open(data, clock, Failpoints())
    drawn = Ids().drawn(clock.now(), len(texts))
    new = [
        NewRecord(
            log=default_log(CUSTOMER, REGION),
            dedup_id=dedup_id,
            event=Event(
                id=event_id,
                detail_type="test",
                source="test",
                account=CUSTOMER,
                time=event_time(clock.now()),
                region=REGION,
                detail=f'{{"text":"{text}"}}'.encode(),
            ),
        )
        for (event_id, dedup_id), text in zip(drawn, texts, strict=True)
    ]
    await store.append(new)
    await store.close()
    return [event_id for event_id, _ in drawn]


async def console_events(server: ServerProcess) -> str:
    """What the operator reads on the console's page of events."""
    found = DataFolder(server.data).read_operator()
    assert found is not None
    async with Visitor(server.url, found.token) as operator:
        await operator.sign_in(None)
        return (await operator.see("/events")).words


async def test_an_event_that_changed_before_it_was_routed_is_named_and_the_others_arrive(
    tmp_path: Path,
) -> None:
    data, log = tmp_path / "data", tmp_path / "log"
    async with Receiver() as receiver:
        server = ServerProcess(data, *OPEN, log=log)
        await server.start()
        await deliver_to(f"{receiver.url}/", server.url)
        await receiver.received(1)
        await server.stop()
        before, damaged, behind = await store_unrouted(data, "before it", STORED, "behind it")
        path = data / "partnerbus.db"
        path.write_bytes(path.read_bytes().replace(STORED.encode(), CHANGED.encode()))
        for start in range(2):
            async with server, Operator(data) as operator:
                bodies = b"".join(request.body for request in await receiver.received(3))
                assert b"before it" in bodies
                assert b"behind it" in bodies
                await put(server, "test", f"after start {start}")
                await receiver.received(4 + start)
                ledger = await operator.ledger(CUSTOMER, "default")
                assert (ledger.accepted, ledger.matched, ledger.unrouted) == (5 + start, 4 + start, 1)
                health = await operator.health()
                assert [damaged in fault.sentence for fault in health.faults] == [True]
                found = await operator.events()
                assert [event.id for event in found.events[-3:-1]] == [behind, before]
                assert len(found.events) == 4 + start
                assert [each.event_id for each in found.damaged] == [damaged]
                assert f"One stored event is damaged: {WHAT_IT_MEANS} {damaged}" in await console_events(
                    server
                )
        assert log.read_text().count("stored event damaged, not routed") == 1
        assert not any(CHANGED.encode() in request.body for request in receiver.requests)


async def test_damage_in_the_middle_of_the_wal_is_named_and_what_is_before_arrives(
    tmp_path: Path,
) -> None:
    data, log = tmp_path / "data", tmp_path / "log"
    wal = data / "partnerbus.db-wal"
    async with Receiver() as receiver:
        receiver.script("/", Respond(status=503))
        server = ServerProcess(data, *OPEN, "--test-clock", log=log)
        await server.start()
        await deliver_to(f"{receiver.url}/", server.url)
        for number in range(10):
            await put(server, "test", f"number {number}")
        await server.kill()
        content = wal.read_bytes()
        at = content.index(b"number 5")
        wal.write_bytes(content[:at] + b"nymber 5" + content[at + 8 :])
        receiver.script("/", Respond())
        before = len(receiver.requests)
        async with server, Operator(data) as operator:
            assert f"{wal} was damaged in the middle" in log.read_text()
            await put(server, "test", "after it")
            while (await operator.ledger(CUSTOMER, "default")).pending:
                await operator.shift_clock(timedelta(minutes=10))
        bodies = [request.body for request in receiver.requests[before:]]
        for number in range(5):
            assert any(f"number {number}".encode() in body for body in bodies)
        assert any(b"after it" in body for body in bodies)
        assert not any(b"nymber" in body for body in bodies)
        assert b"nymber" in (data / "partnerbus.db-wal.damaged").read_bytes()
