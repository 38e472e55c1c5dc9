"""Real nodes on one NATS cluster, with a partner's source, a customer's rule and a receiver behind it."""

import asyncio
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from partnerbus.api.admin.status import NodeView
from partnerbus.engine.shares import owner
from partnerbus.model.resources import ClusterNode, Role
from partnerbus.store.protocol import Ledger
from partnerbus.testing.operator import Operator
from partnerbus.testing.receiver import Received, Receiver
from partnerbus.testing.server_process import PARTNERBUS, ServerProcess
from partnerbus.testing.wire import Wire
from tests.cluster.machines import HERE, Machines

CUSTOMER = "111122223333"
PARTNER = "999900001111"
SOURCE = "aws.partner/acme.com/nodes"
PATIENCE_SECONDS = 180.0


class Nodes:
    """Nodes that share a store. Make it with `nodes`."""

    def __init__(self, servers: Sequence[ServerProcess], receiver: Receiver) -> None:
        self.servers = servers
        self.receiver = receiver
        self.destinations: dict[str, str] = {}
        """The ARNs of the rules' targets."""
        self._shifted = timedelta(0)

    async def prepare(self, *rules: str, at: Sequence[ServerProcess] | None = None) -> None:
        """A source with its bus, and rules that take everything, each with a target of its own.

        It is asked of the nodes `at`, all of them if nothing is said, and known to those when this returns.
        """
        at = at or self.servers
        first, last = at[0].url, at[-1].url
        async with Wire(first, CUSTOMER) as customer, Wire(last, PARTNER) as partner:
            await partner.call("CreatePartnerEventSource", Name=SOURCE, Account=CUSTOMER)
            await until(lambda: _took(customer, "CreateEventBus", Name=SOURCE, EventSourceName=SOURCE))
            connection = await customer.call(
                "CreateConnection",
                Name="key",
                AuthorizationType="API_KEY",
                AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "value"}},
            )
            for rule in rules:
                await self.add_rule(customer, rule, str(connection["ConnectionArn"]))
        await asyncio.gather(*(self._knows(server, rules) for server in at))

    async def add_rule(self, customer: Wire, name: str, connection: str) -> None:
        destination = await customer.call(
            "CreateApiDestination",
            Name=name,
            ConnectionArn=connection,
            InvocationEndpoint=f"{self.receiver.url}/{name}",
            HttpMethod="POST",
        )
        pattern = '{"detail": {"n": [{"exists": true}]}}'
        await customer.call("PutRule", Name=name, EventBusName=SOURCE, EventPattern=pattern)
        self.destinations[name] = str(destination["ApiDestinationArn"])
        target = {"Id": "1", "Arn": destination["ApiDestinationArn"]}
        answer = await customer.call("PutTargets", Rule=name, EventBusName=SOURCE, Targets=[target])
        assert not answer["FailedEntryCount"], answer

    async def _knows(self, server: ServerProcess, rules: Sequence[str]) -> None:
        """Wait until a node has heard of the rules."""
        async with Wire(server.url, CUSTOMER) as customer:

            async def has_all() -> bool:
                found = [await _targets_of(customer, rule) for rule in rules]
                return all(found)

            await until(has_all)

    async def at(self, role: Role, work: str) -> ServerProcess:
        """The node whose share `work` is, once every running node has its lease and no other has one."""
        running = {name_of(server): server for server in self.servers if server.is_running}
        async with Operator(next(iter(running.values())).data) as operator:
            while True:
                found = (await operator.status()).nodes
                living = [node for node in found if node.leased_until > datetime.now(UTC)]
                if {node.name for node in living} == running.keys():
                    return running[str(owner([_as_resource(node) for node in living], role, work))]
                await asyncio.sleep(0.05)

    async def shift_clocks(self, duration: timedelta, last: ServerProcess | None = None) -> None:
        """Move the clocks of all running nodes forwards, one after the other."""
        for server in sorted(self.servers, key=lambda server: server is last):
            if server.is_running:
                await _shift(server, duration)
        self._shifted += duration

    async def start(self, server: ServerProcess) -> None:
        """Start a node again, with the time of the others."""
        await server.start()
        if self._shifted:
            await _shift(server, self._shifted)

    async def balanced(self, data: Path, accepted: int) -> dict[str, int]:
        """The ledger of the bus, seen by the node of `data`, once nothing is on its way any more."""
        async with Operator(data) as operator:

            async def is_done() -> bool:
                found = await operator.ledger(CUSTOMER, SOURCE)
                return found.accepted >= accepted and not found.pending and not found.unrouted

            await until(is_done)
            ledger = msgspec.structs.asdict(await operator.ledger(CUSTOMER, SOURCE))
        assert ledger["accepted"] == ledger["unmatched"] + ledger["matched"]
        assert ledger["owed"] == sum(ledger[end] for end in ("delivered", "dead", "dropped", "cancelled"))
        return ledger

    def events_at(self, rule: str) -> list[dict[str, Any]]:
        """What arrived at a rule's target."""
        return [json.loads(request.body) for request in self.receiver.requests if request.path == f"/{rule}"]

    def numbers_at(self, rule: str) -> Counter[int]:
        """How often each event arrived."""
        found = (request for request in self.receiver.requests if request.path == f"/{rule}")
        return Counter(_envelope(request).detail.n for request in found)

    def ids_by_number(self) -> dict[int, set[str]]:
        """The ids under which each event arrived anywhere."""
        found: dict[int, set[str]] = defaultdict(set)
        for request in self.receiver.requests:
            envelope = _envelope(request)
            found[envelope.detail.n].add(envelope.id)
        return found


class Turns:
    """One account, that calls the running nodes by turns, as through a load balancer."""

    def __init__(self, cluster: Nodes, account: str) -> None:
        self.cluster = cluster
        self.account = account
        self._turn = 0

    async def call(self, operation: str, **members: object) -> dict[str, Any]:
        running = [server for server in self.cluster.servers if server.is_running]
        self._turn += 1
        async with Wire(running[self._turn % len(running)].url, self.account) as wire:
            return await wire.call(operation, **members)

    async def webhook(self, name: str, **members: object) -> str:
        """The ARN of an API destination that is the receiver's path of that name."""
        key = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "value"}}
        wanted = {"AuthorizationType": "API_KEY", "AuthParameters": key}
        connection = await self.call("CreateConnection", Name=name, **wanted)
        url = f"{self.cluster.receiver.url}/{name}"
        wanted = {"ConnectionArn": connection["ConnectionArn"], "InvocationEndpoint": url}
        made = await self.call("CreateApiDestination", Name=name, HttpMethod="POST", **wanted, **members)
        return str(made["ApiDestinationArn"])

    async def rule(self, name: str, target: str, **members: object) -> None:
        """A rule of the default bus, that takes what has a number if nothing else is said."""
        rule = members or {"EventPattern": '{"detail": {"n": [{"exists": true}]}}'}
        await self.call("PutRule", Name=name, **rule)
        answer = await self.call("PutTargets", Rule=name, Targets=[{"Id": "1", "Arn": target}])
        assert not answer["FailedEntryCount"], answer

    async def put(self, *numbers: int) -> None:
        """Events of these numbers for the default bus."""
        own = [entry | {"Source": "own"} for entry in entries(numbers)]
        answer = await self.call("PutEvents", Entries=own)
        assert not answer["FailedEntryCount"], answer

    async def ledger(self, at: ServerProcess | None = None) -> Ledger:
        """The ledger of the default bus as a node sees it."""
        async with Operator((at or self.cluster.servers[-1]).data) as operator:
            return await operator.ledger(self.account, "default")

    async def balanced(self, accepted: int) -> Ledger:
        """That ledger once so much was accepted and nothing is on its way; it is the same on each node."""

        running = [server for server in self.cluster.servers if server.is_running]

        async def is_done() -> bool:
            found = [await self.ledger(server) for server in running]
            return all(one.accepted >= accepted and not one.pending and not one.unrouted for one in found)

        await until(is_done)
        ledgers = [await self.ledger(server) for server in running]
        assert ledgers[1:] == ledgers[:-1]
        return ledgers[0]


@asynccontextmanager
async def nodes(
    folder: Path,
    store: Sequence[str],
    *options: str,
    roles: Sequence[str] = (),
    network: Machines | None = None,
) -> AsyncIterator[Nodes]:
    """As many nodes as there are URLs of the store in `store`, all with the first one's key.

    Each is on a machine of its own if there is a network.
    """
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(Receiver(host=HERE if network else "127.0.0.1"))
        servers: list[ServerProcess] = []
        for number, url in enumerate(store):
            data = folder / f"node{number}"
            data.mkdir(mode=0o700)
            if servers:
                shutil.copy2(servers[0].data / "secret.key", data / "secret.key")
            given = ["--auth", "none", "--allow-private-targets", "--store", url, *options]
            given += ["--role", roles[number]] if roles else []
            program: Sequence[str] = PARTNERBUS
            if network is not None:
                given += ["--host", network.addresses[number], "--allow-remote-without-auth"]
                program = [*network.within(number), *PARTNERBUS]
            server = ServerProcess(data, *given, log=folder / f"node{number}.log", program=program)
            await stack.enter_async_context(server)
            servers.append(server)
        yield Nodes(servers, receiver)


def entries(numbers: Sequence[int]) -> list[dict[str, str]]:
    return [{"Source": SOURCE, "DetailType": "number", "Detail": f'{{"n": {n}}}'} for n in numbers]


async def _shift(server: ServerProcess, duration: timedelta) -> None:
    async with Operator(server.data) as operator:
        await operator.shift_clock(duration)


def name_of(server: ServerProcess) -> str:
    """What a node is called among the others."""
    return (server.data / "node").read_text("utf-8").strip()


def _as_resource(node: NodeView) -> ClusterNode:
    return ClusterNode(
        name=node.name,
        url=node.url,
        roles=tuple(map(Role, node.roles)),
        started_at=node.started_at,
        leased_until=node.leased_until,
    )


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what stays true once it is."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():  # noqa: ASYNC110 (another process cannot be waited for)
            await asyncio.sleep(0.05)


async def _took(wire: Wire, operation: str, **members: object) -> bool:
    """Whether it was done: what another node has just made, this one knows in a moment."""
    try:
        await wire.call(operation, **members)
    except Exception:  # noqa: BLE001 (tried again)
        return False
    return True


async def _targets_of(customer: Wire, rule: str) -> bool:
    try:
        found = await customer.call("ListTargetsByRule", Rule=rule, EventBusName=SOURCE)
    except Exception:  # noqa: BLE001 (not known yet)
        return False
    return bool(found["Targets"])


class _Detail(msgspec.Struct):
    n: int


class _Envelope(msgspec.Struct):
    id: str
    detail: _Detail


def _envelope(request: Received) -> _Envelope:
    return msgspec.json.decode(request.body, type=_Envelope)
