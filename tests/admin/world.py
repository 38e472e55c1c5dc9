"""A whole node in this process, two customers and two partners, and their questions to the admin face."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp
import boto3
import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from types_boto3_events import EventBridgeClient
from yarl import URL

from partnerbus.api.admin.request import ErrorBody
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.telemetry import make_log
from partnerbus.model.exchange import TraceLevel
from partnerbus.node.folder import DataFolder
from partnerbus.node.node import Node
from partnerbus.node.settings import Settings
from partnerbus.testing.receiver import Receiver

REGION = "us-east-1"
ANN, BOB = "111122223333", "444455556666"
ACME, OTHER = "999900001111", "999900002222"
PARTNERS = {ACME: "acme.com", OTHER: "other.example"}
ORDERS, TICKETS = "aws.partner/acme.com/ann/orders", "aws.partner/acme.com/bob/tickets"
SECRET = "secret-of-{}"

V = TypeVar("V", bound=msgspec.Struct)


class Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes

    def read(self, kind: type[V]) -> V:
        assert self.status == 200, self.body
        return msgspec.json.decode(self.body, type=kind)

    @property
    def error(self) -> str:
        return msgspec.json.decode(self.body, type=ErrorBody).error


class Desk:
    """The node, and ways to ask it as the operator or as an account."""

    def __init__(self, node: Node, receiver: Receiver, clock: ManualClock) -> None:
        self.node = node
        self.receiver = receiver
        self.clock = clock
        found = DataFolder(node.settings.data).read_operator()
        assert found is not None
        self._token = found.token
        self._session = aiohttp.ClientSession()
        self._clients: list[EventBridgeClient] = []

    async def ask(
        self,
        path: str,
        as_account: str | None = None,
        *,
        method: str = "GET",
        body: object = None,
        **query: object,
    ) -> Answer:
        """Ask as the operator, or as an account with its key."""
        url = f"{self.node.url}/_partnerbus{path}"
        if query:
            url += "?" + urlencode({name: str(value) for name, value in query.items()})
        sent = b"" if body is None else msgspec.json.encode(body)
        headers = self._headers(as_account, method, url, sent)
        async with self._session.request(method, _as_is(url), data=sent, headers=headers) as answer:
            return Answer(answer.status, await answer.read())

    def _headers(self, account: str | None, method: str, url: str, body: bytes) -> Mapping[str, str]:
        if account is None:
            return {"Authorization": f"Bearer {self._token}"}
        request = AWSRequest(method=method, url=url, data=body)
        SigV4Auth(Credentials(f"KEY{account}", SECRET.format(account)), "events", REGION).add_auth(request)
        return {name: str(value) for name, value in request.prepare().headers.items()}

    def client(self, account: str) -> EventBridgeClient:
        client = boto3.client(
            "events",
            endpoint_url=self.node.url,
            region_name=REGION,
            aws_access_key_id=f"KEY{account}",
            aws_secret_access_key=SECRET.format(account),
            config=Config(retries={"max_attempts": 1}),
        )
        self._clients.append(client)
        return client

    async def offer(self, source: str, customer: str, partner: str = ACME) -> None:
        """A partner offers a source, and the customer takes it."""
        await _run(self.client(partner).create_partner_event_source, Name=source, Account=customer)
        await _run(self.client(customer).create_event_bus, Name=source, EventSourceName=source)

    async def webhook(self, account: str, name: str) -> str:
        """A webhook of an account at the receiver's `/name`; its ARN."""
        given = {"name": name, "url": f"{self.receiver.url}/{name}", "account": account}
        made = msgspec.json.decode(
            (await self.ask("/webhooks", method="POST", body=given | {"region": REGION})).body
        )
        arn: str = made["arn"]
        return arn

    async def rule(
        self, account: str, bus: str, name: str, pattern: object, *arns: str, **target: Any
    ) -> None:
        """A rule of an account with targets."""
        customer = self.client(account)
        await _run(customer.put_rule, Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
        targets: Any = [{"Id": str(number), "Arn": arn, **target} for number, arn in enumerate(arns, 1)]
        if targets:
            answer = await _run(customer.put_targets, Rule=name, EventBusName=bus, Targets=targets)
            assert answer["FailedEntryCount"] == 0, answer

    async def put(self, source: str, detail: object, detail_type: str = "order", partner: str = ACME) -> str:
        """One event through a partner, until all that is due of it has been done; its id."""
        entry: Any = {"Source": source, "DetailType": detail_type, "Detail": json.dumps(detail)}
        answer = await _run(self.client(partner).put_partner_events, Entries=[entry])
        assert answer["FailedEntryCount"] == 0, answer
        await self.node.idle()
        return str(answer["Entries"][0]["EventId"])

    async def put_own(self, account: str, detail: object, source: str = "own", detail_type: str = "t") -> str:
        """One event of an account on its own default bus; its id."""
        entry: Any = {"Source": source, "DetailType": detail_type, "Detail": json.dumps(detail)}
        answer = await _run(self.client(account).put_events, Entries=[entry])
        assert answer["FailedEntryCount"] == 0, answer
        await self.node.idle()
        return str(answer["Entries"][0]["EventId"])

    async def advance(self, duration: timedelta) -> None:
        await self.clock.advance(duration)
        await self.node.idle()

    async def until_waiting(self, seconds: float) -> None:
        """Wait until somebody waits for so many seconds, which nothing else does."""
        due_at = self.clock.now() + timedelta(seconds=seconds)
        while all(  # noqa: ASYNC110 - a condition of this very process
            due != due_at for due, _, _ in self.clock._waiting
        ):
            await asyncio.sleep(0)

    async def close(self) -> None:
        await self._session.close()
        for client in self._clients:
            client.close()


@asynccontextmanager
async def open_desk(folder: Path, **settings: Any) -> AsyncIterator[Desk]:
    """A node with four accounts, that records every exchange."""
    clock = ManualClock()
    usual = Settings(data=folder, port=0, allow_private_targets=True, throttling=False, trace=TraceLevel.FULL)
    node = Node(msgspec.structs.replace(usual, **settings), clock=clock, log=make_log("error"))
    async with Receiver() as receiver, node:
        desk = Desk(node, receiver, clock)
        try:
            for account in (ANN, BOB, ACME, OTHER):
                given = {"id": account, "partner": PARTNERS.get(account)}
                keys = {"access_key_id": f"KEY{account}", "secret_access_key": SECRET.format(account)}
                assert (await desk.ask("/accounts", method="POST", body=given | keys)).status == 200
            yield desk
        finally:
            await desk.close()


async def _run(call: Any, **members: Any) -> Any:
    return await asyncio.to_thread(call, **members)


def _as_is(url: str) -> URL:
    """The URL as it was signed."""
    return URL(url, encoded=True)
