"""What a node does by itself, now and then: over HTTP, with a clock that moves when told to."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from partnerbus.engine.connection_secrets import SWEEP_EVERY
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.telemetry import make_log
from partnerbus.node.node import Node
from partnerbus.node.settings import AuthMode, ServiceUrls, Settings
from partnerbus.testing.receiver import Received, Receiver, Respond
from partnerbus.testing.wire import Wire
from tests.cli.commands import partnerbus

pytestmark = pytest.mark.slow

CUSTOMER = "111122223333"
BASIC = {"BasicAuthParameters": {"Username": "ann", "Password": "sesame"}}


class World:
    """A node, its time, and somebody who calls it."""

    def __init__(self, node: Node, clock: ManualClock, wire: Wire) -> None:
        self._node = node
        self._clock = clock
        self.call = wire.call

    async def advance(self, **duration: float) -> None:
        await self._clock.advance(timedelta(**duration), self._node.idle)

    async def command(self, *arguments: str) -> Any:
        done = await partnerbus(*arguments, "--data", str(self._node.settings.data), "--json")
        assert done.status == 0, done.err
        return done.json


@asynccontextmanager
async def opened(data: Path, **settings: Any) -> AsyncIterator[World]:
    clock = ManualClock()
    made = Settings(data=data, port=0, auth=AuthMode.NONE, **settings)
    node = Node(made, clock=clock, log=make_log("error"))
    async with node, Wire(node.url, CUSTOMER) as wire:
        yield World(node, clock, wire)


async def test_what_buses_wrote_is_kept_for_its_time(tmp_path: Path) -> None:
    async with opened(tmp_path / "data", keep_bus_logs_seconds=3_600) as world:
        await world.call("UpdateEventBus", LogConfig={"Level": "INFO"})
        entry = {"Source": "shop", "DetailType": "order", "Detail": "{}"}
        await world.call("PutEvents", Entries=[entry])
        await world.advance(minutes=50)
        kept = await log(world)
        assert [record["message_type"] for record in kept] == [
            "NO_STANDARD_RULES_MATCHED",
            "EVENT_INGEST_SUCCESS",
        ]
        async with asyncio.timeout(60):
            while await log(world):
                await world.advance(minutes=5)


async def log(world: World) -> list[dict[str, Any]]:
    """What the default bus wrote, as far as it is kept."""
    records: list[dict[str, Any]] = (await world.command("logs", "bus", "default"))["records"]
    return records


async def test_the_copy_of_a_secret_follows_once_somebody_takes_it(tmp_path: Path) -> None:
    taken: list[dict[str, Any]] = []
    is_away = True

    def manager(request: Received) -> Respond:
        if is_away:
            return Respond(status=503)
        given = json.loads(request.body)
        taken.append(given)
        arn = f"arn:aws:secretsmanager:us-east-1:{CUSTOMER}:secret:{given['SecretId']}-AbCd12"
        return Respond(body=json.dumps({"ARN": arn}).encode())

    async with Receiver() as receiver:
        receiver.respond("/", manager)
        endpoints = ServiceUrls(secretsmanager=receiver.url)
        async with opened(tmp_path / "data", aws_endpoints=endpoints) as world:
            await world.call("CreateConnection", Name="shop", AuthorizationType="BASIC", AuthParameters=BASIC)
            assert taken == []
            is_away = False
            await world.advance(seconds=SWEEP_EVERY.total_seconds())
            async with asyncio.timeout(60):
                while not await is_copied(world):
                    pass
            [given] = taken
            assert json.loads(given["SecretString"]) == {"username": "ann", "password": "sesame"}


async def is_copied(world: World) -> bool:
    """Whether the secret has the ARN that Secrets Manager gave it."""
    found = await world.call("DescribeConnection", Name="shop")
    return str(found["SecretArn"]).endswith("-AbCd12")
