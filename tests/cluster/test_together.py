"""What several nodes promise while all of them are there, whichever of them is called."""

import asyncio
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from partnerbus.kernel.clock import SystemClock
from partnerbus.model.resources import Role, Rule, decode_resource, default_log, rule_key
from partnerbus.store.protocol import Ledger
from partnerbus.testing.operator import Operator
from partnerbus.testing.receiver import Hang, Respond
from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.wire import Wire, WireError
from tests.cli.commands import partnerbus
from tests.cluster.nodes import Nodes, Turns, nodes, until
from tests.main_job.story import run
from tests.store.nats_servers import nats_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).parents[2]
BY_TURNS = Path(__file__).with_name("by_turns.py")
REGION = "us-east-1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nodes]:
    folder = tmp_path_factory.mktemp("cluster")
    with nats_server(folder) as server:
        async with nodes(folder, [server.url] * 3, "--allow-reset", "--trace", "full") as cluster:
            yield cluster


async def by_turns(cluster: Nodes, script: Path, *arguments: str) -> str:
    """What a script prints whose clients call the nodes by turns."""
    urls = ",".join(server.url for server in cluster.servers)
    command = [sys.executable, BY_TURNS, urls, script, *arguments]
    return (await run(subprocess.run, command, check=True, capture_output=True, text=True)).stdout


async def test_the_partner_story_runs_unchanged(cluster: Nodes, tmp_path: Path) -> None:
    [story] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    script = tmp_path / "story.py"
    script.write_text(story.replace("http://127.0.0.1:8080", cluster.receiver.url))
    pending, active, put = (await by_turns(cluster, script)).splitlines()
    assert (pending, active) == ("PENDING", "ACTIVE")
    [request] = await cluster.receiver.received(1, "/hook")
    assert json.loads(request.body)["id"] in put
    told = await by_turns(cluster, ROOT / "examples" / "partner_events.py")
    assert told.splitlines() == [
        "offered: PENDING",
        "accepted: ACTIVE",
        "arrived: {'status': 'closed'} as sent: True",
        "after the pause: {'status': 'closed'} as sent: True",
        "left: []",
    ]


async def test_what_one_node_has_just_done_the_next_one_knows(cluster: Nodes) -> None:
    """By a client that is faster than any SDK."""
    customer = Turns(cluster, "000000000010")
    for number in range(15):
        name = f"bus{number}"
        await customer.call("CreateEventBus", Name=name)
        await customer.call("PutRule", Name="r", EventBusName=name, EventPattern='{"a": [1]}')
        assert (await customer.call("DescribeRule", Name="r", EventBusName=name))["State"] == "ENABLED"
        await customer.call("DisableRule", Name="r", EventBusName=name)
        assert (await customer.call("DescribeRule", Name="r", EventBusName=name))["State"] == "DISABLED"
        await customer.call("DeleteRule", Name="r", EventBusName=name)
        await customer.call("DeleteEventBus", Name=name)


async def test_a_source_that_is_active_on_one_node_is_so_on_the_next(cluster: Nodes) -> None:
    """What is put on a PENDING source is dropped, so no node may still believe that it is."""
    customer = "000000000011"
    sources = [f"aws.partner/acme.com/turn{number}" for number in range(30)]
    urls = [server.url for server in cluster.servers]
    async with AsyncExitStack() as stack:
        customers = [await stack.enter_async_context(Wire(url, customer)) for url in urls]
        partners = [await stack.enter_async_context(Wire(url, "000000000012")) for url in urls]
        for number, source in enumerate(sources):
            await partners[number % 3].call("CreatePartnerEventSource", Name=source, Account=customer)
            await customers[number % 3].call("CreateEventBus", Name=source, EventSourceName=source)
            entry = {"Source": source, "DetailType": "t", "Detail": "{}"}
            answer = await partners[(number + 1) % 3].call("PutPartnerEvents", Entries=[entry])
            assert not answer["FailedEntryCount"], answer
        await customers[0].call("ListRules")  # it knows of everything now
    async with Operator(cluster.servers[0].data) as operator:
        ledgers = [await operator.ledger(customer, source) for source in sources]
    assert [ledger.accepted for ledger in ledgers] == [1] * len(sources)


async def one_customer_a_node(cluster: Nodes, first: int) -> Sequence[Turns]:
    """Customers, so that each node routes the default bus of one."""
    found: dict[ServerProcess, Turns] = {}
    for number in count(first):
        account = f"{number:012}"
        node = await cluster.at(Role.ROUTE, default_log(account, REGION))
        found.setdefault(node, Turns(cluster, account))
        if len(found) == len(cluster.servers):
            return list(found.values())
    raise AssertionError


def pattern_of(number: int) -> dict[str, str]:
    return {"EventPattern": f'{{"detail": {{"n": [{number}]}}}}'}


async def test_a_rule_counts_for_what_is_put_after_it_on_any_node(cluster: Nodes) -> None:
    """Each change of the rule is told to one node, and the next event put to another one at once."""
    rounds = 10

    async def change(customer: Turns) -> None:
        hook = await customer.webhook(f"rule{customer.account}")
        await customer.rule("r", hook, **pattern_of(0))
        for number in range(1, rounds + 1):
            await customer.call("PutRule", Name="r", **pattern_of(number))
            await customer.put(number, number - 1)
            ledger = await customer.balanced(2 * number)  # what is put is matched by the rules of then
        assert ledger == Ledger(
            log=default_log(customer.account, REGION),
            accepted=2 * rounds,
            matched=rounds,
            unmatched=rounds,
            owed=rounds,
            delivered=rounds,
        )
        arrived = [event["detail"]["n"] for event in cluster.events_at(f"rule{customer.account}")]
        assert sorted(arrived) == list(range(1, rounds + 1))

    await asyncio.gather(*map(change, await one_customer_a_node(cluster, 100)))


async def test_of_two_nodes_that_change_a_rule_the_last_one_is_right_everywhere(cluster: Nodes) -> None:
    async def change(server: ServerProcess, account: str, *numbers: int) -> None:
        async with Wire(server.url, account) as wire:
            for number in numbers:
                try:
                    await wire.call("PutRule", Name="r", **pattern_of(number))
                except WireError as error:
                    assert error.code == "ConcurrentModificationException"  # noqa: PT017

    async def quarrel(customer: Turns) -> None:
        await customer.rule("r", await customer.webhook(f"last{customer.account}"))
        one, other = cluster.servers[:2]
        for first in range(0, 80, 8):
            await asyncio.gather(
                change(one, customer.account, *range(first, first + 4)),
                change(other, customer.account, *range(first + 4, first + 8)),
            )
            [pattern] = {(await customer.call("DescribeRule", Name="r"))["EventPattern"] for _ in range(3)}
            assert {stored_pattern(server, customer.account) for server in cluster.servers} == {pattern}
            [last] = json.loads(pattern)["detail"]["n"]
            assert last in (first + 3, first + 7)
            await customer.put(first + 3, first + 7)
            ledger = await customer.balanced(first // 4 + 2)
            assert ledger.matched == ledger.unmatched

    await asyncio.gather(*map(quarrel, await one_customer_a_node(cluster, 200)))


def stored_pattern(server: ServerProcess, account: str) -> str | None:
    """The pattern in a node's tables."""
    connection = sqlite3.connect(f"file:{server.data / 'jetstream.db'}?mode=ro", uri=True)
    try:
        key = rule_key(account, REGION, "default", "r")
        [value] = connection.execute("SELECT value FROM registry WHERE key = ?", (key,)).fetchone()
    finally:
        connection.close()
    rule = decode_resource(value)
    assert isinstance(rule, Rule)
    return rule.pattern


async def test_a_target_sees_its_rate_whichever_nodes_are_asked(cluster: Nodes) -> None:
    """Only from below: so many attempts take so many seconds at least, however slow the machine is."""
    customer, rate, seconds = Turns(cluster, "000000000020"), 10, 3
    hook = await customer.webhook("paced", InvocationRateLimitPerSecond=rate)
    await customer.rule("r", hook)
    clock = SystemClock()
    begun_at = clock.now()
    events = rate * seconds + 1
    await asyncio.gather(*(customer.put(number) for number in range(events)))
    await cluster.receiver.received(events, "/paced")
    assert (clock.now() - begun_at).total_seconds() >= seconds
    await customer.balanced(events)
    makers = [server for server in cluster.servers if attempts_of(server, hook)]
    assert makers == [await cluster.at(Role.DELIVER, hook)]


def attempts_of(server: ServerProcess, target: str) -> int:
    """How many attempts at a target a node has told of."""
    log = server.data.with_suffix(".log").read_bytes().splitlines()
    found = [json.loads(line) for line in log if b'"attempt"' in line]
    return sum(line["event"] == "attempt" and line["target_arn"] == target for line in found)


async def test_each_node_has_a_token_of_its_own(cluster: Nodes) -> None:
    granted = msgspec.json.encode({"access_token": "token", "expires_in": 3600})
    cluster.receiver.script("/token", Respond(headers={"Content-Type": "application/json"}, body=granted))
    customer = Turns(cluster, "000000000030")
    oauth = {
        "ClientParameters": {"ClientID": "id", "ClientSecret": "secret"},
        "AuthorizationEndpoint": f"{cluster.receiver.url}/token",
        "HttpMethod": "POST",
    }
    made = await customer.call(
        "CreateConnection",
        Name="oauth",
        AuthorizationType="OAUTH_CLIENT_CREDENTIALS",
        AuthParameters={"OAuthParameters": oauth},
    )
    destination = await customer.call(
        "CreateApiDestination",
        Name="oauth",
        ConnectionArn=made["ConnectionArn"],
        InvocationEndpoint=f"{cluster.receiver.url}/oauth",
        HttpMethod="POST",
    )
    await customer.rule("r", str(destination["ApiDestinationArn"]))
    await customer.put(1)
    await customer.balanced(1)
    [request] = await cluster.receiver.received(1, "/oauth")
    assert request.headers["authorization"] == "Bearer token"
    await cluster.receiver.received(len(cluster.servers), "/token")
    states = {(await customer.call("DescribeConnection", Name="oauth"))["ConnectionState"] for _ in range(3)}
    assert states == {"AUTHORIZED"}
    await customer.put(*range(10))
    await customer.balanced(11)
    assert len(await cluster.receiver.received(3, "/token")) == len(cluster.servers)


async def test_a_reset_at_one_node_is_one_at_all(cluster: Nodes) -> None:
    """What hung on any of them is cut short, and nothing of before is left in their folders."""
    customers = await one_customer_a_node(cluster, 300)
    for customer in customers:
        await customer.call("UpdateEventBus", Name="default", LogConfig={"Level": "TRACE"})
        cluster.receiver.script(f"/hung{customer.account}", Hang())
        await customer.rule("r", await customer.webhook(f"hung{customer.account}"))
        await customer.put(*range(5))
        await cluster.receiver.received(1, f"/hung{customer.account}")
        await until(lambda: has_lines(cluster.servers))
    done = await partnerbus("reset", "--data", str(cluster.servers[0].data))
    assert done.status == 0, done.err
    for customer in customers:
        for _ in cluster.servers:
            assert (await customer.call("ListRules"))["Rules"] == []
    async with asyncio.timeout(120):
        await cluster.receiver.deserted()
    await until(lambda: has_no_lines(cluster.servers))
    cluster.receiver.forget()
    for customer in customers:
        for server in cluster.servers:
            assert await customer.ledger(server) == Ledger(log="")
        await customer.rule("r", await customer.webhook(f"new{customer.account}"))
        await customer.put(100)
        ledger = await customer.balanced(1)
        assert (ledger.accepted, ledger.matched, ledger.delivered) == (1, 1, 1)
    paths = sorted(request.path for request in cluster.receiver.requests)
    assert paths == sorted(f"/new{customer.account}" for customer in customers)
    async with Operator(cluster.servers[1].data) as operator:
        assert len((await operator.status()).nodes) == len(cluster.servers)


def lines_of(server: ServerProcess) -> Sequence[Path]:
    return [file for folder in ("bus-logs", "traces") for file in (server.data / folder).glob("*")]


async def has_lines(servers: Sequence[ServerProcess]) -> bool:
    return any(map(lines_of, servers))


async def has_no_lines(servers: Sequence[ServerProcess]) -> bool:
    return not any(map(lines_of, servers))
