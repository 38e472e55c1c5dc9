"""Real nodes on one NATS cluster, with a partner's source, a customer's rule and a receiver behind it."""

import asyncio
import shutil
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from partnerbus.testing.operator import Operator
from partnerbus.testing.receiver import Received, Receiver
from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.wire import Wire

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


@asynccontextmanager
async def nodes(
    folder: Path, store: Sequence[str], *options: str, roles: Sequence[str] = ()
) -> AsyncIterator[Nodes]:
    """As many nodes as there are URLs of the store in `store`, all with the first one's key."""
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(Receiver())
        servers: list[ServerProcess] = []
        for number, url in enumerate(store):
            data = folder / f"node{number}"
            data.mkdir(mode=0o700)
            if servers:
                shutil.copy2(servers[0].data / "secret.key", data / "secret.key")
            given = ["--auth", "none", "--allow-private-targets", "--store", url, *options]
            given += ["--role", roles[number]] if roles else []
            server = ServerProcess(data, *given, log=folder / f"node{number}.log")
            await stack.enter_async_context(server)
            servers.append(server)
        yield Nodes(servers, receiver)


def entries(numbers: Sequence[int]) -> list[dict[str, str]]:
    return [{"Source": SOURCE, "DetailType": "number", "Detail": f'{{"n": {n}}}'} for n in numbers]


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
