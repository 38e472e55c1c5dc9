"""Three nodes on a cluster of three servers, under load, and what can happen to any of them.

A node is killed, one is stopped for longer than its leases and wakes up, one is cut off (the cut is made by
a TCP proxy that stops forwarding, not by the network), a server is killed, all are. Whatever happens: what
was acknowledged arrives at every target, the ledger balances by count and by id, and only what was under way
when something happened may arrive twice.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
import msgspec
import pytest

from partnerbus.testing.operator import Operator
from partnerbus.testing.receiver import Received, Respond
from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.wire import Wire, WireError
from tests.cluster.cut import Cut
from tests.cluster.nodes import PARTNER, SOURCE, Nodes, entries, nodes, until
from tests.store.nats_servers import NatsServer, nats_cluster, nats_server

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(1_800)]

RULES = ["one", "two", "three", "four"]
FLOWING = 60
TAKEN_OVER = "took over what a node had claimed"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Sequence[NatsServer]]:
    with nats_cluster(tmp_path) as servers:
        yield servers


class Load:
    """Publishers at work on every node; what was acknowledged, by number, with its event's id."""

    def __init__(self, cluster: Nodes) -> None:
        self.cluster = cluster
        self.acknowledged: dict[int, str] = {}
        self.refused: set[str] = set()
        self._next = 0

    async def publish(self, server: ServerProcess) -> None:
        """Until cancelled, also while the node is gone."""
        while True:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with Wire(server.url, PARTNER) as wire:
                    while True:
                        await self._put(wire)
            await asyncio.sleep(0.05)

    async def _put(self, wire: Wire) -> None:
        numbers = range(self._next, self._next + 4)
        self._next += 4
        given = entries(numbers)
        given.append({"Source": SOURCE, "DetailType": "nobody", "Detail": "{}"})
        try:
            async with asyncio.timeout(60):
                answer = await wire.call("PutPartnerEvents", Entries=given)
        except WireError as error:
            self.refused.add(error.code)
            return
        results = msgspec.convert(answer["Entries"], list[dict[str, str]])
        for number, result in zip(numbers, results, strict=False):
            if "EventId" in result:
                self.acknowledged[number] = result["EventId"]

    async def flows(self) -> None:
        """Wait until more was acknowledged than now."""
        goal = len(self.acknowledged) + FLOWING

        async def is_there() -> bool:
            return len(self.acknowledged) >= goal

        await until(is_there)

    async def during(self, trouble: Callable[[], Awaitable[None]]) -> None:
        """Let `trouble` happen in the middle of it."""
        work = [asyncio.create_task(self.publish(server)) for server in self.cluster.servers]
        try:
            await self.flows()
            await trouble()
            await self.flows()
        finally:
            for task in work:
                task.cancel()
            await asyncio.wait(work)

    async def balances(self) -> int:
        """That everything is accounted for, on every living node alike; how many deliveries were repeats."""
        ledgers = []
        for server in self.cluster.servers:
            if server.is_running:
                ledgers.append(await self.cluster.balanced(server.data, len(self.acknowledged)))
        assert all(ledger == ledgers[0] for ledger in ledgers)
        ledger = ledgers[0]
        arrived = [self.cluster.numbers_at(rule) for rule in RULES]
        assert all(set(self.acknowledged) <= set(found) for found in arrived)
        assert ledger["matched"] == len(arrived[0])
        assert ledger["owed"] == ledger["delivered"] == len(RULES) * ledger["matched"]
        assert {len(found) for found in arrived} == {ledger["matched"]}
        ids = self.cluster.ids_by_number()
        assert all(ids[number] == {event_id} for number, event_id in self.acknowledged.items())
        assert self.refused <= {"InternalException", "ThrottlingException"}
        return sum(sum(found.values()) - len(found) for found in arrived)


def url_of(servers: Sequence[NatsServer]) -> str:
    return "nats://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)


async def gone(seen_by: ServerProcess, name: str) -> None:
    """Wait until a node's lease has ended."""
    async with Operator(seen_by.data) as operator:

        async def has_ended() -> bool:
            found = await operator.status()
            return all(node.leased_until < found.now for node in found.nodes if node.name == name)

        await until(has_ended)


def log_of(folder: Path, server: ServerProcess) -> str:
    return (folder / f"{server.data.name}.log").read_text("utf-8")


def name_of(server: ServerProcess) -> str:
    return (server.data / "node").read_text("utf-8").strip()


async def test_a_node_is_killed_and_the_others_take_over(
    servers: Sequence[NatsServer], tmp_path: Path
) -> None:
    """It is killed while its attempts are under way; they are made again when its lease has ended."""
    async with nodes(tmp_path, [url_of(servers)] * 3) as cluster:
        await cluster.prepare(*RULES)
        victim = await delivers(cluster, RULES[0])
        others = [server for server in cluster.servers if server is not victim]
        killed = asyncio.Event()

        def kill_once(_: Received) -> Respond:
            if not killed.is_set():
                os.kill(victim.pid, signal.SIGKILL)
                killed.set()
            return Respond()

        load = Load(cluster)

        async def kill() -> None:
            cluster.receiver.respond(f"/{RULES[0]}", kill_once)
            await killed.wait()
            await victim.wait()
            await gone(others[0], name_of(victim))

        await load.during(kill)
        repeats = await load.balances()
        assert repeats > 0
        assert any(TAKEN_OVER in log_of(tmp_path, server) for server in others)
        await victim.start()
        await load.during(lambda: asyncio.sleep(0))
        assert await load.balances() >= repeats


async def test_a_node_that_sleeps_through_its_leases_settles_nothing_late(
    servers: Sequence[NatsServer], tmp_path: Path
) -> None:
    """It is stopped while its attempts are under way, and wakes when others have made them again."""
    async with nodes(tmp_path, [url_of(servers)] * 3) as cluster:
        await cluster.prepare(*RULES)
        sleeper = await delivers(cluster, RULES[0])
        awake = next(server for server in cluster.servers if server is not sleeper)
        stopped = asyncio.Event()

        def stop_once(_: Received) -> Respond:
            if not stopped.is_set():
                os.kill(sleeper.pid, signal.SIGSTOP)
                stopped.set()
            return Respond()

        load = Load(cluster)

        async def sleep() -> None:
            cluster.receiver.respond(f"/{RULES[0]}", stop_once)
            await stopped.wait()
            await gone(awake, name_of(sleeper))

        await load.during(sleep)
        await cluster.balanced(awake.data, len(load.acknowledged))
        os.kill(sleeper.pid, signal.SIGCONT)
        await load.during(lambda: asyncio.sleep(0))
        assert await load.balances() > 0
        assert '"lease_lost":true' in log_of(tmp_path, sleeper)


async def delivers(cluster: Nodes, rule: str) -> ServerProcess:
    """The node that makes the attempts of a rule's target."""
    async with Operator(cluster.servers[0].data) as operator:
        name = await operator.deliverer(cluster.destinations[rule])
    return next(server for server in cluster.servers if name_of(server) == name)


@pytest.mark.soak  # `test_cut_off` is shorter, and pulls the cable
async def test_a_node_that_is_cut_off_loses_its_share(tmp_path: Path) -> None:
    """For longer than its leases. One server, so that the client knows no way around the proxy."""
    with nats_server(tmp_path) as server:
        async with (
            Cut(server.port) as cut,
            nodes(tmp_path, [cut.url, server.url, server.url]) as cluster,
        ):
            await cluster.prepare(*RULES)
            load = Load(cluster)

            async def cut_off() -> None:
                cut.close()
                await gone(cluster.servers[1], name_of(cluster.servers[0]))
                await load.flows()
                cut.open()

            await load.during(cut_off)
            await load.balances()


async def test_servers_of_the_cluster_are_killed(servers: Sequence[NatsServer], tmp_path: Path) -> None:
    """One after the other, then all at once; the nodes go on without being started again."""
    async with nodes(tmp_path, [url_of(servers)] * 3) as cluster:
        await cluster.prepare(*RULES)
        load = Load(cluster)

        async def kill_each() -> None:
            for server in servers:
                server.kill()
                await load.flows()
                server.start()
                await load.flows()

        async def kill_all() -> None:
            for server in servers:
                server.kill()
            for server in servers:
                server.start()

        await load.during(kill_each)
        await load.during(kill_all)
        await load.balances()
        assert all(server.is_running for server in cluster.servers)
