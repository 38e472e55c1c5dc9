"""Rates of calls on a real node: kept by default, adjustable by account, and tried again by boto3."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from types_boto3_events import EventBridgeClient

from partnerbus.kernel.clock import ManualClock, SystemClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.telemetry import make_log
from partnerbus.node.folder import DataFolder, opened
from partnerbus.node.node import Node
from partnerbus.node.settings import AuthMode, Settings

pytestmark = pytest.mark.slow

ACCOUNT, REGION = "111122223333", "us-east-1"


@asynccontextmanager
async def running(
    data: Path, *, attempts: int = 1, **settings: Any
) -> AsyncIterator[tuple[EventBridgeClient, Callable[[timedelta], None]]]:
    """A client of an account that may call twice a second, and what moves the node's time."""
    async with opened(DataFolder(data), SystemClock(), Failpoints()) as found:
        pair = await found.accounts.create(ACCOUNT)
        await found.accounts.set_quota(ACCOUNT, "control-plane-rate", 2)
    clock, loop = ManualClock(), asyncio.get_running_loop()

    def advance(duration: timedelta) -> None:
        asyncio.run_coroutine_threadsafe(clock.advance(duration), loop).result(60)

    async with Node(Settings(data=data, port=0, **settings), clock=clock, log=make_log("error")) as node:
        client = boto3.client(
            "events",
            endpoint_url=node.url,
            region_name=REGION,
            aws_access_key_id=pair.id,
            aws_secret_access_key=pair.secret,
            config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
        )
        try:
            yield client, advance
        finally:
            client.close()


async def code_of(call: Callable[[], object]) -> str:
    try:
        await asyncio.to_thread(call)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "taken"


async def test_a_call_too_many_is_refused_until_time_has_passed(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as (client, advance):
        codes = [await code_of(client.list_event_buses) for _ in range(4)]
        assert codes == ["taken", "taken", "ThrottlingException", "ThrottlingException"]
        await asyncio.to_thread(advance, timedelta(seconds=1))
        assert await code_of(client.list_event_buses) == "taken"


async def test_boto3_tries_again(tmp_path: Path) -> None:
    async with running(tmp_path / "data", attempts=5) as (client, advance):
        refused = []

        def wait(response: Any, **_: object) -> None:
            if response is not None and response[0].status_code == 400:
                refused.append(response[1]["Error"]["Code"])
                advance(timedelta(milliseconds=200))

        client.meta.events.register("needs-retry.events.*", wait)
        for _ in range(3):
            assert await code_of(client.list_event_buses) == "taken"
        # Half a second of the node's time makes a token: the third call has one at 0.6 s.
        assert refused == ["ThrottlingException"] * 3


@pytest.mark.parametrize("settings", [{"throttling": False}, {"auth": AuthMode.NONE}])
async def test_it_can_be_left_out(tmp_path: Path, settings: dict[str, Any]) -> None:
    async with running(tmp_path / "data", **settings) as (client, _):
        assert [await code_of(client.list_event_buses) for _ in range(5)] == ["taken"] * 5
