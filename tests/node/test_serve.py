"""`partnerbus serve` as a process: how it starts, what it refuses, how it ends."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE

import aiohttp
import msgspec
import pytest

from partnerbus.cli.serve import console_line
from partnerbus.engine.dispatcher import STOPPED
from partnerbus.node.settings import Settings
from partnerbus.testing.receiver import Hang, Receiver
from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.wire import Wire
from tests.cli.commands import is_one_sentence, partnerbus
from tests.node.deliver import CUSTOMER, OPEN, deliver_to
from tests.node.slow_target import SlowTarget

pytestmark = pytest.mark.slow


async def test_the_ready_line_says_where_and_how(tmp_path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "partnerbus", "serve", "--port", "0", "--data", str(tmp_path / "data")),
        stdout=PIPE,
        stderr=DEVNULL,
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert "http://127.0.0.1:" in line
    assert "auth sigv4" in line
    assert str(tmp_path / "data") in line
    process.send_signal(signal.SIGINT)
    rest = (await process.communicate())[0].decode()
    assert rest.count("\n") == 1
    assert rest.endswith(f"/console; the operator's token is in {tmp_path / 'data' / 'operator.json'}\n")
    assert process.returncode == 0


def test_the_operators_token_is_shown_on_a_terminal_alone(tmp_path):
    settings = Settings(data=tmp_path)
    for is_shown in (True, False):
        line = console_line("http://127.0.0.1:1", "the-token", settings, for_a_person=is_shown)
        assert ("the-token" in line) == is_shown


async def test_sigterm_ends_it_in_order(tmp_path):
    async with ServerProcess(tmp_path / "data", *OPEN) as server:
        assert await server.stop() == 0
        assert not (tmp_path / "data" / "operator.json").exists()
        with pytest.raises(aiohttp.ClientConnectionError):
            async with Wire(server.url, CUSTOMER) as wire:
                await wire.call("ListEventBuses")


async def test_sigterm_lets_an_attempt_under_way_end(tmp_path):
    async with SlowTarget() as target:
        async with ServerProcess(tmp_path / "data", *OPEN) as server:
            await deliver_to(target.url, server.url)
            await target.asked()
            stopping = asyncio.create_task(server.stop())
            await refuses_connections(server.url)
            target.release()
            assert await stopping == 0
        ledger = await default_ledger(tmp_path / "data")
        assert (ledger["delivered"], ledger["pending"]) == (1, 0)
        assert target.requests == 1


async def test_an_attempt_that_does_not_end_is_handed_to_the_next_server(tmp_path):
    async with Receiver() as receiver:
        receiver.script("/hook", Hang())
        async with ServerProcess(tmp_path / "data", *OPEN, "--drain-seconds", "1") as server:
            await deliver_to(f"{receiver.url}/hook", server.url)
            await receiver.received(1)
            assert await server.stop() == 0
        listed = await partnerbus("deliveries", "list", "--data", str(tmp_path / "data"), "--json")
        (delivery,) = listed.json["deliveries"]
        assert (delivery["state"], delivery["message"]) == ("owed", STOPPED)
        async with ServerProcess(tmp_path / "data", *OPEN):
            await receiver.received(2)


async def test_a_second_signal_ends_it_at_once(tmp_path):
    async with Receiver() as receiver:
        receiver.script("/hook", Hang())
        async with ServerProcess(tmp_path / "data", *OPEN, "--drain-seconds", "600") as server:
            await deliver_to(f"{receiver.url}/hook", server.url)
            await receiver.received(1)
            os.kill(server.pid, signal.SIGTERM)
            await refuses_connections(server.url)
            os.kill(server.pid, signal.SIGTERM)
            assert await server.wait() == 128 + signal.SIGTERM


async def test_a_taken_port_is_a_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = await partnerbus("serve", "--port", str(port), "--data", str(tmp_path / "data"))
    assert done.status == 2
    assert str(port) in done.err
    assert is_one_sentence(done.err)


async def test_a_host_that_is_not_ours_is_a_sentence(tmp_path):
    done = await partnerbus("serve", "--host", "192.0.2.1", "--port", "0", "--data", str(tmp_path / "data"))
    assert done.status == 2
    assert is_one_sentence(done.err)


async def test_one_folder_has_one_server(tmp_path):
    async with ServerProcess(tmp_path / "data") as server:
        done = await partnerbus("serve", "--port", "0", "--data", str(tmp_path / "data"))
        assert done.status == 2
        assert is_one_sentence(done.err)
        assert server.url in (await partnerbus("status", "--data", str(tmp_path / "data"))).out


@pytest.mark.parametrize("place", ["command line", "environment", "file"])
async def test_bad_settings_are_a_sentence_wherever_they_stand(tmp_path, place):
    arguments, environment = ["serve", "--data", str(tmp_path / "data")], {}
    if place == "command line":
        arguments += ["--port", "http"]
    elif place == "environment":
        environment = {"PARTNERBUS_PORT": "http"}
    else:
        (tmp_path / "partnerbus.toml").write_text('port = "http"')
        arguments += ["--config", str(tmp_path / "partnerbus.toml")]
    done = await partnerbus(*arguments, environment=environment)
    assert done.status == 2
    assert "must be a whole number" in done.err
    assert is_one_sentence(done.err)
    assert not (tmp_path / "data").exists()


async def test_no_authentication_is_not_for_the_network(tmp_path):
    done = await partnerbus("serve", "--auth", "none", "--host", "0.0.0.0", "--data", str(tmp_path / "data"))
    assert done.status == 2
    assert "--allow-remote-without-auth" in done.err


async def test_a_key_file_that_others_may_read_is_refused(tmp_path):
    data = tmp_path / "data"
    assert (await partnerbus("account", "create", CUSTOMER, "--data", str(data))).status == 0
    (data / "secret.key").chmod(0o644)
    done = await partnerbus("serve", "--port", "0", "--data", str(data))
    assert done.status == 2
    assert "0600" in done.err
    (data / "secret.key").unlink()
    done = await partnerbus("serve", "--port", "0", "--data", str(data))
    assert done.status == 2
    assert "does not open with this key file" in done.err


async def test_the_log_is_json_on_standard_error(tmp_path):
    log = tmp_path / "log"
    async with ServerProcess(tmp_path / "data", *OPEN, log=log) as server:
        async with Wire(server.url, CUSTOMER) as wire:
            await wire.call("ListEventBuses")
        assert await server.stop() == 0
    lines = [msgspec.json.decode(line) for line in log.read_bytes().splitlines()]
    assert lines
    assert all(isinstance(line, dict) and "event" in line for line in lines)


async def default_ledger(data):
    found = (await partnerbus("ledger", "--account", CUSTOMER, "--data", str(data), "--json")).json
    return found["ledgers"][0]["ledger"]


async def refuses_connections(url):
    """Return once nobody listens at `url` any more."""
    host, port = url.removeprefix("http://").split(":")
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                return
            writer.close()
            await asyncio.sleep(0.02)
