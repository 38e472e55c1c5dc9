"""AWS beside the server, for the tests of AWS targets: moto's emulator, and a scripted service.

The server signs as the customer's account, whose id is the access key id, as most emulators have it.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.core.responses import BaseResponse
from moto.server import ThreadedMotoServer

from partnerbus.testing.receiver import Received, Receiver, Respond
from tests.main_job.story import ACME, CUSTOMER, REGION, Story, begin

NO_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "",
    "AWS_SECRET_ACCESS_KEY": "",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere/credentials",
    "AWS_CONFIG_FILE": "/nowhere/config",
    "AWS_EC2_METADATA_DISABLED": "true",
}

EMULATOR_SECRET = "partnerbus"
SOURCE = "aws.partner/acme.com/orders"
ROLE = f"arn:aws:iam::{CUSTOMER}:role/targets"


def account_of(request: BaseResponse) -> str:
    """The account whose id is the access key id; moto knows longer keys only."""
    found = re.search(r"Credential=([0-9]{12})/", request.headers.get("Authorization", ""))
    return found[1] if found else "000000000000"


@contextmanager
def moto() -> Iterator[str]:
    """moto's server; its URL."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseResponse, "get_current_account", account_of)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


def aws_client(service: Any, url: str) -> Any:
    """A client of the customer's own account at an emulator, which is not the emulator's default one."""
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=CUSTOMER,
        aws_secret_access_key="x",
    )


@asynccontextmanager
async def calling(urls: Mapping[str, str], folder: Path, *options: str) -> AsyncIterator[Story]:
    """A server that calls AWS services at these URLs, with a source that is ACTIVE."""
    file = folder / "partnerbus.toml"
    lines = [f'{service} = "{url}"' for service, url in urls.items()]
    file.write_text("\n".join(["[aws.endpoints]", *lines, ""]))
    async with begin(folder / "data", "--config", str(file), *options, environment=NO_CREDENTIALS) as story:
        await story.offer(ACME, SOURCE)
        yield story


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{CUSTOMER}:{resource}"


async def put(story: Story, kind: str, target: str, **more: Any) -> str:
    """A rule for events of `kind` with one target, and one such event; its id."""
    await story.rule(SOURCE, kind, {"detail": {"kind": [kind]}}, target, RoleArn=ROLE, **more)
    detail = {"kind": kind, "n": 1.0, "é": "☃", "table": "orders"}
    entry = {
        "Source": SOURCE,
        "DetailType": "order",
        "Detail": json.dumps(detail, ensure_ascii=False),
        "Time": "2026-11-25T10:00:00Z",
    }
    [event_id] = await story.put(ACME, entry)
    return event_id


def is_event(text: str | bytes, event_id: str) -> bool:
    event = msgspec.json.decode(text)
    return (event["id"], event["account"], event["detail"]["é"]) == (event_id, CUSTOMER, "☃")


class ScriptedAws:
    """AWS services that answer as they were told, and whose requests were really signed for them."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self._answers: dict[str, Callable[[dict[str, Any]], object]] = {}
        receiver.respond("/", self._respond)

    @property
    def url(self) -> str:
        return self.receiver.url

    def answer(self, operation: str, output: object, status: int = 200) -> None:
        """Answer an operation of the JSON protocols (by its X-Amz-Target) with `output`."""
        self._answers[operation] = lambda _: Respond(status=status, body=msgspec.json.encode(output))

    def _respond(self, request: Received) -> Respond:
        answer: Any = self._answers.get(request.headers.get("x-amz-target", ""))
        return answer(request) if answer else Respond(status=400, body=b'{"__type":"UnknownOperation"}')

    async def asked(self, operation: str, service: str, count: int = 1) -> dict[str, Any]:
        """The input of the last of `count` calls of an operation, signed for `service`."""
        async with asyncio.timeout(60):
            while len(found := self._calls(operation)) < count:
                await self.receiver.received(len(self.receiver.requests) + 1)
        assert_signed(found[-1], service)
        given: dict[str, Any] = msgspec.json.decode(found[-1].body)
        return given

    def _calls(self, operation: str) -> list[Received]:
        return [each for each in self.receiver.requests if each.headers.get("x-amz-target") == operation]


def assert_signed(request: Received, service: str) -> None:
    """The request is what the customer's account signed for a service."""
    given = request.headers["authorization"]
    names = re.search(r"SignedHeaders=([^,]+)", given)
    assert names is not None
    headers = {name: request.headers[name] for name in names[1].split(";")}
    again = AWSRequest(
        request.method, f"http://{request.headers['host']}{request.target}", headers, request.body
    )
    again.context["timestamp"] = request.headers["x-amz-date"]
    auth = SigV4Auth(Credentials(CUSTOMER, EMULATOR_SECRET), service, REGION)
    signature = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
    assert f"Credential={CUSTOMER}/" in given
    assert f"/{REGION}/{service}/aws4_request" in given
    assert f"Signature={signature}" in given
