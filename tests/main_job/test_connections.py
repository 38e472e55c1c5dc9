"""How connections authorize, through the whole server: OAuth, client certificates, deauthorizing."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from partnerbus.testing.receiver import Received, Respond, Script
from tests.certificates import Authority
from tests.main_job.story import ACME, CUSTOMER, Story, begin, run

pytestmark = pytest.mark.slow

SOURCE = "aws.partner/acme.com/orders"
PATTERN = {"source": [SOURCE]}
ENTRY = {"Source": SOURCE, "DetailType": "order", "Detail": '{"n":1}'}
PATIENCE_SECONDS = 60


def grant(token: str, seconds: int = 3600) -> Respond:
    return Respond(body=json.dumps({"access_token": token, "expires_in": seconds}).encode())


def oauth(story: Story, secret: str = "sesame-secret") -> dict[str, Any]:
    body = [{"Key": "scope", "Value": "sesame-scope", "IsValueSecret": True}]
    return {
        "AuthorizationType": "OAUTH_CLIENT_CREDENTIALS",
        "AuthParameters": {
            "OAuthParameters": {
                "ClientParameters": {"ClientID": "client", "ClientSecret": secret},
                "AuthorizationEndpoint": f"{story.receiver.url}/token",
                "HttpMethod": "POST",
                "OAuthHttpParameters": {"BodyParameters": body},
            }
        },
    }


async def until(story: Story, state: str) -> dict[str, Any]:
    """The connection, once it is in `state`, which it stays in."""
    customer = story.client(CUSTOMER)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found: dict[str, Any] = dict(await run(customer.describe_connection, Name="hook"))
            if found["ConnectionState"] == state:
                return found


async def test_oauth_from_the_first_token_to_a_new_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with begin(tmp_path / "data", log=log) as story:
        await story.offer(ACME, SOURCE)
        customer = story.client(CUSTOMER)
        story.receiver.script("/token", Respond(status=401, body=b"sesame-echo"))
        webhook = await story.webhook("hook", connection=oauth(story))
        refused = await until(story, "DEAUTHORIZED")
        assert refused["StateReason"].endswith("answered with HTTP status 401.")
        state = await run(customer.describe_api_destination, Name="hook")
        assert state["ApiDestinationState"] == "INACTIVE"

        story.receiver.script("/token", grant("sesame-token-1"), grant("sesame-token-2"))
        await run(customer.update_connection, Name="hook", **oauth(story, "sesame-newer"))
        authorized = await until(story, "AUTHORIZED")
        assert authorized["LastAuthorizedTime"] >= authorized["CreationTime"]
        assert "StateReason" not in authorized
        state = await run(customer.describe_api_destination, Name="hook")
        assert state["ApiDestinationState"] == "ACTIVE"

        def only_the_second(request: Received) -> Script:
            is_good = request.headers["authorization"] == "Bearer sesame-token-2"
            return Respond(status=200 if is_good else 401, body=request.headers["authorization"].encode())

        story.receiver.respond("/hook", only_the_second)
        await story.rule(SOURCE, "r", PATTERN, webhook)
        await story.put(ACME, ENTRY)
        async with asyncio.timeout(PATIENCE_SECONDS):
            first, second = await story.receiver.received(2, "/hook")
        assert first.body == second.body
        assert [request.body.count(b"sesame-newer") for request in exchanges(story)][-2:] == [1, 1]
        shown = json.dumps(
            [await story.command("deliveries", "list", "--json"), refused, authorized], default=str
        )
        assert await story.server.stop() == 0
    written = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    for text in (written, log.read_bytes(), shown.encode()):
        assert b"sesame" not in text


def exchanges(story: Story) -> list[Received]:
    return [request for request in story.receiver.requests if request.path == "/token"]


async def test_many_events_take_one_token(tmp_path: Path) -> None:
    async with begin(tmp_path / "data") as story:
        await story.offer(ACME, SOURCE)
        story.receiver.script("/token", grant("token-1"))
        await story.rule(SOURCE, "r", PATTERN, await story.webhook("hook", connection=oauth(story)))
        await story.put(ACME, *[ENTRY] * 60)
        requests = await story.receiver.received(60, "/hook")
        assert {request.headers["authorization"] for request in requests} == {"Bearer token-1"}
        assert len(exchanges(story)) == 1


async def test_an_exchange_that_fails_is_an_outcome_of_the_attempt(tmp_path: Path) -> None:
    async with begin(tmp_path / "data") as story:
        await story.offer(ACME, SOURCE)
        story.receiver.script("/token", Respond(status=200, body=b"sesame " * 1_500_000))
        await story.rule(
            SOURCE,
            "r",
            PATTERN,
            await story.webhook("hook", connection=oauth(story)),
            RetryPolicy={"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60},
        )
        await story.put(ACME, ENTRY)
        [letter] = await story.dead_letters(1)
        assert (letter["error"], letter["attempts_made"]) == ("ERROR_FROM_TARGET", 1)
        assert letter["message"].startswith("No token: the authorization endpoint's answer is not JSON")
        shown = await story.command("dead-letters", "show", letter["id"], "--json")
        assert "sesame" not in json.dumps(shown)
        assert [request.path for request in story.receiver.requests if request.path != "/token"] == []


async def test_deauthorizing_stops_deliveries_until_an_update(tmp_path: Path) -> None:
    async with begin(tmp_path / "data") as story:
        await story.offer(ACME, SOURCE)
        await story.rule(SOURCE, "r", PATTERN, await story.webhook("hook"))
        customer = story.client(CUSTOMER)
        await run(customer.deauthorize_connection, Name="hook")
        await story.put(ACME, ENTRY)
        [letter] = await story.dead_letters(1)
        assert (letter["error"], story.receiver.requests) == ("NO_RESOURCE", [])
        key: Any = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "newer"}}
        await run(customer.update_connection, Name="hook", AuthParameters=key)
        await story.command("dead-letters", "redrive", letter["id"], "--json")
        [request] = await story.receiver.received(1, "/hook")
        assert request.headers["x-key"] == "newer"


async def test_a_client_certificate_is_set_and_shown(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    environment = {"SSL_CERT_FILE": str(authority.ca_file)}
    tls = authority.server(wants_client=True)
    async with begin(tmp_path / "data", environment=environment, tls=tls) as story:
        await story.offer(ACME, SOURCE)
        no_retries = {"RetryPolicy": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}}
        await story.rule(SOURCE, "r", PATTERN, await story.webhook("hook"), **no_retries)
        await story.put(ACME, ENTRY)
        [letter] = await story.dead_letters(1)
        assert (letter["error"], story.receiver.requests) == ("CONNECTION_FAILURE", [])

        certificate, key = authority.issue("partnerbus of acme")
        (tmp_path / "cert.pem").write_text(certificate)
        (tmp_path / "key.pem").write_text(key)
        files = ("--cert", str(tmp_path / "cert.pem"), "--key", str(tmp_path / "key.pem"))
        shown = await story.command("connection", "certificate", "set", "hook", *files, "--json")
        assert shown["subject"] == "CN=partnerbus of acme"
        await story.command("dead-letters", "redrive", letter["id"], "--json")
        async with asyncio.timeout(PATIENCE_SECONDS):
            [request] = await story.receiver.received(1, "/hook")
        assert json.loads(request.body)["detail"] == {"n": 1}
        assert await story.server.stop() == 0
    written = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    assert b"PRIVATE KEY" not in written
