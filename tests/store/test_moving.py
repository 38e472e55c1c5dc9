"""A store is moved to a cluster and back: everything is there, once, whatever happened on the way."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from secrets import token_hex
from zlib import crc32

import pytest

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.failpoints import Failpoint, FailpointError, Failpoints
from partnerbus.kernel.telemetry import make_log
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.store.jetstream import JetStreamStore
from partnerbus.store.jetstream.move import Move, Moved
from partnerbus.store.jetstream.move_in import discard_in, move_in
from partnerbus.store.jetstream.move_out import discard_out, move_out
from partnerbus.store.jetstream.parts import Parts
from partnerbus.testing.store_contract.world import fill
from tests.store.moving import KEY, dump, full_store, make_folder, make_move, names_in
from tests.store.nats_servers import NatsServer, nats_server
from tests.store.test_jetstream_opening import ask

TO_CLUSTER = (
    Failpoint.MIGRATE_MARKED,
    Failpoint.MIGRATE_MADE,
    Failpoint.MIGRATE_PART_DONE,
    Failpoint.MIGRATE_COPIED,
    Failpoint.MIGRATE_VERIFIED,
)
"""Where a move to a cluster may be interrupted before the target is a store."""

TO_FOLDER = (
    Failpoint.MIGRATE_MARKED,
    Failpoint.MIGRATE_MADE,
    Failpoint.MIGRATE_CAUGHT_UP,
    Failpoint.MIGRATE_COPIED,
    Failpoint.MIGRATE_VERIFIED,
    Failpoint.MIGRATE_OPENED,
    Failpoint.MIGRATE_SOURCE_MARKED,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with nats_server(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
def url(server: NatsServer) -> str:
    """A store that is not there yet."""
    return f"{server.url}/{token_hex(4)}"


@pytest.fixture
async def old(tmp_path: Path) -> Path:
    """A folder with a store that has something of everything."""
    folder = tmp_path / "old"
    await full_store(folder)
    return folder


@pytest.fixture
def new(tmp_path: Path, old: Path) -> Path:
    """A folder with that store's key alone."""
    folder = make_folder(tmp_path / "new")
    (folder / KEY).write_bytes((old / KEY).read_bytes())
    (folder / KEY).chmod(0o600)
    return folder


async def open_node(folder: Path, move: Move) -> JetStreamStore:
    clock = ManualClock()
    return await JetStreamStore.open(move.cluster, folder, clock, Failpoints(), make_log("error"))


async def open_folder(folder: Path) -> EmbeddedStore:
    return await EmbeddedStore.open(folder, ManualClock(), Failpoints())


def all_same(moved: Moved) -> bool:
    names = {"cursors", "deliveries", "logs", "names", "records", "registry", "state"}
    assert {each.table for each in moved.tables} == names
    assert all(each.source_rows for each in moved.tables)
    return moved.finished_at is not None and all(each.is_same for each in moved.tables)


async def test_there_and_back(old: Path, new: Path, url: str) -> None:
    before = dump(old / "partnerbus.db")
    assert all_same(await move_in(make_move(old, url)))
    assert dump(old / "partnerbus.db") == before
    assert all_same(await move_out(make_move(new, url)))
    assert dump(new / "partnerbus.db") == before
    assert names_in(new) == ["partnerbus.db", "partnerbus.lock", KEY]
    await (await open_folder(new)).close()


async def test_nodes_go_on_from_what_was_moved(old: Path, new: Path, tmp_path: Path, url: str) -> None:
    await move_in(make_move(old, url))
    a = await open_node(tmp_path / "a", make_move(old, url))
    try:
        b = await open_node(tmp_path / "b", make_move(old, url))
        try:
            [record] = await fill(a, 1, first=900)
            await b._replica._applier.reach(a._replica._applier.applied)
            tables = dump(tmp_path / "a" / "jetstream.db")
            assert dump(tmp_path / "b" / "jetstream.db") == tables
        finally:
            await b.close()
    finally:
        await a.close()
    with closing(sqlite3.connect(old / "partnerbus.db")) as connection:
        assert record.position > connection.execute("SELECT max(position) FROM records").fetchone()[0]
    assert all_same(await move_out(make_move(new, url)))
    assert dump(new / "partnerbus.db") == tables


async def test_one_of_both_is_a_store_at_a_time(old: Path, new: Path, tmp_path: Path, url: str) -> None:
    await move_in(make_move(old, url))
    with pytest.raises(ConfigurationError, match=f"{old} was moved to {url} at .* UTC: use that"):
        await open_folder(old)
    await (await open_node(tmp_path / "node", make_move(old, url))).close()
    await move_out(make_move(new, url))
    with pytest.raises(ConfigurationError, match=f"was moved to {new} at"):
        await open_node(tmp_path / "node", make_move(old, url))
    await (await open_folder(new)).close()


async def test_what_is_finished_stays_so(old: Path, new: Path, tmp_path: Path, url: str) -> None:
    first = await move_in(make_move(old, url))
    assert await move_in(make_move(old, url)) == Moved(finished_at=first.finished_at)
    first = await move_out(make_move(new, url))
    assert await move_out(make_move(new, url)) == Moved(finished_at=first.finished_at)
    with pytest.raises(ConfigurationError, match="was moved already"):
        await discard_in(make_move(old, url))
    with pytest.raises(ConfigurationError, match="Nothing is being moved"):
        await discard_out(make_move(new, url))
    await (await open_folder(new)).close()


@pytest.mark.parametrize("point", [*TO_CLUSTER, Failpoint.MIGRATE_OPENED])
async def test_to_a_cluster_interrupted(
    old: Path, tmp_path: Path, url: str, point: Failpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = count_parts(monkeypatch)
    before = dump(old / "partnerbus.db")
    with pytest.raises(FailpointError):
        await move_in(make_move(old, url, point, nth=2 if point is Failpoint.MIGRATE_PART_DONE else 1))
    with pytest.raises(ConfigurationError, match=r"is being moved to .* run `partnerbus migrate --from"):
        await open_folder(old)
    if point not in (Failpoint.MIGRATE_MARKED, Failpoint.MIGRATE_OPENED):
        with pytest.raises(ConfigurationError, match=r"is being filled from .* run `partnerbus migrate"):
            await open_node(tmp_path / "node", make_move(old, url))
    moved = await move_in(make_move(old, url))
    assert point is Failpoint.MIGRATE_OPENED or all_same(moved)
    assert len(sent) == len(set(sent)) > 2
    store = await open_node(tmp_path / "node", make_move(old, url))
    await store.close()
    assert dump(old / "partnerbus.db") == before


def count_parts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The checksums of what is sent, part by part."""
    sent: list[int] = []
    put = Parts.put

    async def counted(self: Parts, data: bytes, after: int) -> int:
        sent.append(crc32(data))
        return await put(self, data, after)

    monkeypatch.setattr(Parts, "put", counted)
    return sent


@pytest.mark.parametrize("point", TO_FOLDER)
async def test_to_a_folder_interrupted(
    old: Path, new: Path, tmp_path: Path, url: str, point: Failpoint
) -> None:
    before = dump(old / "partnerbus.db")
    await move_in(make_move(old, url))
    with pytest.raises(FailpointError):
        await move_out(make_move(new, url, point))
    with pytest.raises(ConfigurationError, match=r"is being filled from .* run `partnerbus migrate --from"):
        await open_folder(new)
    if point is not Failpoint.MIGRATE_MARKED:
        with pytest.raises(ConfigurationError, match=f"(is being|was) moved to {new}[ ,]"):
            await open_node(tmp_path / "node", make_move(old, url))
    moved = await move_out(make_move(new, url))
    assert point is Failpoint.MIGRATE_SOURCE_MARKED or all_same(moved)
    assert dump(new / "partnerbus.db") == before
    await (await open_folder(new)).close()


@pytest.mark.parametrize("point", TO_CLUSTER)
async def test_to_a_cluster_given_up(old: Path, url: str, point: Failpoint) -> None:
    with pytest.raises(FailpointError):
        await move_in(make_move(old, url, point))
    await discard_in(make_move(old, url))
    assert not (await ask(url, "STREAM.NAMES", {"subject": f"{url.rpartition('/')[2]}.>"}))["streams"]
    assert "OBJ_" + url.rpartition("/")[2] + "-copies" not in str(await ask(url, "STREAM.NAMES"))
    await (await open_folder(old)).close()
    assert all_same(await move_in(make_move(old, url)))


@pytest.mark.parametrize("point", TO_FOLDER[:-1])
async def test_to_a_folder_given_up(old: Path, new: Path, tmp_path: Path, url: str, point: Failpoint) -> None:
    await move_in(make_move(old, url))
    with pytest.raises(FailpointError):
        await move_out(make_move(new, url, point))
    await discard_out(make_move(new, url))
    assert names_in(new) == ["partnerbus.lock", KEY]
    store = await open_node(tmp_path / "node", make_move(old, url))
    await fill(store, 1, first=900)
    await store.close()
    assert all_same(await move_out(make_move(new, url)))
