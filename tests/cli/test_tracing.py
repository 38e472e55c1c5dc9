"""`partnerbus trace`, `why`, `tail` and `listen`: did this event arrive, and if not, why?"""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager

import msgspec
import pytest

from partnerbus.testing.receiver import Receiver, Respond
from partnerbus.testing.server_process import ServerProcess
from tests.cli.commands import is_one_sentence, partnerbus
from tests.node.deliver import OPEN, deliver_to, put_event

pytestmark = pytest.mark.slow

LONG = msgspec.json.encode({"text": "x" * 20_000}).decode()


@pytest.fixture
async def hook():
    async with Receiver() as receiver:
        receiver.script("/hook", Respond(status=400, body=b"who are you"))
        yield receiver


@asynccontextmanager
async def running(*arguments):
    """A command that goes on until it is interrupted, which ends it at once."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "partnerbus", *arguments, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert err == b""


async def first_line(process, put):
    """What it prints first, while events are put again and again: nobody knows when it began to listen."""
    reading = asyncio.ensure_future(process.stdout.readline())
    while not reading.done():
        await put()
        await asyncio.wait([reading], timeout=0.2)
    return (await reading).decode()


async def dead(data):
    """The first dead letter, once there is one."""
    found: list = []
    while not found:
        listed = await partnerbus("dead-letters", "list", "--data", str(data), "--json")
        found = listed.json["deliveries"]
    return found[0]


async def test_an_event_that_died_is_traced_to_the_answer_that_killed_it(tmp_path, hook):
    data = tmp_path / "data"
    async with ServerProcess(data, *OPEN) as server:
        await deliver_to(f"{hook.url}/hook", server.url, detail='{"total": 5}')
        made = await dead(data)
        traced = await partnerbus("trace", made["event_id"], "--data", str(data))
        assert traced.status == 0
        for words in ("match     every", '{"total":5}', "attempt 1", "400 ERROR_FROM_TARGET", made["id"]):
            assert words in traced.out
        assert "\x1b" not in traced.out  # no colours where no terminal is
        as_json = await partnerbus("trace", made["event_id"], "--data", str(data), "--json")
        assert as_json.json["states"] == {"dead": 1}


async def test_why_names_the_field_and_what_stood_there(tmp_path, hook):
    data = tmp_path / "data"
    async with ServerProcess(data, *OPEN) as server:
        await deliver_to(f"{hook.url}/hook", server.url, detail='{"total": 5}')
        event = (await dead(data))["event_id"]
        there = ("--data", str(data))
        assert (await partnerbus("why", event, "every", *there)).out.startswith("match\n")
        pattern = '{"detail": {"total": [{"numeric": [">", 50]}]}}'
        why = await partnerbus("why", event, "--pattern", pattern, *there)
        assert why.status == 0
        assert why.out.startswith("no match\n")
        assert "detail.total" in why.out
        assert "5 at" in why.out
        nearest = await partnerbus("why", event, *there)
        assert nearest.out.split() == ["RULE", "WHY", "every", "match"]
        assert (await partnerbus("why", event, "every", "--pattern", pattern, *there)).status == 2
        unknown = await partnerbus("why", event, "no-rule", *there)
        assert unknown.status == 1
        assert is_one_sentence(unknown.err)
    assert is_one_sentence((await partnerbus("trace", "no-event", *there)).err)


async def test_tail_prints_what_is_stored_from_now_on(tmp_path):
    data = tmp_path / "data"
    async with ServerProcess(data, *OPEN) as server:
        pattern = '{"detail": {"total": [7]}}'
        async with running("tail", "default", "--pattern", pattern, "--json", "--data", str(data)) as tail:

            async def put():
                await put_event(server.url, '{"total": 6}')
                await put_event(server.url, '{"total": 7}')

            event = msgspec.json.decode(await first_line(tail, put))
            assert event["detail"] == {"total": 7}
        async with running("tail", "--data", str(data)) as tail:
            assert "test  test" in await first_line(tail, put)


async def test_listen_posts_events_in_full_and_says_what_came_of_it(tmp_path, hook):
    data = tmp_path / "data"
    url = f"{hook.url}/hook"
    async with ServerProcess(data, *OPEN) as server:
        async with running("listen", "default", "--forward-to", url, "--data", str(data)) as listen:
            line = await first_line(listen, lambda: put_event(server.url, LONG))
            assert "->  400 in" in line
            request = (await hook.received(1))[0]
        sent = msgspec.json.decode(request.body)
        assert (sent["version"], sent["detail-type"], sent["detail"]) == (
            "0",
            "test",
            msgspec.json.decode(LONG),
        )
        not_one = await partnerbus("listen", "--forward-to", "localhost:3000", "--data", str(data))
        assert not_one.status == 2
    gone = await partnerbus("tail", "--data", str(data))
    assert gone.status == 1
    assert is_one_sentence(gone.err)
    assert "partnerbus serve" in gone.err


async def test_a_shell_learns_how_to_complete_commands(tmp_path):
    done = await partnerbus(environment={"_PARTNERBUS_COMPLETE": "bash_source"})
    assert "_partnerbus_completion" in done.out
