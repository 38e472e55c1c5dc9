"""What an operator may get wrong with a cluster: each is a sentence, and nothing is made or changed."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import nats
import pytest

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.errors import ConfigurationError, StoreLocked, StoreUnavailable
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.telemetry import make_log
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.store.jetstream import ClusterSettings, JetStreamStore
from partnerbus.store.jetstream.address import parse_cluster
from tests.certificates import Authority
from tests.store.nats_servers import NatsServer, free_port, nats_server


@pytest.fixture
def url(server: NatsServer) -> str:
    """A store that is not there yet."""
    return f"{server.url}/{token_hex(4)}"


async def opened(folder: Path, url: str, **settings: Any) -> JetStreamStore:
    cluster = ClusterSettings(url=url, **settings)
    return await JetStreamStore.open(cluster, folder, ManualClock(), Failpoints(), make_log("error"))


async def refusal(folder: Path, url: str, **settings: Any) -> str:
    """The sentence with which opening ends."""
    with pytest.raises((ConfigurationError, StoreUnavailable)) as refused:
        await opened(folder, url, **settings)
    return str(refused.value)


async def ask(url: str, what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask JetStream's API what partnerbus does not."""
    client = await nats.connect(url)
    try:
        answer = await client.request(f"$JS.API.{what}", json.dumps(body or {}).encode(), timeout=10)
    finally:
        await client.close()
    found: dict[str, Any] = json.loads(answer.data)
    return found


async def streams(server: NatsServer) -> Sequence[str]:
    return list((await ask(server.url, "STREAM.NAMES"))["streams"] or [])


async def test_an_unreachable_cluster(tmp_path: Path) -> None:
    said = await refusal(tmp_path / "data", f"nats://127.0.0.1:{free_port()},127.0.0.1:{free_port()}")
    assert "can be reached" in said
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["partnerbus.lock"]


@pytest.mark.parametrize("given", ["", "someone:wrong@", "wrong@"])
async def test_wrong_credentials(tmp_path: Path, given: str) -> None:
    more = 'authorization { user: "node", password: "right" }'
    with nats_server(tmp_path, more=more) as server:
        said = await refusal(tmp_path / "data", server.url.replace("//", f"//{given}"))
        assert "does not accept this node's credentials" in said
        assert "wrong" not in said
        store = await opened(tmp_path / "data", server.url.replace("//", "//node:right@"))
        await store.close()
        (tmp_path / "store.creds").write_text("node:right")
        store = await opened(tmp_path / "data", server.url, credentials=tmp_path / "store.creds")
        await store.close()


async def test_a_user_that_may_not_publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("partnerbus.store.jetstream.replica.PATIENCE", timedelta(0))
    monkeypatch.setattr("partnerbus.store.jetstream.session.CALL_TIMEOUT", timedelta(seconds=0.5))
    user = '{user: "node", password: "right", permissions: {publish: {deny: "partnerbus.commands"}}}'
    with nats_server(tmp_path, more=f"authorization {{ users: [{user}] }}") as server:
        said = await refusal(tmp_path / "data", server.url.replace("//", "//node:right@"))
        assert "permissions violation" in said
        assert "partnerbus.commands" in said


async def test_a_server_without_jetstream(tmp_path: Path) -> None:
    with nats_server(tmp_path, sync="") as server:
        said = await refusal(tmp_path / "data", server.url)
        assert "has no JetStream" in said


async def test_an_account_without_jetstream(tmp_path: Path) -> None:
    more = """accounts {
        A { jetstream: enabled, users: [{user: a, password: a}] }
        B { users: [{user: b, password: b}] }
    }"""
    with nats_server(tmp_path, more=more) as server:
        said = await refusal(tmp_path / "data", server.url.replace("//", "//b:b@"))
        assert "has no JetStream for this account" in said


async def test_too_few_servers_for_the_replicas(server: NatsServer, url: str, tmp_path: Path) -> None:
    said = await refusal(tmp_path / "data", url, replicas=3)
    assert "fewer than 3 servers" in said
    assert url.rpartition("/")[2] not in await streams(server)


async def test_other_replicas_than_it_has(url: str, tmp_path: Path) -> None:
    await (await opened(tmp_path / "data", url)).close()
    said = await refusal(tmp_path / "data", url, replicas=3)
    assert "has 1 replicas, not 3" in said


@pytest.mark.parametrize(("key", "value"), [("partnerbus-version", "0"), ("partnerbus-tables", "4")])
async def test_a_stream_of_another_version(url: str, tmp_path: Path, key: str, value: str) -> None:
    name = url.rpartition("/")[2]
    await (await opened(tmp_path / "data", url)).close()
    found = await ask(url, f"STREAM.INFO.{name}")
    found["config"]["metadata"][key] = value
    assert "error" not in await ask(url, f"STREAM.UPDATE.{name}", found["config"])
    said = await refusal(tmp_path / "data", url)
    assert "is of version" in said
    assert (await ask(url, f"STREAM.INFO.{name}"))["state"]["messages"] == found["state"]["messages"]


async def test_a_stream_of_somebody_else(url: str, tmp_path: Path) -> None:
    name = url.rpartition("/")[2]
    await ask(url, f"STREAM.CREATE.{name}", {"name": name, "subjects": [f"{name}.>"]})
    said = await refusal(tmp_path / "data", url)
    assert "is not partnerbus's" in said
    assert (await ask(url, f"STREAM.INFO.{name}"))["state"]["messages"] == 0


async def test_another_key_file(url: str, tmp_path: Path) -> None:
    await (await opened(tmp_path / "one", url, seal=lambda: "one")).close()
    said = await refusal(tmp_path / "two", url, seal=lambda: "two")
    assert "another secret.key" in said


async def test_servers_that_acknowledge_before_the_disk(tmp_path: Path) -> None:
    with nats_server(tmp_path, sync='"2m"') as lazy:
        said = await refusal(tmp_path / "data", lazy.url, monitors=[lazy.monitor])
        assert "sync_interval: always" in said
        await (await opened(tmp_path / "data", lazy.url)).close()  # nobody could know


async def test_a_server_that_syncs(server: NatsServer, url: str, tmp_path: Path) -> None:
    await (await opened(tmp_path / "data", url, monitors=[server.monitor])).close()
    said = await refusal(tmp_path / "data", url, monitors=[server.url.replace("nats:", "http:")])
    assert "store-monitors" in said


async def test_a_folder_has_one_kind_of_store(url: str, tmp_path: Path) -> None:
    clock, failpoints = ManualClock(), Failpoints()
    await (await opened(tmp_path / "shared", url)).close()
    with pytest.raises(ConfigurationError, match="node of a cluster: say"):
        await EmbeddedStore.open(tmp_path / "shared", clock, failpoints)
    await (await EmbeddedStore.open(tmp_path / "own", clock, failpoints)).close()
    assert "holds a store of its own" in await refusal(tmp_path / "own", url)


async def test_a_folder_is_one_processs(url: str, tmp_path: Path) -> None:
    store = await opened(tmp_path / "data", url)
    with pytest.raises(StoreLocked):
        await opened(tmp_path / "data", url)
    await store.close()


async def test_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    for file, text in zip(("cert.pem", "key.pem"), authority.issue("localhost"), strict=True):
        (tmp_path / file).write_text(text)
    more = f'tls {{ cert_file: "{tmp_path}/cert.pem", key_file: "{tmp_path}/key.pem" }}'
    with nats_server(tmp_path, more=more) as server:
        secure = server.url.replace("nats:", "tls:")
        assert "could not be connected to securely" in await refusal(tmp_path / "data", secure)
        store = await opened(tmp_path / "data", secure, authorities=authority.ca_file)
        await store.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://host",
        "nats://",
        "nats://user:secret@",
        "nats://user:secret@ho st",
        "nats://a,,b",
        "nats://host/na me",
        "nats://host/a/b",
        "nats://host:port",
    ],
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ConfigurationError, match="store") as refused:
        parse_cluster(ClusterSettings(url=url))
    assert "secret" not in str(refused.value)


def test_what_a_url_says() -> None:
    found = parse_cluster(ClusterSettings(url="tls://us%40er:p%3Aw@a,[::1]:5000,c.example:1/mine"))
    assert list(found.servers) == ["tls://a:4222", "tls://[::1]:5000", "tls://c.example:1"]
    assert (found.name, found.access.credentials.user, found.access.credentials.password) == (
        "mine",
        "us@er",
        "p:w",
    )
    assert "p:w" not in repr(found)
    assert parse_cluster(ClusterSettings(url="nats://token@a")).access.credentials.token == "token"
