"""A store is moved to a cluster and back: everything is there, once, whatever happened on the way."""

import errno
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from zlib import crc32

import msgspec
import nats
import pytest

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.errors import ConfigurationError, StoreError, StoreLocked, StoreUnavailable
from partnerbus.kernel.failpoints import Failpoint, FailpointError, Failpoints
from partnerbus.kernel.secrets import SecretBox
from partnerbus.kernel.telemetry import make_log
from partnerbus.model.resources import ClusterNode, Role, encode_resource
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.store.embedded.digests import TableDigest
from partnerbus.store.embedded.mark import MARK
from partnerbus.store.jetstream import JetStreamStore
from partnerbus.store.jetstream import move_in as move_in_module
from partnerbus.store.jetstream.move import Move, Moved, Shows, digest
from partnerbus.store.jetstream.move_in import CHECKED, discard_in, move_in
from partnerbus.store.jetstream.move_out import TABLES, discard_out, move_out
from partnerbus.store.jetstream.parts import Parts
from partnerbus.testing.store_contract.world import fill
from tests.store.moving import KEY, dump, fill_with_everything, full_store, make_folder, make_move, names_in
from tests.store.nats_servers import NatsServer, free_port
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


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("partnerbus.store.jetstream.move_in.PART_BYTES", 64 * 1024)


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
    with closing(sqlite3.connect(new / "partnerbus.db")) as connection:
        assert not connection.execute(
            "SELECT 1 FROM sqlite_schema WHERE name IN ('journal', 'nodes')"
        ).fetchall()
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


async def test_a_store_that_began_in_a_cluster(old: Path, new: Path, tmp_path: Path, url: str) -> None:
    """It has no copy of its tables; what is left of an attempt is no use if the stream does not lead on."""
    node = await open_node(tmp_path / "node", make_move(old, url))
    await fill_with_everything(node, ManualClock())
    tables = dump(tmp_path / "node" / "jetstream.db")
    await node.close()
    with pytest.raises(FailpointError):
        await move_out(make_move(new, url, Failpoint.MIGRATE_CAUGHT_UP))
    with closing(sqlite3.connect(new / TABLES)) as connection, connection:
        connection.execute("UPDATE journal SET applied = applied + 1000")
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


async def test_what_was_moved_away_again_is_not_filled_again(old: Path, new: Path, url: str) -> None:
    with pytest.raises(FailpointError):
        await move_in(make_move(old, url, Failpoint.MIGRATE_OPENED))
    await move_out(make_move(new, url))
    with pytest.raises(ConfigurationError, match="was moved already"):
        await discard_in(make_move(old, url))
    assert (await move_in(make_move(old, url))).tables == ()
    with pytest.raises(ConfigurationError, match=f"was moved to {new} at"):
        await open_node(old.parent / "node", make_move(old, url))


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


@pytest.mark.parametrize("point", [Failpoint.MIGRATE_MARKED, Failpoint.MIGRATE_VERIFIED])
async def test_to_a_cluster_given_up(old: Path, url: str, point: Failpoint) -> None:
    with pytest.raises(FailpointError):
        await move_in(make_move(old, url, point))
    await discard_in(make_move(old, url))
    assert not (await ask(url, "STREAM.NAMES", {"subject": f"{url.rpartition('/')[2]}.>"}))["streams"]
    assert "OBJ_" + url.rpartition("/")[2] + "-copies" not in str(await ask(url, "STREAM.NAMES"))
    await (await open_folder(old)).close()
    assert all_same(await move_in(make_move(old, url)))


@pytest.mark.parametrize("point", [Failpoint.MIGRATE_MARKED, Failpoint.MIGRATE_OPENED])
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


# -- what is found, and what is refused --------------------------------------------------------------------


async def test_a_flipped_byte_in_a_part_is_found(
    old: Path, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Parts.put

    async def flipping(self: Parts, data: bytes, after: int) -> int:
        sent.append(data)
        return await put(
            self, data if len(sent) != 3 else data[:100] + bytes([data[100] ^ 1]) + data[101:], after
        )

    sent: list[bytes] = []
    monkeypatch.setattr(Parts, "put", flipping)
    with pytest.raises(StoreUnavailable, match="Part 3 in the cluster is not what was sent"):
        await move_in(make_move(old, url))
    with pytest.raises(ConfigurationError, match="is being filled from"):
        await open_node(tmp_path / "node", make_move(old, url))
    parts = len(sent)
    assert all_same(await move_in(make_move(old, url)))
    assert len(sent) == parts + parts - 2  # the two before it are not sent again
    await (await open_node(tmp_path / "node", make_move(old, url))).close()


async def test_a_flipped_byte_in_a_copy_is_found(old: Path, new: Path, url: str) -> None:
    await move_in(make_move(old, url))
    stream = f"OBJ_{url.rpartition('/')[2]}-copies"
    client = await nats.connect(url)
    found = await client.jetstream().get_msg(stream, seq=3)
    await client.jetstream().delete_msg(stream, 3)
    assert found.data is not None
    assert found.subject is not None
    await client.jetstream().publish(found.subject, found.data[:-1] + bytes([found.data[-1] ^ 1]))
    await client.close()
    with pytest.raises(StoreUnavailable, match="is not what was put there"):
        await move_out(make_move(new, url))
    assert "partnerbus.db" not in names_in(new)


async def test_a_damaged_event_is_not_moved(old: Path, url: str) -> None:
    with closing(sqlite3.connect(old / "partnerbus.db")) as connection, connection:
        connection.execute(
            "UPDATE records SET body = x'00' WHERE position IN (SELECT max(position) FROM records)"
        )
    with pytest.raises(
        StoreUnavailable, match=r"The event [0-9a-f-]{36} at position \d+ of \w+ is damaged in "
    ):
        await move_in(make_move(old, url))
    assert MARK not in names_in(old)
    assert "error" in await ask(url, f"STREAM.INFO.{url.rpartition('/')[2]}")


async def test_tables_that_differ_are_no_store(
    old: Path, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changing(path: Path, show: Shows, label: str) -> Sequence[TableDigest]:
        if path.name == CHECKED:
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("UPDATE cursors SET position = position + 1")
        return digest(path, show, label)

    monkeypatch.setattr(move_in_module, "digest", changing)
    moved = await move_in(make_move(old, url))
    assert moved.finished_at is None
    assert [each.table for each in moved.tables if not each.is_same] == ["cursors"]
    with pytest.raises(ConfigurationError, match="is being filled from"):
        await open_node(tmp_path / "node", make_move(old, url))


async def test_nobody_serves_the_source(
    old: Path, new: Path, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_folder(old)
    with pytest.raises(StoreLocked, match="in use by another partnerbus process: stop it first"):
        await move_in(make_move(old, url))
    await store.close()
    await move_in(make_move(old, url))
    node = await open_node(tmp_path / "node", make_move(old, url))
    until = datetime.now(UTC) + timedelta(hours=1)
    lease = ClusterNode(
        name="n1", url="http://n1:1", roles=[Role.ROUTE], started_at=until, leased_until=until
    )
    revision = await node.put(lease.key, encode_resource(lease), 0)
    with pytest.raises(ConfigurationError, match=r"Nodes still serve .*: n1 at http://n1:1 \(until"):
        await move_out(make_move(new, url))
    await fill(node, 1, first=900)  # which the cluster still takes
    await node.delete(lease.key, revision)
    assert all_same(await move_out(make_move(new, url)))
    monkeypatch.setattr("partnerbus.store.jetstream.publisher.PATIENCE", timedelta(0))
    with pytest.raises(StoreError):
        await fill(node, 1, first=901)
    await node.close()


@pytest.mark.parametrize("is_there", ["partnerbus.db", "jetstream.db"])
async def test_a_folder_with_a_store_is_no_target(old: Path, new: Path, url: str, is_there: str) -> None:
    await move_in(make_move(old, url))
    (new / is_there).write_bytes(b"")
    with pytest.raises(ConfigurationError, match="holds a store already"):
        await move_out(make_move(new, url))
    assert names_in(new) == sorted([is_there, "partnerbus.lock", KEY])


async def test_a_stream_that_is_there_is_no_target(old: Path, tmp_path: Path, url: str) -> None:
    await (await open_node(tmp_path / "node", make_move(old, url))).close()
    with pytest.raises(ConfigurationError, match="is there already: name another one"):
        await move_in(make_move(old, url))
    await (await open_folder(old)).close()


async def test_copies_of_a_store_that_is_gone_are_in_the_way(old: Path, tmp_path: Path, url: str) -> None:
    name = url.rpartition("/")[2]
    client = await nats.connect(url)
    shelf = await client.jetstream().create_object_store(f"{name}-copies")
    await shelf.put(f"{7:020}", b"somebody's")
    with pytest.raises(ConfigurationError, match=f"`nats stream rm OBJ_{name}-copies`"):
        await move_in(make_move(old, url))
    assert MARK not in names_in(old)
    with pytest.raises(ConfigurationError, match="Nothing is being moved"):
        await discard_in(make_move(old, url))
    assert (await shelf.get(f"{7:020}")).data == b"somebody's"
    await client.jetstream().delete_object_store(f"{name}-copies")
    with pytest.raises(FailpointError):
        await move_in(make_move(old, url, Failpoint.MIGRATE_COPIED))
    shelf = await client.jetstream().object_store(f"{name}-copies")
    await shelf.put(f"{7:020}", b"somebody's")
    await discard_in(make_move(old, url))
    assert (await shelf.get(f"{7:020}")).data == b"somebody's"
    await client.jetstream().delete_object_store(f"{name}-copies")
    await client.close()
    assert all_same(await move_in(make_move(old, url)))


async def test_a_move_to_somewhere_else_is_refused(old: Path, new: Path, url: str) -> None:
    with pytest.raises(FailpointError):
        await move_in(make_move(old, url, Failpoint.MIGRATE_COPIED))
    with pytest.raises(ConfigurationError, match=f"is being moved to {url}, which is not finished"):
        await move_in(make_move(old, url + "2"))
    with pytest.raises(ConfigurationError, match=f"is being filled from {old}, which is not finished"):
        await move_out(make_move(new, url))


async def test_another_key_is_refused(old: Path, new: Path, url: str) -> None:
    await move_in(make_move(old, url))
    (new / KEY).unlink()
    SecretBox.from_file(new / KEY)
    with pytest.raises(ConfigurationError, match=r"another secret\.key"):
        await move_out(make_move(new, url))


async def test_what_is_no_store(tmp_path: Path, url: str) -> None:
    folder = make_folder(tmp_path / "empty")
    with pytest.raises(ConfigurationError, match="There is no store in"):
        await move_in(make_move(folder, url))
    SecretBox.from_file(folder / KEY)
    with pytest.raises(ConfigurationError, match="has no store of that name"):
        await move_out(make_move(folder, url))
    assert names_in(folder) == ["partnerbus.lock", KEY]


async def test_another_schema_is_refused(old: Path, url: str) -> None:
    with closing(sqlite3.connect(old / "partnerbus.db")) as connection:
        connection.execute("PRAGMA user_version = 4")
    with pytest.raises(ConfigurationError, match="was written by an older partnerbus"):
        await move_in(make_move(old, url))


async def test_too_few_servers(old: Path, url: str) -> None:
    move = make_move(old, url)
    three = msgspec.structs.replace(move, cluster=msgspec.structs.replace(move.cluster, replicas=3))
    with pytest.raises(ConfigurationError, match="fewer than 3 servers"):
        await move_in(three)
    await (await open_folder(old)).close()


async def test_an_unreachable_cluster(old: Path) -> None:
    with pytest.raises(StoreUnavailable, match="can be reached"):
        await move_in(make_move(old, f"nats://127.0.0.1:{free_port()}"))
    await (await open_folder(old)).close()


async def test_a_full_disk_on_the_way_back(
    old: Path, new: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await move_in(make_move(old, url))

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(StoreUnavailable, match=r"No space left on device.*run the same again"):
            await move_out(make_move(new, url))
    assert all_same(await move_out(make_move(new, url)))
