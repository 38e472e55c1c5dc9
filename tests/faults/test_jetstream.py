"""A node of a cluster is killed, or servers of the cluster: nothing that was acknowledged is missing."""

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import nats
import pytest

from partnerbus.kernel.failpoints import Failpoint
from partnerbus.testing.crash import End, KillAfter, KillAt, StopAfter, Trouble, crash_run
from partnerbus.testing.server_process import ServerProcess
from tests.store.nats_servers import NatsServer, nats_cluster, nats_server

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(1_800)]

OF_THE_STORE = [
    point
    for point in Failpoint
    if point.startswith("store.") and point not in (Failpoint.RESET_BEFORE_COMMIT, Failpoint.RESET_COMMITTED)
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with nats_server(tmp_path) as server:
        yield server


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Sequence[NatsServer]]:
    with nats_cluster(tmp_path) as servers:
        yield servers


def url_of(servers: Sequence[NatsServer]) -> str:
    return "nats://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)


async def test_a_node_killed_and_stopped(server: NatsServer, tmp_path: Path) -> None:
    """At a few failpoints; the long form tries every one."""
    chance = random.Random(5)
    await ends_as(server, tmp_path, chance, chance.sample(OF_THE_STORE, 3), moments=1)


@pytest.mark.soak
async def test_a_node_killed_at_every_failpoint(server: NatsServer, tmp_path: Path) -> None:
    await ends_as(server, tmp_path, random.Random(5), OF_THE_STORE, moments=3)


async def ends_as(
    server: NatsServer, folder: Path, chance: random.Random, points: Sequence[Failpoint], moments: int
) -> None:
    """Kill a node at these points and at random moments, stop it once, in any order."""
    plan: list[End] = [KillAt(point, chance.randint(1, 40)) for point in points]
    plan += [KillAfter(chance.randint(1, 300)) for _ in range(moments)]
    plan += [StopAfter(100)]
    chance.shuffle(plan)
    report = await crash_run(folder, plan, events=200, settings=["--store", server.url])
    assert report.faults() == []
    assert report.ends == len(plan)


@pytest.mark.soak
async def test_servers_of_the_cluster_killed(cluster: Sequence[NatsServer], tmp_path: Path) -> None:
    """Whoever leads, who follows, and all at once; the node goes on without being started again."""

    async def kill_leader(_: ServerProcess) -> None:
        leader = await leading(cluster)
        leader.kill()
        await leading([other for other in cluster if other is not leader])
        leader.start()

    async def kill_follower(_: ServerProcess) -> None:
        leader = await leading(cluster)
        follower = next(other for other in cluster if other is not leader)
        follower.kill()
        follower.start()

    async def kill_all(_: ServerProcess) -> None:
        for each in cluster:
            each.kill()
        for each in cluster:
            each.start()
        await leading(cluster)

    plan = [Trouble(kill_leader), Trouble(kill_follower), Trouble(kill_all), Trouble(kill_leader)]
    report = await crash_run(
        tmp_path, plan, events=100, settings=["--store", url_of(cluster), "--replicas", "3"]
    )
    assert report.faults() == []
    assert report.ends == len(plan)


async def leading(servers: Sequence[NatsServer]) -> NatsServer:
    """Wait until one of them leads the stream; that one."""
    client = await nats.connect([server.url for server in servers], max_reconnect_attempts=-1)
    try:
        while True:
            try:
                answer = await client.request("$JS.API.STREAM.INFO.partnerbus", b"{}", timeout=2)
            except (nats.errors.Error, TimeoutError):
                continue
            name = json.loads(answer.data).get("cluster", {}).get("leader")
            if (found := next((each for each in servers if each.name == name), None)) is not None:
                return found
    finally:
        await client.close()
