"""`partnerbus migrate` as its users run it: servers before and after it, killed in the middle, refused."""

import signal
from collections import Counter
from pathlib import Path

import pytest

from partnerbus.kernel.failpoints import VARIABLE, Failpoint
from partnerbus.kernel.secrets import SecretBox
from partnerbus.testing.receiver import Hang, Receiver, Respond
from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.wire import Wire
from tests.cli.commands import Done, is_one_sentence, partnerbus
from tests.cluster.nodes import PARTNER, Nodes, entries
from tests.store.moving import KEY, dump, full_store, make_folder, names_in
from tests.store.nats_servers import nats_cluster, nats_server
from tests.store.test_moving import TO_CLUSTER, TO_FOLDER

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(600)]

OPEN = ("--auth", "none", "--allow-private-targets")


async def migrate(source: object, target: object, *options: str, kill_at: str = "") -> Done:
    environment = {VARIABLE: f"{kill_at}=kill@1"} if kill_at else {}
    return await partnerbus(
        "migrate", "--from", str(source), "--to", str(target), *options, environment=environment
    )


async def test_the_story_goes_on_after_each_move(tmp_path: Path) -> None:
    """What was owed before a move is delivered after it; nothing is sent twice but what was under way."""
    old, node, new = tmp_path / "old", tmp_path / "node", tmp_path / "new"
    with nats_server(tmp_path) as nats:
        async with Receiver() as receiver:
            receiver.respond("/rule", lambda _request: Hang())
            async with ServerProcess(old, *OPEN) as server:
                story = Nodes([server], receiver)
                await story.prepare("rule")
                await put(server, range(5))
                await receiver.received(5)
                refused = await migrate(old, nats.url)
                assert refused.status == 2
                assert is_one_sentence(refused.err)
                assert "stop it first" in refused.err
            receiver.requests.clear()
            receiver.respond("/rule", lambda _request: Respond())

            killed = await migrate(old, nats.url, kill_at=Failpoint.MIGRATE_COPIED)
            assert killed.status == -signal.SIGKILL
            assert "is being moved to" in (await partnerbus("status", "--data", str(old))).err
            moved = await migrate(old, nats.url, "--data", str(node), "--json")
            assert moved.status == 0, moved.err
            assert moved.json["is_finished"]
            assert {each["table"] for each in moved.json["tables"]} >= {"records", "deliveries", "registry"}
            assert "Sending: 100 %" in moved.err
            assert "was moved to" in (await partnerbus("ledger", "--data", str(old))).err

            async with ServerProcess(node, *OPEN, "--store", nats.url) as server:
                await put(server, range(5, 8))
                ledger = await Nodes([server], receiver).balanced(node, 8)
                assert ledger["delivered"] == 8
                refused = await migrate(nats.url, new, "--data", str(node))
                assert refused.status == 2
                assert f"Nodes still serve {nats.url}: " in refused.err
                assert server.url in refused.err
                assert await server.stop() == 0
            assert story.numbers_at("rule") == Counter(range(8))

            back = await migrate(nats.url, new, "--data", str(node))
            assert back.status == 0, back.err
            assert "every table is the same" in back.out
            async with ServerProcess(new, *OPEN) as server:
                await put(server, range(8, 10))
                ledger = await Nodes([server], receiver).balanced(new, 10)
                assert ledger["delivered"] == 10
            assert story.numbers_at("rule") == Counter(range(10))


async def put(server: ServerProcess, numbers: range) -> None:
    async with Wire(server.url, PARTNER) as partner:
        answer = await partner.call("PutPartnerEvents", Entries=entries(numbers))
        assert answer["FailedEntryCount"] == 0


@pytest.mark.soak
async def test_killed_at_every_step(tmp_path: Path) -> None:
    await full_store(tmp_path / "old")
    with nats_cluster(tmp_path) as servers:
        url = "nats://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)
        for point in (*TO_CLUSTER, Failpoint.MIGRATE_OPENED):
            assert (await migrate(tmp_path / "old", url, kill_at=point)).status == -signal.SIGKILL, point
        assert (await migrate(tmp_path / "old", url)).status == 0
        new = make_folder(tmp_path / "new")
        before = dump(tmp_path / "old" / "partnerbus.db")
        for point in TO_FOLDER:
            killed = await migrate(url, new, "--data", str(tmp_path / "old"), kill_at=point)
            assert killed.status == -signal.SIGKILL, point
        assert (await migrate(url, new, "--data", str(tmp_path / "old"))).status == 0
        assert dump(new / "partnerbus.db") == before


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("a", "b", "both folders: stop the server and copy the folder"),
        ("nats://a", "nats://b", "both clusters: move the store to a folder first"),
        ("a", "nats://127.0.0.1:1", "There is no store in a"),
        ("a", "http://b", "There is no store in a"),
        ("nats://user:secret@127.0.0.1:1", "a", "without it nobody reads the store's secrets"),
    ],
)
async def test_what_cannot_be_meant(tmp_path: Path, source: str, target: str, said: str) -> None:
    done = await partnerbus("migrate", "--from", source, "--to", target, cwd=tmp_path)
    assert done.status == 2
    assert is_one_sentence(done.err), done.err
    assert said in done.err
    assert "secret@" not in done.err
    assert names_in(tmp_path) == []


async def test_given_up(tmp_path: Path) -> None:
    await full_store(tmp_path / "old")
    with nats_server(tmp_path) as nats:
        killed = await migrate(tmp_path / "old", nats.url, kill_at=Failpoint.MIGRATE_PART_DONE)
        assert killed.status == -signal.SIGKILL
        assert (await migrate(tmp_path / "old", nats.url, "--discard")).status == 0
        assert (await partnerbus("ledger", "--data", str(tmp_path / "old"))).status == 0


async def test_taken_back(tmp_path: Path) -> None:
    """Whoever wants a stream again that was moved away is told the id to name."""
    old, new, newer = tmp_path / "old", tmp_path / "new", tmp_path / "newer"
    await full_store(old)
    with nats_server(tmp_path) as nats:
        assert (await migrate(old, nats.url)).status == 0
        assert (await migrate(nats.url, new, "--data", str(old))).status == 0
        refused = await migrate(nats.url, new, "--discard")
        assert refused.status == 2
        assert is_one_sentence(refused.err), refused.err
        named = refused.err.split("run this with ")[1].split()
        assert "name it with --from" in (await migrate(old, nats.url, *named)).err
        assert (await migrate(nats.url, newer, "--data", str(old))).status == 2
        assert (await migrate(nats.url, new, *named)).status == 0
        assert (await migrate(nats.url, newer, "--data", str(old))).status == 0
    assert dump(newer / "partnerbus.db") == dump(new / "partnerbus.db")


async def test_the_key_of_a_node_is_not_overwritten(tmp_path: Path) -> None:
    await full_store(tmp_path / "old")
    make_folder(tmp_path / "node")
    (tmp_path / "node" / KEY).write_text("another")
    with nats_server(tmp_path) as nats:
        done = await migrate(tmp_path / "old", nats.url, "--data", str(tmp_path / "node"))
    assert done.status == 2
    assert "is another key file" in done.err
    assert (tmp_path / "node" / KEY).read_text() == "another"


async def test_no_key_is_made_for_a_move_that_goes_on(tmp_path: Path) -> None:
    old = tmp_path / "old"
    await full_store(old)
    with nats_server(tmp_path) as nats:
        assert (await migrate(old, nats.url, kill_at=Failpoint.MIGRATE_MARKED)).status == -signal.SIGKILL
        key = (old / KEY).rename(tmp_path / "away")
        done = await migrate(old, nats.url, "--data", str(tmp_path / "node"))
        assert is_one_sentence(done.err), done.err
        assert f"{old / KEY} is not there" in done.err
        assert not (old / KEY).exists()
        key.rename(old / KEY)
        assert (await migrate(old, nats.url)).status == 0


async def test_folders_that_take_no_key(tmp_path: Path) -> None:
    old, node = tmp_path / "old", make_folder(tmp_path / "node")
    await full_store(old)
    with nats_server(tmp_path) as nats:
        done = await migrate(old, nats.url, "--data", str(old))
        assert is_one_sentence(done.err), done.err
        assert "a node needs another one" in done.err
        (node / KEY).mkdir()
        done = await migrate(old, nats.url, "--data", str(node))
        assert is_one_sentence(done.err), done.err
        assert f"{node / KEY} cannot be read" in done.err
        (node / KEY).rmdir()
        (node / "secret.draft").mkdir()  # where the key is written first
        done = await migrate(old, nats.url, "--data", str(node))
        assert done.err.count("Error: ") == 1, done.err
        assert "Traceback" not in done.err
        assert f"{nats.url} is the store now, but {node / KEY} cannot be written" in done.err
        (node / "secret.draft").rmdir()
        assert (await migrate(old, nats.url, "--data", str(node))).status == 0
        assert (node / KEY).read_bytes() == (old / KEY).read_bytes()
        (make_folder(tmp_path / "new") / KEY).write_text("another")
        (tmp_path / "new" / KEY).chmod(0o600)
        done = await migrate(nats.url, tmp_path / "new")
        assert is_one_sentence(done.err), done.err
        assert "is not a key file" in done.err


async def test_a_store_with_secrets_of_another_key_is_not_moved(tmp_path: Path) -> None:
    old = tmp_path / "old"
    assert (await partnerbus("account", "create", "111122223333", "--data", str(old))).status == 0
    (old / KEY).unlink()
    SecretBox.from_file(old / KEY)
    done = await migrate(old, "nats://127.0.0.1:1")
    assert done.status == 2
    assert "does not open with this key file" in done.err
