"""A node of a cluster, as its operator starts it and asks it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from partnerbus.kernel.clock import SystemClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.telemetry import make_log
from partnerbus.node.folder import DataFolder
from partnerbus.store.jetstream import ClusterSettings, JetStreamStore
from partnerbus.store.jetstream.catching_up import NODE
from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.wire import Wire, WireError
from tests.cli.commands import is_one_sentence, partnerbus
from tests.node.deliver import CUSTOMER, OPEN
from tests.store.nats_servers import NatsServer, nats_server

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with nats_server(tmp_path) as server:
        yield server


def test_without_a_cluster_nothing_speaks_nats() -> None:
    code = "import sys, partnerbus.cli.main, partnerbus.node.node; sys.exit('nats' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_commands_reach_a_node_and_its_store(server: NatsServer, tmp_path: Path) -> None:
    where = ("--data", str(tmp_path / "one"), "--store", server.url)
    made = await partnerbus("account", "create", CUSTOMER, *where)
    assert made.status == 0, made.err
    async with ServerProcess(tmp_path / "one", "--store", server.url):
        status = await partnerbus("status", "--json", *where)
        assert (status.json["accounts"], status.json["server"] is None) == (1, False)
    status = await partnerbus("status", "--json", *where)
    assert (status.json["accounts"], status.json["server"]) == (1, None)


async def test_a_node_on_a_new_folder_has_what_the_first_one_was_told(
    server: NatsServer, tmp_path: Path
) -> None:
    options = (*OPEN, "--store", server.url)
    async with ServerProcess(tmp_path / "one", *options) as node, Wire(node.url, CUSTOMER) as wire:
        await wire.call("CreateEventBus", Name="orders")
    (tmp_path / "two").mkdir(mode=0o700)
    (tmp_path / "two" / "secret.key").write_bytes((tmp_path / "one" / "secret.key").read_bytes())
    (tmp_path / "two" / "secret.key").chmod(0o600)
    async with ServerProcess(tmp_path / "two", *options) as node, Wire(node.url, CUSTOMER) as wire:
        await wire.call("DescribeEventBus", Name="orders")


async def test_another_key_and_a_folder_of_the_other_kind_are_refused(
    server: NatsServer, tmp_path: Path
) -> None:
    one, two, own = (str(tmp_path / name) for name in ("one", "two", "own"))
    assert (await partnerbus("account", "create", CUSTOMER, "--data", one, "--store", server.url)).status == 0
    refused = await partnerbus("account", "create", CUSTOMER, "--data", two, "--store", server.url)
    assert (refused.status, is_one_sentence(refused.err)) == (2, True)
    assert "secret.key" in refused.err
    refused = await partnerbus("status", "--data", one)
    assert (refused.status, is_one_sentence(refused.err)) == (2, True)
    assert "--store" in refused.err
    assert (await partnerbus("account", "create", CUSTOMER, "--data", own)).status == 0
    refused = await partnerbus("status", "--data", own, "--store", server.url)
    assert (refused.status, is_one_sentence(refused.err)) == (2, True)


async def test_no_secret_of_the_url_is_told(tmp_path: Path) -> None:
    with nats_server(tmp_path, more='authorization { user: "node", password: "right" }') as server:
        url = server.url.replace("//", "//node:right@")
        async with ServerProcess(tmp_path / "one", *OPEN, "--store", url, log=tmp_path / "log"):
            pass
        assert "right" not in (tmp_path / "log").read_text()
        refused = await partnerbus(
            "serve", "--data", str(tmp_path / "one"), "--store", url.replace("right", "wrong")
        )
        assert (refused.status, is_one_sentence(refused.err)) == (2, True)
        assert "wrong" not in refused.err


async def test_a_node_that_another_process_has_become_ends(server: NatsServer, tmp_path: Path) -> None:
    async with ServerProcess(tmp_path / "one", *OPEN, "--store", server.url) as node:
        folder = tmp_path / "copied"
        folder.mkdir(mode=0o700)
        (folder / NODE).write_text((tmp_path / "one" / NODE).read_text())
        settings = ClusterSettings(
            url=server.url, seal=lambda: DataFolder(tmp_path / "one").secret_box().fingerprint
        )
        store = await JetStreamStore.open(settings, folder, SystemClock(), Failpoints(), make_log("error"))
        async with Wire(node.url, CUSTOMER) as wire:
            with pytest.raises((WireError, aiohttp.ClientError)):  # it may be gone before it answers
                await wire.call("CreateEventBus", Name="orders")
        assert await node.wait() == 1
        await store.close()
