"""A file that the disk has changed, under a whole node: that reaches nobody, and other targets go on."""

from datetime import timedelta
from pathlib import Path

import pytest

from partnerbus.testing.operator import Operator
from partnerbus.testing.receiver import Receiver, Respond
from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.wire import Wire
from tests.edge.world import until
from tests.node.deliver import CUSTOMER, OPEN, deliver_to

pytestmark = [pytest.mark.fault, pytest.mark.slow]

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
