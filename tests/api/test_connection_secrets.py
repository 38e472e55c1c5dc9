"""The copies of connections' secrets in Secrets Manager, which is scripted here and not always there."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from partnerbus.engine.connection_secrets import ConnectionSecrets
from partnerbus.kernel.telemetry import make_log
from partnerbus.model.reply import Reply
from partnerbus.model.resources import Connection, connection_key
from partnerbus.targets.aws import AwsCaller
from partnerbus.targets.aws_endpoints import AwsEndpoints
from partnerbus.targets.outbound_client import HttpOutbound
from partnerbus.targets.secrets_manager import SecretsManager, secret_id, secret_version
from partnerbus.testing.receiver import Receiver, Reset
from tests.api.secrets_manager import DOWN, REFUSED, Manager, error
from tests.api.world import CUSTOMER, REGION, Caller, World, refusal

pytestmark = pytest.mark.slow

BASIC: dict[str, Any] = {
    "Name": "shop",
    "AuthorizationType": "BASIC",
    "AuthParameters": {"BasicAuthParameters": {"Username": "ann", "Password": "sesame"}},
}
NEWER: dict[str, Any] = {"Name": "shop", "AuthParameters": {"BasicAuthParameters": {"Password": "newer"}}}
KEPT = {"username": "ann", "password": "sesame"}
GONE = (
    "ResourceNotFoundException",
    "Failed to describe the connection(s). Connection 'shop' does not exist.",
)


class Vault:
    """A world whose connections are copied to `manager`."""

    def __init__(self, world: World, manager: Manager, url: str) -> None:
        self.manager = manager
        self._outbound = HttpOutbound(world.clock, None)
        self._url = url
        self._stream = io.TextIOWrapper(io.BytesIO())
        self._plain = world
        self.world = self.restarted()

    def restarted(self, url: str | None = None) -> World:
        """The same registry after a restart, perhaps with another place for Secrets Manager."""
        services = self._plain.services
        where = self._url if url is None else url
        endpoints = AwsEndpoints(by_service={"secretsmanager": where})
        manager = SecretsManager(AwsCaller(self._outbound, services.clock, endpoints), services.secrets)
        log = make_log("info", self._stream)
        secrets = ConnectionSecrets(services.catalog, manager if where else None, log)
        self.world = World(msgspec.structs.replace(services, connection_secrets=secrets), self._plain.clock)
        return self.world

    @property
    def customer(self) -> Caller:
        return self.world.customer

    @property
    def secrets(self) -> ConnectionSecrets:
        return self.world.services.connection_secrets

    @property
    def stored(self) -> Connection | None:
        return self.world.services.catalog.get(Connection, connection_key(CUSTOMER, REGION, "shop"))

    @property
    def log(self) -> list[dict[str, Any]]:
        buffer = self._stream.buffer
        assert isinstance(buffer, io.BytesIO)
        return [json.loads(line) for line in buffer.getvalue().splitlines()]

    async def close(self) -> None:
        await self._outbound.close()


@pytest.fixture
async def vault(world: World) -> AsyncIterator[Vault]:
    manager = Manager()
    async with Receiver() as receiver:
        receiver.respond("/", manager.respond)
        made = Vault(world, manager, receiver.url)
        yield made
        await made.close()


async def test_the_secret_follows_its_connection(vault: Vault) -> None:
    await vault.customer("CreateConnection", **BASIC, KmsKeyIdentifier="alias/mine")
    found = await vault.customer("DescribeConnection", Name="shop")
    [(name, secret)] = vault.manager.secrets.items()
    assert vault.manager.content() == KEPT
    assert name.startswith("events!connection/shop/")
    assert found["SecretArn"] == vault.manager.arn(name)
    assert secret["KmsKeyId"] == "alias/mine"
    await vault.customer("UpdateConnection", **NEWER)
    assert vault.manager.content() == KEPT | {"password": "newer"}
    assert (await vault.customer("DescribeConnection", Name="shop"))["SecretArn"] == found["SecretArn"]
    await vault.customer("DeauthorizeConnection", Name="shop")
    assert vault.manager.content() == {}
    await vault.customer("UpdateConnection", **BASIC)
    assert vault.manager.content() == KEPT
    answer = await vault.customer("DeleteConnection", Name="shop")
    assert answer["ConnectionState"] == "DELETING"
    assert vault.manager.secrets == {}
    assert await refusal(vault.customer, "DescribeConnection", Name="shop") == GONE
    assert vault.secrets.behind == 0


async def test_what_leaves_the_secret_alone_is_not_copied(vault: Vault) -> None:
    await vault.customer("CreateConnection", **BASIC)
    calls = vault.manager.calls
    await vault.customer("UpdateConnection", Name="shop", Description="ours")
    await vault.secrets.sweep()
    assert vault.manager.calls == calls


@pytest.mark.parametrize(
    ("members", "secret"),
    [
        (
            {
                "AuthorizationType": "API_KEY",
                "AuthParameters": {
                    "ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "sesame"},
                    "InvocationHttpParameters": {},
                },
            },
            {"api_key_name": "X-Key", "api_key_value": "sesame", "invocation_http_parameters": {}},
        ),
        (
            {
                "AuthorizationType": "OAUTH_CLIENT_CREDENTIALS",
                "AuthParameters": {
                    "OAuthParameters": {
                        "ClientParameters": {"ClientID": "me", "ClientSecret": "sesame"},
                        "AuthorizationEndpoint": "http://127.0.0.1/token",
                        "HttpMethod": "POST",
                        "OAuthHttpParameters": {
                            "BodyParameters": [{"Key": "scope", "Value": "s", "IsValueSecret": True}]
                        },
                    },
                    "InvocationHttpParameters": {"HeaderParameters": [{"Key": "X", "Value": "v"}]},
                },
            },
            {
                "client_id": "me",
                "client_secret": "sesame",
                "authorization_endpoint": "http://127.0.0.1/token",
                "http_method": "POST",
                "oauth_http_parameters": {
                    "body_parameters": [{"key": "scope", "value": "s", "is_value_secret": True}]
                },
                "invocation_http_parameters": {
                    "header_parameters": [{"key": "X", "value": "v", "is_value_secret": False}]
                },
            },
        ),
    ],
)
async def test_the_form_of_each_type(vault: Vault, members: dict[str, Any], secret: object) -> None:
    await vault.customer("CreateConnection", Name="shop", **members)
    assert vault.manager.content() == secret


async def test_a_connection_is_made_while_nobody_keeps_its_secret(vault: Vault) -> None:
    vault.manager.answer = DOWN
    await vault.customer("CreateConnection", **BASIC)
    assert (await vault.customer("DescribeConnection", Name="shop"))["ConnectionState"] == "AUTHORIZED"
    await vault.customer("UpdateConnection", **NEWER)
    await vault.secrets.sweep()
    assert (vault.manager.secrets, vault.secrets.behind) == ({}, 1)
    vault.manager.answer = None
    await vault.secrets.sweep()
    assert vault.manager.content() == KEPT | {"password": "newer"}
    assert vault.secrets.behind == 0


async def test_a_deleted_connection_stays_until_its_secret_is_gone(vault: Vault) -> None:
    made = await vault.customer("CreateConnection", **BASIC)
    vault.manager.answer = DOWN
    await vault.customer("DeleteConnection", Name="shop")
    found = await vault.customer("DescribeConnection", Name="shop")
    assert found["ConnectionState"] == "DELETING"
    assert found["StateReason"] == (
        "The secret could not be deleted from Secrets Manager yet; it is tried again."
    )
    assert vault.stored is not None
    assert vault.stored.sealed_secret == ""
    code, _ = await refusal(vault.customer, "CreateConnection", **BASIC)
    assert code == "ResourceAlreadyExistsException"
    for operation, members in (("UpdateConnection", NEWER), ("DeauthorizeConnection", {"Name": "shop"})):
        assert await refusal(vault.customer, operation, **members) == GONE
    assert (await vault.customer("DeleteConnection", Name="shop"))["ConnectionState"] == "DELETING"

    vault.restarted()
    vault.manager.answer = None
    await vault.secrets.sweep()
    assert vault.manager.secrets == {}
    assert await refusal(vault.customer, "DescribeConnection", Name="shop") == GONE
    assert (await vault.customer("CreateConnection", **BASIC))["ConnectionArn"] != made["ConnectionArn"]


async def test_what_is_refused_for_good_is_left_behind_and_said(vault: Vault) -> None:
    await vault.customer("CreateConnection", **BASIC)
    vault.manager.answer = REFUSED
    await vault.customer("DeleteConnection", Name="shop")
    assert vault.stored is None
    assert vault.manager.content() == KEPT
    [line] = vault.log
    assert (line["event"], line["message"]) == ("connection secret not deleted", "AccessDeniedException")


async def test_a_copy_that_was_never_made_blocks_no_name(vault: Vault) -> None:
    vault.manager.answer = DOWN
    await vault.customer("CreateConnection", **BASIC)
    await vault.customer("DeleteConnection", Name="shop")
    assert vault.stored is None
    assert [line["event"] for line in vault.log] == [
        "connection secret not copied",
        "connection secret not deleted",
    ]
    await vault.customer("CreateConnection", **BASIC)


async def test_a_refusal_is_said_once_and_tried_again(vault: Vault) -> None:
    vault.manager.answer = REFUSED
    await vault.customer("CreateConnection", **BASIC)
    await vault.secrets.sweep()
    await vault.secrets.sweep()
    assert vault.manager.calls == 3
    [line] = vault.log
    assert (line["event"], line["error"]) == ("connection secret not copied", "NO_PERMISSIONS")
    assert "sesame" not in json.dumps(vault.log)  # though it was in the answer
    vault.manager.answer = None
    await vault.secrets.sweep()
    assert vault.manager.content() == KEPT


async def test_an_answer_that_was_lost(vault: Vault) -> None:
    """The secret is there and nobody knows: the next change finds it, and so does the end."""
    vault.manager.answer, vault.manager.hears = Reset(), True
    await vault.customer("CreateConnection", **BASIC)
    vault.manager.answer = error("ResourceNotFoundException")
    await vault.secrets.sweep()  # not found, made anew: already there
    assert vault.secrets.behind == 1
    vault.restarted()
    vault.manager.answer = None
    await vault.customer("DeleteConnection", Name="shop")
    assert vault.manager.secrets == {}
    assert vault.stored is None


async def test_a_secret_that_somebody_deleted_is_made_anew(vault: Vault) -> None:
    await vault.customer("CreateConnection", **BASIC)
    vault.manager.secrets.clear()
    await vault.customer("UpdateConnection", **NEWER)
    assert vault.manager.content() == KEPT | {"password": "newer"}
    vault.manager.secrets.clear()
    await vault.customer("DeleteConnection", Name="shop")
    assert vault.stored is None


async def test_many_changes_at_once_end_with_the_last(vault: Vault) -> None:
    await vault.customer("CreateConnection", **BASIC)
    changes = [
        {"Name": "shop", "AuthParameters": {"BasicAuthParameters": {"Password": f"p{number}"}}}
        for number in range(8)
    ]
    await asyncio.gather(*(vault.customer("UpdateConnection", **change) for change in changes))
    assert vault.stored is not None
    kept = vault.world.services.secrets.open(vault.stored.sealed_secret)
    assert vault.manager.content() == KEPT | {"password": kept}
    assert vault.secrets.behind == 0


class Slow(SecretsManager):
    """Takes a secret when its gate is opened, and not in any order of its own."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.gates: list[asyncio.Event] = []
        self.is_asked = asyncio.Event()

    async def keep(self, connection: Connection) -> str | Reply:
        self.gates.append(gate := asyncio.Event())
        self.is_asked.set()
        await gate.wait()
        self.kept.append(secret_version(connection))
        return Manager.arn(secret_id(connection))


async def test_copies_of_one_secret_do_not_overtake_each_other(world: World) -> None:
    slow = Slow()
    catalog = world.services.catalog
    secrets = ConnectionSecrets(catalog, slow, make_log("error"))
    await world.customer("CreateConnection", **BASIC)
    key = connection_key(CUSTOMER, REGION, "shop")
    first = asyncio.create_task(secrets.follow(key))
    await slow.is_asked.wait()
    await world.customer("UpdateConnection", **NEWER)
    second = asyncio.create_task(secrets.follow(key))
    await turns()
    if len(slow.gates) == 2:  # the second is asked for beside the first: let it be faster
        slow.gates[1].set()
        await second
    while not (first.done() and second.done()):
        for gate in slow.gates:
            gate.set()
        await asyncio.sleep(0)
    stored = catalog.get(Connection, key)
    assert stored is not None
    assert slow.kept[-1] == secret_version(stored) == stored.copied


async def turns() -> None:
    """Let everybody do what they can without the disk and the network."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_who_cannot_be_reached_is_asked_once_a_sweep(vault: Vault) -> None:
    vault.manager.answer = Reset()
    for name in ("a", "b", "c"):
        await vault.customer("CreateConnection", **BASIC | {"Name": name})
    calls = vault.manager.calls
    await vault.secrets.sweep()
    assert vault.manager.calls == calls + 1
    vault.manager.answer = None
    await vault.secrets.sweep()
    assert len(vault.manager.secrets) == 3


async def test_without_secrets_manager_nothing_is_copied(vault: Vault) -> None:
    vault.restarted(url="")
    await vault.customer("CreateConnection", **BASIC)
    assert vault.stored is not None
    assert vault.stored.copied is None
    await vault.secrets.sweep()
    assert vault.manager.calls == 0

    vault.restarted()  # the operator names one: what is there already is copied
    assert vault.secrets.behind == 1
    await vault.secrets.sweep()
    assert vault.manager.content() == KEPT
    vault.manager.answer = DOWN
    await vault.customer("DeleteConnection", Name="shop")
    assert vault.stored is not None

    vault.restarted(url="")  # and takes it back: nobody can delete the copy any more
    await vault.secrets.sweep()
    assert vault.stored is None
