"""Nodes on NATS to measure: real servers that sync always; stores of one node and of more beside each other.

Nothing is bound to a core: servers, nodes, the load and the webhook share what the machine has. So what each
process takes of the processor is told besides.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import nats
from nats.aio.client import Client
from tests.store.nats_servers import NatsServer, nats_cluster, nats_server

from benchmarks.path_world import client, cpu_seconds, main_thread_cpu_seconds
from partnerbus.store.protocol import Ledger
from partnerbus.testing.bench import CUSTOMER, SOURCE, make_accounts, prepare
from partnerbus.testing.operator import Operator
from partnerbus.testing.server_process import ServerProcess

OPTIONS = ("--allow-private-targets", "--no-throttling")
PATIENCE_SECONDS = 120
PAUSE_SECONDS = 0.05
RULE = "deliver"


class _Peer(msgspec.Struct):
    name: str
    current: bool = False


class _Group(msgspec.Struct):
    leader: str = ""
    replicas: list[_Peer] = []


class _Stream(msgspec.Struct):
    cluster: _Group


class Cluster(msgspec.Struct, frozen=True):
    """One server, or three that know each other; `folder` is for whoever uses them."""

    servers: Sequence[NatsServer]
    folder: Path

    @property
    def name(self) -> str:
        return f"R{len(self.servers)}"

    @property
    def hosts(self) -> list[str]:
        return [server.url for server in self.servers]

    def store(self, name: str) -> str:
        """The URL of a store."""
        return f"nats://{','.join(url.removeprefix('nats://') for url in self.hosts)}/{name}"

    async def connect(self) -> Client:
        """The library's client, as a program without partnerbus would use it."""
        return await nats.connect(self.hosts)

    async def leader(self, store: str) -> NatsServer:
        """The server that leads a store's stream, once all of them are current."""
        connection = await self.connect()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    answer = await connection.request(f"$JS.API.STREAM.INFO.{store}", b"{}", timeout=5)
                    found = msgspec.json.decode(answer.data, type=_Stream).cluster
                    if found.leader and all(peer.current for peer in found.replicas):
                        return next(server for server in self.servers if server.name == found.leader)
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            await connection.close()


@asynccontextmanager
async def cluster_of(count: int) -> AsyncIterator[Cluster]:
    """So many servers, with a folder on the disk."""
    with tempfile.TemporaryDirectory(prefix="partnerbus-bench-") as name:
        folder = Path(name)
        if count == 1:
            with nats_server(folder) as alone:
                yield Cluster([alone], folder)
        else:
            with nats_cluster(folder) as servers:
                yield Cluster(servers, folder)


class Contender(msgspec.Struct, frozen=True):
    """Who is published to: nodes that share a store, and the NATS servers that they need."""

    name: str
    nodes: Sequence[ServerProcess]
    store: str = ""
    servers: Sequence[NatsServer] = ()

    def cpu_seconds(self) -> Mapping[str, float]:
        """What each process has had of the processor so far."""
        nodes = {f"node {n}": cpu_seconds(node.pid) for n, node in enumerate(self.nodes, 1)}
        return nodes | {f"nats {n}": cpu_seconds(server.pid) for n, server in enumerate(self.servers, 1)}

    def loop_seconds(self) -> Mapping[str, float]:
        """What of it the nodes' event loops have had; the rest is the store's threads."""
        return {f"loop {n}": main_thread_cpu_seconds(node.pid) for n, node in enumerate(self.nodes, 1)}

    async def rest(self) -> Ledger:
        """Wait until everything that was acknowledged is routed and delivered; the ledger then."""
        async with asyncio.timeout(PATIENCE_SECONDS), Operator(self.nodes[0].data) as operator:
            while (  # noqa: ASYNC110 (another process cannot be waited for)
                found := await operator.ledger(CUSTOMER, SOURCE)
            ).unrouted or found.pending:
                await asyncio.sleep(PAUSE_SECONDS)
        return found


@asynccontextmanager
async def embedded(folder: Path, sink: str) -> AsyncIterator[Contender]:
    """One server with the embedded store."""
    data = folder / "embedded"
    await asyncio.to_thread(make_accounts, data)
    async with ServerProcess(data, *OPTIONS) as server:
        await prepare(server.url, sink)
        yield Contender("embedded store", [server])


@asynccontextmanager
async def nodes(cluster: Cluster, store: str, count: int, sink: str) -> AsyncIterator[Contender]:
    """So many nodes on a store of its own; all know a source, its bus and a rule that ends at `sink`."""
    where = ("--store", cluster.store(store))
    monitors = ",".join(server.monitor for server in cluster.servers)
    async with AsyncExitStack() as stack:
        found: list[ServerProcess] = []
        for number in range(1, count + 1):
            data = cluster.folder / f"{store}-{number}"
            if found:
                data.mkdir(mode=0o700)
                shutil.copy2(found[0].data / "secret.key", data)
            else:
                await asyncio.to_thread(make_accounts, data, {"PARTNERBUS_STORE": cluster.store(store)})
            server = ServerProcess(data, *OPTIONS, *where, "--store-monitors", monitors)
            found.append(await stack.enter_async_context(server))
        await prepare(found[0].url, sink)
        await asyncio.gather(*map(_knows, found))
        yield Contender(f"{count} node{'s' * (count > 1)}", found, store, cluster.servers)


async def _knows(node: ServerProcess) -> None:
    """Wait until it has heard of the rule's target."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await asyncio.to_thread(_targets_of, node.url):  # noqa: ASYNC110 (another process)
            await asyncio.sleep(PAUSE_SECONDS)


def _targets_of(url: str) -> int:
    customer = client(url, CUSTOMER)
    try:
        return len(customer.list_targets_by_rule(Rule=RULE, EventBusName=SOURCE)["Targets"])
    except customer.exceptions.ClientError:  # it does not even know who asks
        return 0
