"""A reset through a real server: nothing of before is left or arrives, and everything can be made anew."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest
from botocore.exceptions import ClientError
from types_boto3_events import EventBridgeClient

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import VARIABLE, Failpoint
from partnerbus.kernel.telemetry import make_log
from partnerbus.node.folder import DataFolder
from partnerbus.node.node import Node
from partnerbus.node.settings import AuthMode, Settings
from partnerbus.store.protocol import Ledger
from partnerbus.testing.bus_in_thread import BusInThread
from partnerbus.testing.operator import Operator
from partnerbus.testing.receiver import Hang, Receiver, Respond
from partnerbus.testing.server_process import ServerProcess
from tests.cli.commands import is_one_sentence, partnerbus

pytestmark = pytest.mark.slow

CUSTOMER, PARTNER, REGION = "111122223333", "999988887777", "us-east-1"
SOURCE = "aws.partner/acme.com/tickets"
OPEN = ("--auth", "none", "--allow-private-targets")


def client_of(url: str, account: str, secret: str = "any") -> EventBridgeClient:
    return boto3.client(
        "events",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=account,
        aws_secret_access_key=secret,
    )


def set_up(url: str, hook: str) -> None:
    """The partner's source, the customer's bus, and a rule whose target is `hook`."""
    partner, customer = client_of(url, PARTNER), client_of(url, CUSTOMER)
    partner.create_partner_event_source(Name=SOURCE, Account=CUSTOMER)
    customer.create_event_bus(Name=SOURCE, EventSourceName=SOURCE)
    key: Any = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "v"}}
    made = customer.create_connection(Name="hook", AuthorizationType="API_KEY", AuthParameters=key)
    destination = customer.create_api_destination(
        Name="hook", ConnectionArn=made["ConnectionArn"], InvocationEndpoint=hook, HttpMethod="POST"
    )
    arn = f"arn:aws:events:{REGION}:{CUSTOMER}:event-bus/default"
    customer.create_archive(ArchiveName="all", EventSourceArn=arn)
    others: Any = [{"EventBusArn": arn}, {"EventBusArn": arn.replace(REGION, "eu-central-1")}]
    failover: Any = {"Primary": {"HealthCheck": "arn:aws:route53:::healthcheck/h"}}
    customer.create_endpoint(
        Name="both",
        RoutingConfig={"FailoverConfig": failover | {"Secondary": {"Route": "eu-central-1"}}},
        EventBuses=others,
        ReplicationConfig={"State": "DISABLED"},
    )
    customer.update_event_bus(Name="default", LogConfig={"Level": "TRACE", "IncludeDetail": "FULL"})
    for bus in (SOURCE, "default"):
        customer.put_rule(Name="all", EventBusName=bus, EventPattern=json.dumps({"detail-type": ["t"]}))
        target: Any = {"Id": "1", "Arn": destination["ApiDestinationArn"]}
        answer = customer.put_targets(Rule="all", EventBusName=bus, Targets=[target])
        assert answer["FailedEntryCount"] == 0, answer
    partner.close()
    customer.close()


def put(url: str, number: int) -> None:
    """One event through the partner, one by the customer itself."""
    partner, customer = client_of(url, PARTNER), client_of(url, CUSTOMER)
    entry: Any = {"Source": SOURCE, "DetailType": "t", "Detail": json.dumps({"n": number})}
    assert partner.put_partner_events(Entries=[entry])["FailedEntryCount"] == 0
    assert customer.put_events(Entries=[entry | {"Source": "own"}])["FailedEntryCount"] == 0
    partner.close()
    customer.close()


def replay(url: str, events: int) -> None:
    """Send so many events of the customer to its rules once more; the archive has to have got them first."""
    customer = client_of(url, CUSTOMER)
    while (archive := customer.describe_archive(ArchiveName="all"))["EventCount"] != events:
        pass
    customer.start_replay(
        ReplayName="again",
        EventSourceArn=archive["ArchiveArn"],
        EventStartTime="2020-01-01T00:00:00Z",
        EventEndTime="2090-01-01T00:00:00Z",
        Destination={"Arn": archive["EventSourceArn"]},
    )
    customer.close()


def is_as_new(url: str) -> bool:
    customer = client_of(url, CUSTOMER)
    buses = [bus["Name"] for bus in customer.list_event_buses()["EventBuses"]]
    left = [
        *customer.list_rules()["Rules"],
        *customer.list_connections()["Connections"],
        *customer.list_api_destinations()["ApiDestinations"],
        *customer.list_event_sources()["EventSources"],
        *customer.list_endpoints()["Endpoints"],
        *customer.list_archives()["Archives"],
        *customer.list_replays()["Replays"],
    ]
    customer.close()
    return buses == ["default"] and left == []


# -- in this process ---------------------------------------------------------------------------------------


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[BusInThread]:
    with BusInThread(tmp_path / "data") as running:
        yield running


def numbers(requests: list[Any]) -> list[int]:
    return [json.loads(request.body)["detail"]["n"] for request in requests]


def test_what_hung_or_waited_is_never_delivered(bus: BusInThread) -> None:
    hook = bus.script("/hook", Hang())
    for _ in range(3):  # one run after the other on the same server
        set_up(bus.url, hook)
        for number in range(20):
            put(bus.url, number)
        replay(bus.url, 20)
        assert bus.received(1, "/hook")
        bus.reset()
        assert is_as_new(bus.url)
        bus.script("/hook", Respond())
        bus.advance(timedelta(days=2))
        set_up(bus.url, hook)
        put(bus.url, 100)
        bus.idle()
        assert numbers(bus.received(2, "/hook")) == [100, 100]
        client = client_of(bus.url, CUSTOMER)
        assert client.describe_archive(ArchiveName="all")["EventCount"] == 1
        client.close()
        bus.reset()
        bus.script("/hook", Hang())


def test_calls_at_the_same_time_come_before_it_or_after_it(bus: BusInThread) -> None:
    hook = bus.script("/hook", Respond())
    set_up(bus.url, hook)

    def call(number: int) -> str:
        client = client_of(bus.url, CUSTOMER)
        try:
            if number % 8 == 0:
                bus.reset()
                return "reset"
            if number % 2:
                entry: Any = {"Source": "own", "DetailType": "t", "Detail": json.dumps({"n": number})}
                client.put_events(Entries=[entry])
            else:
                client.create_event_bus(Name=f"bus-{number}")
            return "done"
        finally:
            client.close()

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(call, range(64)))
    assert ends.count("reset") == 8
    bus.reset()
    assert is_as_new(bus.url)
    set_up(bus.url, bus.script("/hook", Respond()))
    put(bus.url, 1_000)
    bus.idle()
    assert numbers(bus.received(2, "/hook")) == [1_000, 1_000]


async def test_attempts_under_way_are_cut_short(tmp_path: Path) -> None:
    """On a clock that stands still, so that no attempt ends by itself."""
    settings = Settings(data=tmp_path / "data", port=0, auth=AuthMode.NONE, allow_private_targets=True)
    async with Receiver() as receiver, Node(settings, clock=ManualClock(), log=make_log("error")) as node:
        receiver.script("/hook", Hang())
        await asyncio.to_thread(set_up, node.url, f"{receiver.url}/hook")
        await asyncio.to_thread(put, node.url, 1)
        await receiver.received(2)
        await node.reset()
        async with asyncio.timeout(60):
            await receiver.deserted()
        await node.idle()
        assert len(receiver.requests) == 2
        assert await asyncio.to_thread(is_as_new, node.url)


# -- over the admin face ------------------------------------------------------------------------------------


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    async with ServerProcess(tmp_path / "data", *OPEN, "--allow-reset") as running:
        yield running


async def test_the_command_forgets_all_but_accounts_and_keys(tmp_path: Path) -> None:
    data = ["--data", str(tmp_path / "data")]
    made = (await partnerbus("account", "create", CUSTOMER, "--json", *data)).json
    async with ServerProcess(tmp_path / "data", "--allow-reset") as server:
        client = client_of(server.url, made["access_key_id"], made["secret_access_key"])
        await asyncio.to_thread(client.create_event_bus, Name="mine")
        await partnerbus("account", "quota", "set", CUSTOMER, "event-buses", "7", *data)
        done = await partnerbus("reset", *data)
        assert (done.status, done.out) == (0, "everything is forgotten but accounts and keys\n")
        buses = (await asyncio.to_thread(client.list_event_buses))["EventBuses"]
        assert [bus["Name"] for bus in buses] == ["default"]
        await asyncio.to_thread(client.create_event_bus, Name="mine")
        quotas = (await partnerbus("account", "quota", "list", CUSTOMER, "--json", *data)).json
        assert {each["name"]: each["value"] for each in quotas["quotas"]}["event-buses"] == 7
        # A key that is made or deleted after a reset counts at once.
        await partnerbus("account", "key", "delete", CUSTOMER, made["access_key_id"], *data)
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            await asyncio.to_thread(client.list_event_buses)
        client.close()


async def ask(server: ServerProcess, token: str | None, path: str = "/reset") -> tuple[int, str]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as session:
        url = f"{server.url}/_partnerbus{path}"
        async with session.post(url, headers=headers) as answer:
            return answer.status, (await answer.json()).get("error", "")


async def test_only_the_operator_may(server: ServerProcess) -> None:
    client = client_of(server.url, CUSTOMER)
    await asyncio.to_thread(client.create_event_bus, Name="mine")
    assert (await ask(server, None))[0] == 401
    assert (await ask(server, "guessed"))[0] == 403
    assert len((await asyncio.to_thread(client.list_event_buses))["EventBuses"]) == 2
    operator = DataFolder(server.data).read_operator()
    assert operator is not None
    assert (await ask(server, operator.token, "/reset/"))[0] == 200
    assert len((await asyncio.to_thread(client.list_event_buses))["EventBuses"]) == 1
    client.close()


async def test_a_server_that_was_not_started_for_it_forgets_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with ServerProcess(data, *OPEN) as server:
        client = client_of(server.url, CUSTOMER)
        await asyncio.to_thread(client.create_event_bus, Name="mine")
        done = await partnerbus("reset", "--data", str(data))
        assert (done.status, is_one_sentence(done.err)) == (1, True)
        assert "start it with --allow-reset" in done.err
        assert len((await asyncio.to_thread(client.list_event_buses))["EventBuses"]) == 2
        client.close()
        await server.stop()
    done = await partnerbus("reset", "--data", str(data))
    assert (done.status, is_one_sentence(done.err)) == (1, True)
    assert "no server runs on this folder" in done.err


async def test_the_ledger_is_empty_and_dead_letters_are_gone(server: ServerProcess) -> None:
    async with Receiver() as receiver:
        receiver.script("/hook", Respond(status=400))
        await asyncio.to_thread(set_up, server.url, f"{receiver.url}/hook")
        await asyncio.to_thread(put, server.url, 1)
        await receiver.received(2)
        async with Operator(server.data) as operator:
            while (await operator.ledger(CUSTOMER, "default")).dead != 1:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        assert (await partnerbus("reset", "--data", str(server.data))).status == 0
        async with Operator(server.data) as operator:
            for name in ("default", SOURCE):
                assert await operator.ledger(CUSTOMER, name) == Ledger(log="")
            assert await operator.deliveries() == []
            assert await operator.dead_letters("all") == []
        lines = list((server.data / "bus-logs").glob("*"))
        assert lines == [], lines


# -- killed in the middle of it -----------------------------------------------------------------------------


MOMENTS = {
    Failpoint.REGISTRY_BEFORE_COMMIT: False,
    Failpoint.REGISTRY_COMMITTED: True,
    Failpoint.RESET_BEFORE_COMMIT: True,
    Failpoint.RESET_COMMITTED: True,
}
"""Where it is killed: at the note that a reset has begun, and at its end. And whether all is gone then."""


@pytest.mark.fault
@pytest.mark.parametrize(("point", "is_gone"), MOMENTS.items())
async def test_killed_in_the_middle_it_is_whole_or_not_at_all(
    tmp_path: Path, point: Failpoint, is_gone: bool
) -> None:
    server = ServerProcess(tmp_path / "data", *OPEN, "--allow-reset")
    data = ["--data", str(server.data)]
    async with Receiver() as receiver:
        receiver.script("/hook", Hang())
        async with server:
            await asyncio.to_thread(set_up, server.url, f"{receiver.url}/hook")
            await asyncio.to_thread(put, server.url, 1)
            await receiver.received(2)
        await server.start({VARIABLE: f"{point}=kill@1"})
        await receiver.received(4)  # nothing was settled, so both are attempted again
        assert (await partnerbus("reset", *data)).status == 1
        assert await server.wait() == -9
        seen = len(receiver.requests)
        receiver.script("/hook", Respond())
        async with server:
            assert await asyncio.to_thread(is_as_new, server.url) is is_gone
            assert list((server.data / "bus-logs").glob("*")) == [] or not is_gone
            if is_gone:
                await asyncio.to_thread(set_up, server.url, f"{receiver.url}/hook")
                await asyncio.to_thread(put, server.url, 2)
            await receiver.received(seen + 2)
            assert numbers(receiver.requests[seen:]) == ([2, 2] if is_gone else [1, 1])
