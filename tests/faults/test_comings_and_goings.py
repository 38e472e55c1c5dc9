"""Nodes of a cluster die and come back in the middle of what one of them does for all.

Whatever a schedule has due is stored once, a replay goes on where it was, an ordered target sees the order.
"""

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from partnerbus.model.resources import Role
from partnerbus.testing.operator import Operator
from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.wire import Wire, WireError
from tests.cli.commands import partnerbus
from tests.cluster.nodes import Nodes, Turns, nodes, until
from tests.faults.test_order import KEYS, Detail, out_of_order
from tests.store.nats_servers import nats_server

pytestmark = [
    pytest.mark.fault,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="module"),
]

LONGER_THAN_A_CLAIM = timedelta(minutes=2)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nodes]:
    folder = tmp_path_factory.mktemp("cluster")
    with nats_server(folder) as server:
        async with nodes(folder, [server.url] * 3, "--test-clock") as cluster:
            yield cluster


def others(cluster: Nodes, than: ServerProcess) -> list[ServerProcess]:
    return [server for server in cluster.servers if server is not than]


async def test_what_is_due_is_stored_once_though_the_node_that_has_schedules_dies(cluster: Nodes) -> None:
    rules, hours = 20, 20
    customer = Turns(cluster, "000000000001")
    hook = await customer.webhook("due")
    for number in range(rules):
        await customer.rule(f"hourly{number}", hook, ScheduleExpression="rate(1 hour)")
    victim = await cluster.at(Role.ROUTE, "schedules")
    await cluster.shift_clocks(timedelta(hours=hours, minutes=1), last=victim)
    await cluster.receiver.received(1, "/due")
    await victim.kill()
    await cluster.shift_clocks(LONGER_THAN_A_CLAIM)
    ledger = await customer.balanced(rules * hours)
    assert ledger.accepted == ledger.delivered == rules * hours
    await cluster.start(victim)
    ledger = await customer.balanced(rules * hours)
    assert ledger.accepted == ledger.delivered == rules * hours
    arrived = cluster.events_at("due")
    assert len({event["id"] for event in arrived}) == rules * hours
    due = Counter(rule for rule, _ in {(event["resources"][0], event["time"]) for event in arrived})
    assert len(due) == rules
    assert set(due.values()) == {hours}


async def test_a_replay_goes_on_where_the_node_that_ran_it_was(cluster: Nodes) -> None:
    """It is started at a node that does not run it, while live events go on."""
    events, name = 300, "again"
    customer = Turns(cluster, "000000000002")
    bus = f"arn:aws:events:us-east-1:{customer.account}:event-bus/default"
    archive = await customer.call("CreateArchive", ArchiveName="all", EventSourceArn=bus)
    for first in range(0, events, 10):
        await customer.put(*range(first, first + 10))
    await customer.balanced(events)
    await archived(customer, events)
    await customer.rule("r", await customer.webhook("replayed", InvocationRateLimitPerSecond=100))
    victim = await cluster.at(Role.ROUTE, "replays")
    async with Wire(others(cluster, victim)[0].url, customer.account) as wire:
        await wire.call(
            "StartReplay",
            ReplayName=name,
            EventSourceArn=archive["ArchiveArn"],
            EventStartTime=0,
            EventEndTime=4_000_000_000,
            Destination={"Arn": bus},
        )
    await cluster.receiver.received(50, "/replayed")
    await victim.kill()
    for number in range(events, events + 10):
        await customer.put(number)
    await cluster.shift_clocks(LONGER_THAN_A_CLAIM)

    async def has_ended() -> bool:
        found = await customer.call("DescribeReplay", ReplayName=name)
        return str(found["State"]) not in ("STARTING", "RUNNING")

    await until(has_ended)
    assert (await customer.call("DescribeReplay", ReplayName=name))["State"] == "COMPLETED"
    ledger = await customer.balanced(events + 10)
    assert (ledger.accepted, ledger.delivered) == (events + 10, 10)
    await replayed_once(cluster, name, events)
    await archived(customer, events + 10)
    await cluster.start(victim)


async def archived(customer: Turns, count: int) -> None:
    """Wait until an archive has so many events."""

    async def is_there() -> bool:
        return int((await customer.call("DescribeArchive", ArchiveName="all"))["EventCount"]) == count

    await until(is_there)


async def replayed_once(cluster: Nodes, name: str, events: int) -> None:
    """That each event is once in the replay's log, owed once, and has arrived."""
    survivor = next(server for server in cluster.servers if server.is_running)
    async with Operator(survivor.data) as operator:

        async def is_done() -> bool:
            [found] = [each.ledger for each in await operator.ledgers() if name in each.log]
            return not found.pending and not found.unrouted

        await until(is_done)
        [ledger] = [each.ledger for each in await operator.ledgers() if name in each.log]
    assert ledger.accepted == ledger.matched == ledger.owed == ledger.delivered == events
    arrived = [event for event in cluster.events_at("replayed") if event.get("replay-name") == name]
    assert {event["detail"]["n"] for event in arrived} == set(range(events))
    assert len({event["id"] for event in arrived}) == events


class OrderedLoad:
    """Numbered events of a few customers, put at the nodes by turns, one call after the other."""

    def __init__(self, cluster: Nodes, account: str) -> None:
        self.cluster = cluster
        self.account = account
        self.acknowledged: set[int] = set()
        self._chance = random.Random(7)

    async def publish(self) -> None:
        """Until cancelled. What was not answered is perhaps stored late, so no order is known of it."""
        for first in itertools.count(0, 5):
            running = [server for server in self.cluster.servers if server.is_running]
            details = [Detail(first + n, self._chance.choice(KEYS)) for n in range(5)]
            entries = [
                {"Source": "own", "DetailType": "n", "Detail": msgspec.json.encode(detail).decode()}
                for detail in details
            ]
            with suppress(aiohttp.ClientError, OSError, WireError):
                async with Wire(running[first // 5 % len(running)].url, self.account) as wire:
                    await wire.call("PutEvents", Entries=entries)
                self.acknowledged |= {detail.n for detail in details}
            await asyncio.sleep(0.02)  # a backlog would take longer to deliver than all the rest

    async def flows(self) -> None:
        """Wait until more was acknowledged than now."""
        goal = len(self.acknowledged) + 50

        async def is_there() -> bool:
            return len(self.acknowledged) >= goal

        await until(is_there)

    def arrived(self) -> list[Detail]:
        """What the target saw, in order."""
        requests = [request for request in self.cluster.receiver.requests if request.path == "/ordered"]
        found = [msgspec.convert(json.loads(request.body)["detail"], Detail) for request in requests]
        return [detail for detail in found if detail.n in self.acknowledged]


async def test_an_ordered_target_sees_the_order_while_nodes_come_and_go(cluster: Nodes) -> None:
    customer = Turns(cluster, "000000000003")
    await customer.rule("ordered", await customer.webhook("ordered"))
    data = str(cluster.servers[0].data)
    done = await partnerbus("target", "order", "ordered", "1", "--by", "$.detail.customer", "--data", data)
    assert done.status == 0, done.err
    load = OrderedLoad(cluster, customer.account)
    publishing = asyncio.create_task(load.publish())
    try:
        for node in cluster.servers:
            await load.flows()
            await node.kill()
            await load.flows()
            await cluster.start(node)
        await load.flows()
    finally:
        publishing.cancel()
        await asyncio.wait([publishing])
    ledger = await customer.balanced(len(load.acknowledged))
    assert ledger.owed == ledger.delivered == ledger.accepted
    arrived = load.arrived()
    assert {detail.n for detail in arrived} == load.acknowledged
    assert out_of_order(arrived) == []
