"""The other commands, and how every command finds its server."""

import asyncio
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from partnerbus import __version__
from partnerbus.cli.main import partnerbus as commands
from partnerbus.testing.server_process import ServerProcess
from tests.cli.commands import is_one_sentence, partnerbus

pytestmark = pytest.mark.slow


@pytest.fixture
def data(tmp_path):
    return str(tmp_path / "data")


async def test_help_and_version():
    assert (await partnerbus("--version")).out == f"partnerbus {__version__}\n"
    done = await partnerbus("serve", "--help")
    assert done.status == 0
    assert "--keep-events-seconds" in done.out


async def test_status_says_whether_a_server_runs(data, tmp_path):
    async with ServerProcess(tmp_path / "data") as server:
        running = (await partnerbus("status", "--data", data, "--json")).json
        assert running["server"]["url"] == server.url
        assert running["server"]["pid"] == server.pid
        await server.stop()
    stopped = await partnerbus("status", "--data", data)
    assert "not running" in stopped.out


@pytest.mark.slow
async def test_a_killed_server_leaves_nothing_that_confuses(data, tmp_path):
    server = ServerProcess(tmp_path / "data")
    await server.start()
    await server.kill()
    assert (tmp_path / "data" / "operator.json").exists()
    done = await partnerbus("account", "create", "111122223333", "--data", data)
    assert done.status == 0, done.err
    assert "not running" in (await partnerbus("status", "--data", data)).out
    async with ServerProcess(tmp_path / "data") as again:
        assert again.url in (await partnerbus("status", "--data", data)).out


@pytest.mark.slow
async def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(data, tmp_path):
    async with ServerProcess(tmp_path / "data") as server:
        (tmp_path / "data" / "operator.json").unlink()
        done = await partnerbus("account", "list", "--data", data)
        assert server.pid
    assert done.status == 1
    assert is_one_sentence(done.err)


@pytest.mark.slow
async def test_commands_and_servers_that_start_together_do_not_disturb_each_other(data, tmp_path):
    await partnerbus("account", "create", "000000000001", "--data", data)
    server = ServerProcess(tmp_path / "data")
    creating = [
        partnerbus("account", "create", f"00000000001{number}", "--data", data) for number in range(4)
    ]
    try:
        starting = asyncio.create_task(server.start())
        done = await asyncio.gather(*creating)
        await starting
        assert [each.status for each in done] == [0] * 4, [each.err for each in done]
        found = (await partnerbus("account", "list", "--data", data, "--json")).json
        assert len(found["accounts"]) == 5
    finally:
        await server.kill()


@pytest.mark.slow
async def test_the_clock_moves_only_on_a_server_with_a_test_clock(data, tmp_path):
    async with ServerProcess(tmp_path / "data"):
        done = await partnerbus("clock", "advance", "24h", "--data", data)
        assert done.status == 1
        assert "--test-clock" in done.err
    async with ServerProcess(tmp_path / "data", "--test-clock"):
        before = await _now(data)
        await partnerbus("clock", "advance", "1d12h", "--data", data)
        assert 129_600 <= await _now(data) - before < 129_600 + 3_600
    done = await partnerbus("clock", "advance", "24h", "--data", data)
    assert done.status == 1
    assert "no server" in done.err


async def _now(data):
    view = (await partnerbus("clock", "show", "--data", data, "--json")).json
    return msgspec.convert(view["now"], type=datetime).timestamp()


async def test_a_duration_that_is_none_is_a_usage_error(data):
    for text in ("soon", "1w", "-5s", ""):
        done = await partnerbus("clock", "advance", "--data", data, "--", text)
        assert done.status == 2
        assert "Traceback" not in done.err


@pytest.mark.slow
async def test_the_token_is_asked_for(data, tmp_path):
    async with ServerProcess(tmp_path / "data"):
        path = tmp_path / "data" / "operator.json"
        operator = msgspec.json.decode(path.read_bytes())
        path.write_bytes(msgspec.json.encode(operator | {"token": "wrong"}))
        done = await partnerbus("account", "list", "--data", data)
    assert done.status == 1


async def test_every_command_is_on_the_page():
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    for path in _paths(commands):
        assert f"`{path}" in page, path


def _paths(group, prefix=""):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _paths(command, f"{prefix}{name} ")
        else:
            yield prefix + name


async def test_settings_reach_commands_from_the_environment_and_the_file(tmp_path):
    environment = {"PARTNERBUS_DATA": str(tmp_path / "one")}
    assert (await partnerbus("account", "create", "111122223333", environment=environment)).status == 0
    assert (tmp_path / "one").is_dir()
    file = tmp_path / "partnerbus.toml"
    file.write_text(f'data = "{tmp_path / "two"}"\n')
    done = await partnerbus("account", "create", "111122223333", "--config", str(file))
    assert done.status == 0
    assert (tmp_path / "two").is_dir()
