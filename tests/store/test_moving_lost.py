"""One end of a move to a folder is lost: the other one is neither locked out nor lost, too."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from secrets import token_hex

import nats
import pytest

from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.failpoints import Failpoint, FailpointError
from partnerbus.store.embedded.mark import MARK
from partnerbus.store.jetstream.move_in import move_in
from partnerbus.store.jetstream.move_out import FETCHED, discard_out, move_out
from partnerbus.store.jetstream.move_source import reopen
from partnerbus.testing.store_contract.world import fill
from tests.store.moving import KEY, dump, full_store, make_folder, make_move, names_in
from tests.store.nats_servers import NatsServer
from tests.store.test_moving import all_same, open_folder, open_node


@pytest.fixture
async def url(server: NatsServer, tmp_path: Path) -> str:
    """A store in a cluster that was moved there."""
    url = f"{server.url}/{token_hex(4)}"
    await full_store(tmp_path / "old")
    await move_in(make_move(tmp_path / "old", url))
    return url


@pytest.fixture
def new(tmp_path: Path, url: str) -> Path:
    return folder_with_key(tmp_path, "new")


def folder_with_key(tmp_path: Path, name: str) -> Path:
    shutil.copy(tmp_path / "old" / KEY, make_folder(tmp_path / name) / KEY)
    return tmp_path / name


async def interrupt(folder: Path, url: str, point: Failpoint) -> None:
    with pytest.raises(FailpointError):
        await move_out(make_move(folder, url, point))


def lose(folder: Path) -> None:
    """Make it anew, with nothing but the key in it."""
    shutil.rmtree(folder)
    folder_with_key(folder.parent, folder.name)


async def remove_stream(url: str) -> None:
    client = await nats.connect(url)
    await client.jetstream().delete_stream(url.rpartition("/")[2])
    await client.jetstream().delete_object_store(url.rpartition("/")[2] + "-copies")
    await client.close()


async def serve_once(tmp_path: Path, url: str) -> None:
    """A node opens the cluster's store and writes to it; a new one is made if there is none."""
    node = await open_node(tmp_path / "node", make_move(folder_with_key(tmp_path, "keys"), url))
    await fill(node, 1, first=900)
    await node.close()


def written(error: pytest.ExceptionInfo[ConfigurationError]) -> str:
    """The id of the mark that a refusal names."""
    return str(error.value).rpartition("--discard-mark ")[2].split()[0]


# -- the folder is lost ------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", [Failpoint.MIGRATE_MADE, Failpoint.MIGRATE_OPENED])
async def test_a_lost_folder_is_given_up(new: Path, tmp_path: Path, url: str, point: Failpoint) -> None:
    await interrupt(new, url, point)
    lose(new)
    await discard_out(make_move(new, url))
    assert names_in(new) == ["partnerbus.lock", KEY]
    await serve_once(tmp_path, url)
    with pytest.raises(ConfigurationError, match=r"Nothing is being moved to .*new\.$"):
        await discard_out(make_move(new, url))


async def test_a_lost_folder_is_filled_anew(new: Path, tmp_path: Path, url: str) -> None:
    await interrupt(new, url, Failpoint.MIGRATE_MADE)
    lose(new)
    assert all_same(await move_out(make_move(new, url)))
    assert dump(new / "partnerbus.db") == dump(tmp_path / "old" / "partnerbus.db")
    await (await open_folder(new)).close()


async def test_a_folder_that_is_a_store_by_now_is_not_a_lost_one(new: Path, url: str) -> None:
    await interrupt(new, url, Failpoint.MIGRATE_OPENED)
    (new / MARK).unlink()
    for act in (move_out, discard_out):
        with pytest.raises(ConfigurationError, match=r"is being moved to .* --discard-mark"):
            await act(make_move(new, url))
    await (await open_folder(new)).close()


@pytest.mark.parametrize("point", [Failpoint.MIGRATE_MADE, Failpoint.MIGRATE_SOURCE_MARKED])
async def test_a_stream_whose_folder_is_lost_with_its_host_is_a_store_again(
    new: Path, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, point: Failpoint
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("partnerbus.store.jetstream.move_out.this_host", lambda: "lost")
        await interrupt(new, url, point)
    lose(new)
    for act in (move_out, discard_out):
        with pytest.raises(ConfigurationError, match="if that folder is lost") as refused:
            await act(make_move(new, url))
    with pytest.raises(ConfigurationError, match="was not marked by the move another: "):
        await reopen(make_move(new, url), "another")
    await reopen(make_move(new, url), written(refused))
    await serve_once(tmp_path, url)
    with pytest.raises(ConfigurationError, match="it has no mark"):
        await reopen(make_move(new, url), written(refused))


async def test_a_store_that_was_moved_away_is_one_again(new: Path, tmp_path: Path, url: str) -> None:
    assert all_same(await move_out(make_move(new, url)))
    with pytest.raises(ConfigurationError, match="was moved to") as refused:
        await discard_out(make_move(new, url))
    store = await open_folder(new)  # which goes on with the folder's
    await reopen(make_move(new, url), written(refused))
    await store.close()
    await serve_once(tmp_path, url)


async def test_what_a_killed_run_left_open_is_no_part_of_what_the_next_one_fetches(
    new: Path, tmp_path: Path, url: str
) -> None:
    await interrupt(new, url, Failpoint.MIGRATE_MARKED)
    with closing(sqlite3.connect(shutil.copy(tmp_path / "old" / "partnerbus.db", tmp_path))) as connection:
        with connection:
            connection.execute("UPDATE cursors SET position = position + 1")
        shutil.copy(tmp_path / "partnerbus.db-wal", new / f"{FETCHED}-wal")
    assert all_same(await move_out(make_move(new, url)))
    assert dump(new / "partnerbus.db") == dump(tmp_path / "old" / "partnerbus.db")


# -- the stream is lost ------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_made_anew", [False, True])
async def test_a_whole_store_outlives_its_stream(
    new: Path, tmp_path: Path, url: str, is_made_anew: bool
) -> None:
    """Also if a node has made a new stream of that name, which is empty."""
    await interrupt(new, url, Failpoint.MIGRATE_SOURCE_MARKED)
    before = dump(new / "partnerbus.db")
    await remove_stream(url)
    if is_made_anew:
        await serve_once(tmp_path, url)
    for act in (move_out, discard_out):
        with pytest.raises(ConfigurationError, match=r"partnerbus\.db in that folder is its store, whole"):
            await act(make_move(new, url))
    assert dump(new / "partnerbus.db") == before
    for left in names_in(new):
        if left.startswith("moving."):
            (new / left).unlink()
    await (await open_folder(new)).close()


async def test_half_a_store_is_no_use_without_its_stream(new: Path, tmp_path: Path, url: str) -> None:
    await interrupt(new, url, Failpoint.MIGRATE_CAUGHT_UP)
    await remove_stream(url)
    await serve_once(tmp_path, url)
    for act in (move_out, discard_out):
        with pytest.raises(ConfigurationError, match="is no store, remove it to begin anew"):
            await act(make_move(new, url))


async def test_a_whole_store_is_not_written_over(new: Path, tmp_path: Path, url: str) -> None:
    """The stream was taken back elsewhere meanwhile, or restored to what it was."""
    await interrupt(new, url, Failpoint.MIGRATE_SOURCE_MARKED)
    before = dump(new / "partnerbus.db")
    with pytest.raises(ConfigurationError) as refused:
        await discard_out(make_move(folder_with_key(tmp_path, "other"), url))
    await reopen(make_move(new, url), written(refused))
    with pytest.raises(ConfigurationError, match="knows of no move to it any more"):
        await move_out(make_move(new, url))
    assert dump(new / "partnerbus.db") == before
    await discard_out(make_move(new, url))
    assert names_in(new) == ["partnerbus.lock", KEY]
    assert all_same(await move_out(make_move(new, url)))
