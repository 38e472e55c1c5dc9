"""The main job through a real server process and boto3, for the tests of this folder."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import boto3
import msgspec
from botocore.config import Config
from types_boto3_events import EventBridgeClient

from partnerbus.testing.receiver import Receiver
from partnerbus.testing.server_process import ServerProcess
from tests.cli.commands import partnerbus

T = TypeVar("T")
REGION = "us-east-1"
CUSTOMER, ACME, OTHER = "111122223333", "999900001111", "999900002222"
KEYS = {
    account: (f"PBTEST{account}00", f"secret-of-{account}".ljust(40, "x"))
    for account in (CUSTOMER, ACME, OTHER)
}


async def run(call: Callable[..., T], /, *arguments: object, **members: object) -> T:
    """A blocking call, such as boto3's, outside the event loop."""
    return await asyncio.to_thread(call, *arguments, **members)


async def create_accounts(data: Path, partners: Mapping[str, str]) -> None:
    """The customer, and the partners by account, through the command line."""
    for account in (CUSTOMER, *partners):
        key, secret = KEYS[account]
        options = ["--data", str(data), "--access-key-id", key, "--secret-access-key", secret]
        if account in partners:
            options += ["--partner", partners[account]]
        done = await partnerbus("account", "create", account, *options)
        assert done.status == 0, done.err


@asynccontextmanager
async def begin(
    data: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
    tls: ssl.SSLContext | None = None,
) -> "AsyncIterator[Story]":
    """A server with its accounts, and a receiver that it may reach."""
    await create_accounts(data, {ACME: "acme.com", OTHER: "other.example"})
    options = ["--allow-private-targets", "--no-throttling", *arguments]
    server = ServerProcess(data, *options, environment=environment, log=log)
    async with Receiver(tls) as receiver, server:
        story = Story(server, receiver)
        try:
            yield story
        finally:
            story.close()


class Story:
    """A running server, its callers, and a webhook."""

    def __init__(self, server: ServerProcess, receiver: Receiver) -> None:
        self.server = server
        self.receiver = receiver
        self._clients: list[EventBridgeClient] = []

    def client(self, account: str, region: str = REGION) -> EventBridgeClient:
        key, secret = KEYS[account]
        client = boto3.client(
            "events",
            endpoint_url=self.server.url,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(retries={"max_attempts": 1}, parameter_validation=False),
        )
        self._clients.append(client)
        return client

    async def offer(self, partner: str, source: str) -> None:
        """The partner offers a source, the customer takes it."""
        await run(self.client(partner).create_partner_event_source, Name=source, Account=CUSTOMER)
        await run(self.client(CUSTOMER).create_event_bus, Name=source, EventSourceName=source)

    async def webhook(
        self,
        name: str,
        path: str = "",
        connection: Mapping[str, Any] | None = None,
        region: str = REGION,
        account: str = CUSTOMER,
    ) -> str:
        """An API destination of the account at the receiver's `/name` and `path`; its ARN.

        `connection` says how it authorizes, in the members of CreateConnection.
        """
        customer = self.client(account, region)
        key: Any = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": f"key-of-{name}"}}
        auth: Any = connection or {"AuthorizationType": "API_KEY", "AuthParameters": key}
        made = await run(customer.create_connection, Name=name, **auth)
        destination = await run(
            customer.create_api_destination,
            Name=name,
            ConnectionArn=made["ConnectionArn"],
            InvocationEndpoint=f"{self.receiver.url}/{name}{path}",
            HttpMethod="POST",
        )
        return destination["ApiDestinationArn"]

    async def rule(self, bus: str, name: str, pattern: object, target: str, **more: Any) -> None:
        """A rule of the customer whose matches go to `target`."""
        customer = self.client(CUSTOMER)
        await run(customer.put_rule, Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
        targets: Any = [{"Id": "1", "Arn": target, **more}]
        answer = await run(customer.put_targets, Rule=name, EventBusName=bus, Targets=targets)
        assert answer["FailedEntryCount"] == 0, answer

    async def put(self, partner: str, *entries: Mapping[str, Any]) -> list[str]:
        """Put entries, twenty a call; the event ids, all accepted."""
        ids = []
        for at in range(0, len(entries), 20):
            some: Any = entries[at : at + 20]
            answer = await run(self.client(partner).put_partner_events, Entries=some)
            assert answer["FailedEntryCount"] == 0, answer
            ids += [entry["EventId"] for entry in answer["Entries"]]
        return ids

    async def arrived(self, name: str, count: int) -> list[dict[str, Any]]:
        """The events that have arrived at the webhook, once there are `count`."""
        async with asyncio.timeout(60):
            requests = await self.receiver.received(count, f"/{name}")
        return [msgspec.json.decode(request.body) for request in requests]

    async def dead_letters(self, count: int) -> list[dict[str, Any]]:
        """The dead letters on our own list, once there are `count`, as the command line lists them."""
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(60):
            while len(found) < count:
                found = (await self.command("dead-letters", "list", "--json"))["deliveries"]
        return found

    async def command(self, *arguments: str) -> Any:
        """What a command of the operator that tells JSON says of the server's folder."""
        done = await partnerbus(*arguments, "--data", str(self.server.data))
        assert done.status == 0, done.err
        return done.json

    def close(self) -> None:
        for client in self._clients:
            client.close()
