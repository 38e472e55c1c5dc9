"""`partnerbus dead-letters`: from the refusal of a target to the second delivery."""

import pytest

from partnerbus.testing.receiver import Receiver, Respond
from partnerbus.testing.server_process import ServerProcess
from tests.cli.commands import partnerbus
from tests.node.deliver import CUSTOMER, OPEN, deliver_to, put_event

pytestmark = pytest.mark.slow


@pytest.fixture
async def hook():
    async with Receiver() as receiver:
        receiver.script("/hook", Respond(status=400, body=b"who are you"))
        yield receiver


async def dead_letters(data, count):
    """The dead letters, once there are `count`."""
    found: list = []
    while len(found) < count:
        done = await partnerbus("dead-letters", "list", "--data", str(data), "--json")
        found = done.json["deliveries"]
    return found


async def test_a_dead_letter_is_listed_shown_and_redriven(tmp_path, hook):
    data = tmp_path / "data"
    async with ServerProcess(data, *OPEN) as server:
        await deliver_to(f"{hook.url}/hook", server.url)
        (made,) = await dead_letters(data, 1)
        listed = await partnerbus("dead-letters", "list", "--data", str(data), "--account", CUSTOMER)
        assert made["id"] in listed.out
        shown = await partnerbus("dead-letters", "show", made["id"], "--data", str(data))
        assert "400" in shown.out
        assert '"detail-type": "test"' in shown.out

        hook.script("/hook", Respond(status=200))
        done = await partnerbus("dead-letters", "redrive", made["id"], "--data", str(data))
        assert done.out == "redriven 1 of 1\n"
        first, second = await hook.received(2)
        assert first.body == second.body


@pytest.mark.slow
async def test_all_are_redriven_at_once_also_without_a_server(tmp_path, hook):
    data = tmp_path / "data"
    async with ServerProcess(data, *OPEN) as server:
        await deliver_to(f"{hook.url}/hook", server.url)
        await put_event(server.url)
        await dead_letters(data, 2)
        assert await server.stop() == 0
    assert (await partnerbus("dead-letters", "redrive", "--data", str(data))).status == 2
    hook.script("/hook", Respond(status=200))
    done = await partnerbus("dead-letters", "redrive", "--all", "--bus", "default", "--data", str(data))
    assert done.out == "redriven 2\n"
    async with ServerProcess(data, *OPEN):
        await hook.received(4)
