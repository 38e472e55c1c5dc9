"""Rates, and targets that keep failing: a whole node over HTTP, with a clock that moves when told to."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.telemetry import make_log
from partnerbus.node.node import Node
from partnerbus.node.settings import AuthMode, Settings
from partnerbus.testing.receiver import Receiver, Respond
from partnerbus.testing.wire import Wire
from tests.cli.commands import partnerbus

CUSTOMER = "111122223333"
SOURCE = "aws.partner/acme.com/orders"

pytestmark = pytest.mark.slow

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


class Story:
    """A customer with a partner's bus, and webhooks at a receiver."""

    def __init__(self, node: Node, clock: ManualClock, receiver: Receiver, wire: Wire) -> None:
        self.node = node
        self.clock = clock
        self.receiver = receiver
        self.call = wire.call

    async def webhook(self, name: str, rate: int = 300) -> str:
        """An API destination at the receiver's `/name`; its ARN."""
        key = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "v"}}
        made = await self.call("CreateConnection", Name=name, AuthorizationType="API_KEY", AuthParameters=key)
        destination = await self.call(
            "CreateApiDestination",
            Name=name,
            ConnectionArn=made["ConnectionArn"],
            InvocationEndpoint=f"{self.receiver.url}/{name}",
            HttpMethod="POST",
            InvocationRateLimitPerSecond=rate,
        )
        return str(destination["ApiDestinationArn"])

    async def rule(self, bus: str, name: str, pattern: dict[str, Any], arn: str) -> None:
        await self.call("PutRule", Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
        targets = [{"Id": "1", "Arn": arn}]
        put = await self.call("PutTargets", Rule=name, EventBusName=bus, Targets=targets)
        assert put["FailedEntryCount"] == 0, put

    async def put(self, count: int = 1) -> None:
        entry = {"Source": SOURCE, "DetailType": "order", "Detail": "{}"}
        answer = await self.call("PutPartnerEvents", Entries=[entry] * count)
        assert answer["FailedEntryCount"] == 0, answer
        await self.node.idle()

    async def advance(self, duration: timedelta) -> None:
        await self.clock.advance(duration, self.node.idle)

    def arrived(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(one.body) for one in self.receiver.requests if one.path == f"/{name}"]

    async def metrics(self) -> dict[str, float]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.node.url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        named = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in named}

    async def command(self, *arguments: str) -> Any:
        done = await partnerbus(*arguments, "--data", str(self.node.settings.data), "--json")
        assert done.status == 0, done.err
        return done.json


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    settings = Settings(
        data=tmp_path / "data",
        port=0,
        auth=AuthMode.NONE,
        allow_private_targets=True,
        disable_failing_targets_hours=5,
        keep_events_seconds=10 * 86_400,
    )
    clock = ManualClock()
    node = Node(settings, clock=clock, log=make_log("error"))
    async with Receiver() as receiver, node, Wire(node.url, CUSTOMER) as wire:
        story = Story(node, clock, receiver, wire)
        await story.call("CreatePartnerEventSource", Name=SOURCE, Account=CUSTOMER)
        await story.call("CreateEventBus", Name=SOURCE, EventSourceName=SOURCE)
        yield story


async def test_an_api_destination_gets_no_more_a_second_than_it_wants(story: Story) -> None:
    await story.rule(SOURCE, "slow", {"source": [SOURCE]}, await story.webhook("slow", rate=2))
    await story.rule(SOURCE, "fast", {"source": [SOURCE]}, await story.webhook("fast"))
    await story.put(9)
    assert (len(story.arrived("slow")), len(story.arrived("fast"))) == (2, 9)
    for count in (4, 6, 8, 9):
        await story.advance(SECOND)
        assert len(story.arrived("slow")) == count


async def test_another_rate_holds_from_the_next_attempt_on(story: Story) -> None:
    await story.rule(SOURCE, "slow", {"source": [SOURCE]}, await story.webhook("slow", rate=1))
    await story.put(9)
    assert len(story.arrived("slow")) == 1
    await story.call("UpdateApiDestination", Name="slow", InvocationRateLimitPerSecond=3)
    for count in (4, 7):
        await story.advance(SECOND)
        assert len(story.arrived("slow")) == count
    await story.call("UpdateApiDestination", Name="slow", InvocationRateLimitPerSecond=1)
    for count in (8, 9):
        await story.advance(SECOND)
        assert len(story.arrived("slow")) == count


async def test_a_target_fails_is_told_of_is_disabled_and_enabled_again(story: Story) -> None:
    hook = await story.webhook("hook")
    await story.rule(SOURCE, "orders", {"source": [SOURCE]}, hook)
    await story.rule("default", "pager", {"source": ["partnerbus"]}, await story.webhook("pager"))
    story.receiver.script("/hook", Respond(status=503))
    await story.put()
    await story.advance(HOUR)
    [failing] = story.arrived("pager")
    assert (failing["source"], failing["detail-type"]) == ("partnerbus", "Target Failing")
    assert (failing["account"], failing["detail"]["target-arn"]) == (CUSTOMER, hook)
    assert (failing["detail"]["error"], failing["detail"]["failures"]) == ("ERROR_FROM_TARGET", 10)
    status = await story.command("status")
    assert (status["targets_failing"], status["targets_disabled"]) == (1, 0)

    story.receiver.script("/hook", Respond())
    await story.advance(HOUR)
    assert [event["detail-type"] for event in story.arrived("pager")][1:] == ["Target Recovered"]
    assert (await story.command("target", "list"))["targets"] == []

    story.receiver.script("/hook", Respond(status=503))
    await story.put()
    await story.advance(6 * HOUR)
    numbers = await story.metrics()
    assert numbers['partnerbus_target_alerts_total{alert="Target Failing"}'] == 2.0
    assert numbers['partnerbus_target_alerts_total{alert="Target Disabled"}'] == 1.0
    assert numbers["partnerbus_targets_failing"] == 1.0
    told = [event["detail-type"] for event in story.arrived("pager")][2:]
    assert told == ["Target Failing", "Target Disabled"]
    seen = len(story.arrived("hook"))
    story.receiver.script("/hook", Respond())
    await story.put()
    assert len(story.arrived("hook")) == seen
    [listed] = (await story.command("target", "list"))["targets"]
    assert (listed["target_arn"], listed["disabled_at"] is None) == (hook, False)

    assert (await story.command("target", "enable", hook)) == {"enabled": 1}
    redriven = await story.command("dead-letters", "redrive", "--all", "--target", hook)
    assert redriven["redriven"] == 2
    await story.advance(timedelta(minutes=1))
    assert len(story.arrived("hook")) == seen + 2
