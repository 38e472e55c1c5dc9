"""`torture` and `bench` with a cluster: a store of their own there, of which nothing is left."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import click.testing
import msgspec
import nats
import pytest

from partnerbus.cli.bench import bench
from partnerbus.cli.torture import TortureView, torture
from partnerbus.kernel.errors import ConfigurationError, PartnerbusError, StoreUnavailable
from partnerbus.testing import bench as measuring
from partnerbus.testing import crash
from partnerbus.testing.bench import Figures
from partnerbus.testing.crash_report import CrashReport
from tests.cli.test_bench import FIGURES
from tests.cli.test_torture import report_of
from tests.store.nats_servers import NatsServer, nats_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with nats_server(tmp_path) as server:
        yield server


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder that is not there, in a folder where nothing else is."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / "data"


async def streams(server: NatsServer) -> list[str | None]:
    client = await nats.connect(server.url)
    found = [stream.config.name for stream in await client.jetstream().streams_info()]
    await client.close()
    return found


@pytest.mark.fault
@pytest.mark.slow
def test_a_node_of_a_cluster_is_tortured(server: NatsServer, data: Path) -> None:
    command = [sys.executable, "-m", "partnerbus", "torture", "--kills", "1", "--json"]
    command += ["--data", str(data), "--store", f"{server.url}/mine"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    view = msgspec.json.decode(done.stdout, type=TortureView)
    assert (view.kills, view.lost, view.faults, view.folder) == (1, 0, [], None)
    assert view.stored >= view.acknowledged > 0
    assert list(data.parent.iterdir()) == []
    assert asyncio.run(streams(server)) == []


def test_a_node_of_the_cluster_of_the_settings_is_measured(
    server: NatsServer, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores: list[str] = []

    async def measured(_: Path, *, environment: Mapping[str, str], **_options: object) -> Figures:
        store = environment["PARTNERBUS_STORE"]
        assert await streams(server) == [store.rpartition("/")[2]]
        stores.append(store)
        return FIGURES

    monkeypatch.setattr(measuring, "measure", measured)
    monkeypatch.setenv("PARTNERBUS_STORE", f"{server.url}/mine")
    done = click.testing.CliRunner().invoke(bench, ["--data", str(data)])
    assert done.exit_code == 0, done.output
    assert stores[0].startswith(f"{server.url}/partnerbus-bench-")
    assert list(data.parent.iterdir()) == []
    assert asyncio.run(streams(server)) == []


def test_what_breaks_a_promise_is_kept_in_the_cluster_too(
    server: NatsServer, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash_run(*_arguments: object, **_options: object) -> CrashReport:
        return report_of({1, 2})

    monkeypatch.setattr(crash, "crash_run", crash_run)
    store = server.url.replace("//", "//me:secret@")
    done = click.testing.CliRunner().invoke(torture, ["--data", str(data), "--store", store])
    assert done.exit_code == 1
    (stream,) = asyncio.run(streams(server))
    (folder,) = data.parent.iterdir()
    assert f"{folder} and {server.url}/{stream} was kept" in done.stdout
    assert "secret" not in done.stdout


@pytest.mark.parametrize("command", [bench, torture])
@pytest.mark.parametrize(
    ("store", "kind", "sentence"),
    [
        ("nats://127.0.0.1:1", StoreUnavailable, "No NATS server of nats://127.0.0.1:1/"),
        ("http://127.0.0.1:1", ConfigurationError, "store must be like nats://"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_said_and_nothing_is_left(
    command: click.Command, store: str, kind: type[PartnerbusError], sentence: str, data: Path
) -> None:
    done = click.testing.CliRunner().invoke(command, ["--data", str(data), "--store", store])
    assert isinstance(done.exception, kind)
    assert sentence in str(done.exception)
    assert list(data.parent.iterdir()) == []
