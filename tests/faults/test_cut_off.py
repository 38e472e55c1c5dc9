"""One of three machines loses its network, with the NATS server and the node on it, and gets it back.

Each machine is a network namespace; the cable is pulled while an attempt is under way: the target has got
the event, and its answer cannot come back.
"""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path

import aiohttp
import msgspec
import pytest

from partnerbus.kernel.clock import SystemClock
from partnerbus.model.resources import Role
from partnerbus.testing.receiver import Received, Respond
from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.wire import Wire, WireError
from tests.cluster.machines import Machines, machines
from tests.cluster.nodes import PARTNER, entries, name_of, nodes, until
from tests.faults.test_nodes import RULES, Load, gone
from tests.store.nats_servers import NatsServer

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(900)]


def start_servers(folder: Path, network: Machines, stack: ExitStack) -> str:
    """A server of the cluster on each machine; what a node needs to be told of them."""
    routes = ", ".join(f"nats://{address}:6222" for address in network.addresses)
    servers = [
        NatsServer(
            folder,
            f"n{number}",
            host=address,
            within=network.within(number),
            more=f'cluster {{ name: three, listen: "{address}:6222", routes: [{routes}] }}',
        )
        for number, address in enumerate(network.addresses)
    ]
    for server in servers:
        stack.callback(server.kill)
        server.start()
    return "nats://" + ",".join(server.url.removeprefix("nats://") for server in servers)


@pytest.fixture
def network() -> Iterator[Machines]:
    with machines(3) as network:
        yield network


async def test_a_machine_that_is_cut_off_and_comes_back(network: Machines, tmp_path: Path) -> None:
    await pull_the_cable(network, tmp_path, timedelta(0))


@pytest.mark.soak
async def test_a_machine_that_is_cut_off_for_a_minute(network: Machines, tmp_path: Path) -> None:
    await pull_the_cable(network, tmp_path, timedelta(minutes=1))


class Trickle(Load):
    """Publishers that leave no backlog: it would take longer to deliver than all the rest of the test."""

    async def _put(self, wire: Wire) -> None:
        await super()._put(wire)
        await asyncio.sleep(0.1)


async def pull_the_cable(network: Machines, folder: Path, at_least: timedelta) -> None:
    """Cut a machine off until others have taken over what its node had, or for longer."""
    clock = SystemClock()
    with ExitStack() as stack:
        store = start_servers(folder, network, stack)
        async with nodes(folder, [store] * 3, network=network) as cluster:
            await cluster.prepare(*RULES)
            victim = await cluster.at(Role.DELIVER, cluster.destinations[RULES[0]])
            number = cluster.servers.index(victim)
            unanswered: list[int] = []
            is_cut = asyncio.Event()

            def cut_once(request: Received) -> Respond:
                if not is_cut.is_set():
                    unanswered.append(msgspec.json.decode(request.body)["detail"]["n"])
                    network.cut(number)
                    is_cut.set()
                return Respond()

            async def was_taken_over() -> bool:
                return cluster.numbers_at(RULES[0])[unanswered[0]] > 1

            load = Trickle(cluster)

            async def lost_its_claim() -> bool:
                log = folder / f"{victim.data.name}.log"
                return '"lease_lost":true' in log.read_text("utf-8")

            async def cut_off() -> None:
                cluster.receiver.respond(f"/{RULES[0]}", cut_once)
                await is_cut.wait()
                mended_at = clock.now() + at_least
                await gone(cluster.servers[number - 1], name_of(victim))
                await until(was_taken_over)
                await load.flows()
                await clock.sleep_until(mended_at)
                network.mend(number)
                await takes_events_again(victim)

            await load.during(cut_off)
            assert await load.balances() > 0
            await until(lost_its_claim)


async def takes_events_again(server: ServerProcess) -> None:
    """Wait until a node has stored something."""
    for number in itertools.count(1_000_000):
        with suppress(aiohttp.ClientError, OSError, TimeoutError, WireError):
            async with asyncio.timeout(5), Wire(server.url, PARTNER) as wire:
                await wire.call("PutPartnerEvents", Entries=entries([number]))
                return
        await asyncio.sleep(0.1)
