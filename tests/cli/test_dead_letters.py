"""`partnerbus dead-letters`: from the refusal of a target to the second delivery."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from partnerbus.cli import deliveries
from partnerbus.testing.receiver import Receiver, Respond
from partnerbus.testing.server_process import ServerProcess
from tests.cli.commands import partnerbus
from tests.node.deliver import CUSTOMER, OPEN, deliver_to, put_event

pytestmark = pytest.mark.slow

NOW = datetime(2026, 1, 1, tzinfo=UTC)


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
    assert done.err == ""
    async with ServerProcess(data, *OPEN):
        await hook.received(4)


class Steps:
    """Answers a redrive of six dead letters, two at each step."""

    def __init__(self):
        self.asked = []

    def ask(self, kind, _method, path, *, body=None):
        if path == "/status":
            return SimpleNamespace(dead=4)
        self.asked.append(body)
        number = len(self.asked)
        due_at = NOW + timedelta(seconds=number)
        following = None if number == 3 else f"sub-{number}"
        return kind(redriven=2, before=NOW, last_due_at=due_at, looked_at=2, next=following)


def test_many_are_redriven_step_by_step_and_it_says_how_far_it_is(capsys):
    steps = Steps()
    done = deliveries._every(steps, {"rate": 2.0}, 2.0)  # type: ignore[arg-type]
    assert (done.redriven, done.looked_at, done.next) == (6, 6, None)
    assert done.last_due_at == NOW + timedelta(seconds=3)
    assert [(each.get("after"), each.get("due_from")) for each in steps.asked] == [
        (None, None),
        ("sub-1", NOW + timedelta(seconds=1.5)),
        ("sub-2", NOW + timedelta(seconds=2.5)),
    ]
    assert all(each["every"] for each in steps.asked)
    assert capsys.readouterr().err.splitlines()[-1] == "Looking through dead letters: 100 %"
