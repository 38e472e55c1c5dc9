"""Operations on connections."""

import json
import re
from pathlib import Path

import pytest

from partnerbus.model.resources import Connection, ConnectionState
from tests.api.world import CUSTOMER, REGION, Caller, World, refusal

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
BASIC = {"BasicAuthParameters": {"Username": "shop", "Password": "sesame-1"}}
API_KEY = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "sesame-2"}}
OAUTH = {
    "OAuthParameters": {
        "ClientParameters": {"ClientID": "client-1", "ClientSecret": "sesame-6"},
        "AuthorizationEndpoint": "https://login.example.com/token",
        "HttpMethod": "POST",
        "OAuthHttpParameters": {
            "HeaderParameters": [{"Key": "X-Tenant", "Value": "t"}],
            "BodyParameters": [{"Key": "scope", "Value": "sesame-7", "IsValueSecret": True}],
        },
    }
}
EXTRA = {
    "InvocationHttpParameters": {
        "HeaderParameters": [
            {"Key": "X-Plain", "Value": "seen", "IsValueSecret": False},
            {"Key": "X-Secret", "Value": "sesame-3", "IsValueSecret": True},
        ],
        "QueryStringParameters": [{"Key": "q", "Value": "v"}],
        "BodyParameters": [{"Key": "b", "Value": "sesame-4", "IsValueSecret": True}],
    }
}
NOT_THERE = (
    "ResourceNotFoundException",
    "Failed to describe the connection(s). Connection 'none' does not exist.",
)


async def create(customer: Caller, name: str = "c", kind: str = "BASIC", **auth: object) -> dict:
    return await customer("CreateConnection", Name=name, AuthorizationType=kind, AuthParameters=auth or BASIC)


def stored(world: World) -> Connection:
    (found,) = world.services.catalog.list(Connection, "connection:")
    return found


async def test_create(world: World, customer: Caller) -> None:
    answer = await create(customer)
    now = world.clock.now().timestamp()
    arn = answer.pop("ConnectionArn")
    assert re.fullmatch(f"arn:aws:events:{REGION}:{CUSTOMER}:connection/c/{UUID}", arn)
    assert answer == {"ConnectionState": "AUTHORIZED", "CreationTime": now, "LastModifiedTime": now}


async def test_describe_basic(world: World, customer: Caller) -> None:
    arn = (await create(customer, "c", "BASIC", **BASIC, **EXTRA))["ConnectionArn"]
    now = world.clock.now().timestamp()
    found = await customer("DescribeConnection", Name="c")
    secret = found.pop("SecretArn")
    assert re.fullmatch(
        f"arn:aws:secretsmanager:{REGION}:{CUSTOMER}:secret:events!connection/c/{UUID}-[0-9A-Za-z]{{6}}",
        secret,
    )
    assert found == {
        "ConnectionArn": arn,
        "Name": "c",
        "ConnectionState": "AUTHORIZED",
        "AuthorizationType": "BASIC",
        "AuthParameters": {
            "BasicAuthParameters": {"Username": "shop"},
            "InvocationHttpParameters": {
                "HeaderParameters": [
                    {"Key": "X-Plain", "Value": "seen", "IsValueSecret": False},
                    {"Key": "X-Secret", "IsValueSecret": True},
                ],
                "QueryStringParameters": [{"Key": "q", "Value": "v", "IsValueSecret": False}],
                "BodyParameters": [{"Key": "b", "IsValueSecret": True}],
            },
        },
        "CreationTime": now,
        "LastModifiedTime": now,
        "LastAuthorizedTime": now,
    }


async def test_describe_api_key(customer: Caller) -> None:
    await create(customer, "c", "API_KEY", **API_KEY)
    found = await customer("DescribeConnection", Name="c")
    assert found["AuthorizationType"] == "API_KEY"
    assert found["AuthParameters"] == {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key"}}


async def test_secrets_are_sealed_and_never_told(world: World, customer: Caller) -> None:
    answers = [
        await create(customer, "c", "BASIC", **BASIC, **EXTRA),
        await customer("DescribeConnection", Name="c"),
        await customer("ListConnections"),
        await customer("UpdateConnection", Name="c", AuthParameters=BASIC),
    ]
    registry = await world.services.store.list("")
    assert "sesame" not in json.dumps(answers)
    assert all(b"sesame" not in entry.value for entry in registry)
    assert world.services.secrets.open(stored(world).sealed_secret) == "sesame-1"
    secret = {one.name: one for one in stored(world).parameters}["X-Secret"]
    assert world.services.secrets.open(secret.value) == "sesame-3"


async def test_update_changes_what_is_given(world: World, customer: Caller) -> None:
    await create(customer, "c", "BASIC", **BASIC, **EXTRA)
    before = stored(world)
    await world.advance(seconds=7)
    answer = await customer(
        "UpdateConnection",
        Name="c",
        Description="newer",
        AuthParameters={"BasicAuthParameters": {"Password": "sesame-5"}},
    )
    assert answer["ConnectionState"] == "AUTHORIZED"
    assert answer["LastModifiedTime"] == answer["LastAuthorizedTime"] == answer["CreationTime"] + 7
    after = stored(world)
    assert (after.arn, after.user, after.parameters) == (before.arn, before.user, before.parameters)
    assert after.description == "newer"
    assert world.services.secrets.open(after.sealed_secret) == "sesame-5"


async def test_update_replaces_the_places_that_are_given(world: World, customer: Caller) -> None:
    await create(customer, "c", "BASIC", **BASIC, **EXTRA)
    headers = [{"Key": "X-Secret", "IsValueSecret": True}, {"Key": "X-New", "Value": "n"}]
    await customer(
        "UpdateConnection",
        Name="c",
        AuthParameters={"InvocationHttpParameters": {"HeaderParameters": headers, "BodyParameters": []}},
    )
    found = {one.name: one for one in stored(world).parameters}
    assert set(found) == {"X-Secret", "X-New", "q"}
    assert world.services.secrets.open(found["X-Secret"].value) == "sesame-3"


async def test_changing_the_type_takes_a_whole_set(world: World, customer: Caller) -> None:
    await create(customer)
    for auth in ({}, {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key"}}, BASIC):
        code, _ = await refusal(
            customer, "UpdateConnection", Name="c", AuthorizationType="API_KEY", AuthParameters=auth
        )
        assert code == "ValidationException"
    await customer("UpdateConnection", Name="c", AuthorizationType="API_KEY", AuthParameters=API_KEY)
    assert stored(world).user == "X-Key"
    assert world.services.secrets.open(stored(world).sealed_secret) == "sesame-2"


@pytest.mark.parametrize(
    ("kind", "auth"),
    [
        ("BASIC", API_KEY),
        ("API_KEY", BASIC),
        ("BASIC", {**BASIC, **API_KEY}),
        ("BASIC", EXTRA),
        ("BASIC", {**BASIC, **OAUTH}),
        ("OAUTH_CLIENT_CREDENTIALS", BASIC),
        ("OAUTH_CLIENT_CREDENTIALS", {**OAUTH, **BASIC}),
    ],
)
async def test_parameters_are_of_the_declared_type(customer: Caller, kind: str, auth: dict) -> None:
    code, message = await refusal(
        customer, "CreateConnection", Name="c", AuthorizationType=kind, AuthParameters=auth
    )
    assert code == "ValidationException"
    assert kind in message


async def test_create_and_describe_oauth(world: World, customer: Caller) -> None:
    made = await create(customer, "c", "OAUTH_CLIENT_CREDENTIALS", **OAUTH)
    assert made["ConnectionState"] == "AUTHORIZING"
    found = await customer("DescribeConnection", Name="c")
    assert (found["ConnectionState"], "LastAuthorizedTime" in found) == ("AUTHORIZING", False)
    assert found["AuthParameters"] == {
        "OAuthParameters": {
            "ClientParameters": {"ClientID": "client-1"},
            "AuthorizationEndpoint": "https://login.example.com/token",
            "HttpMethod": "POST",
            "OAuthHttpParameters": {
                "HeaderParameters": [{"Key": "X-Tenant", "Value": "t", "IsValueSecret": False}],
                "BodyParameters": [{"Key": "scope", "IsValueSecret": True}],
            },
        }
    }
    assert all(b"sesame" not in entry.value for entry in await world.services.store.list(""))


async def test_update_of_oauth_changes_what_is_given(world: World, customer: Caller) -> None:
    await create(customer, "c", "OAUTH_CLIENT_CREDENTIALS", **OAUTH)
    before = stored(world)
    await world.settle_connection("c")
    changes = {"HttpMethod": "PUT", "OAuthHttpParameters": {"HeaderParameters": []}}
    answer = await customer("UpdateConnection", Name="c", AuthParameters={"OAuthParameters": changes})
    assert answer["ConnectionState"] == "AUTHORIZING"
    after = stored(world)
    assert (after.user, after.sealed_secret) == (before.user, before.sealed_secret)
    assert before.oauth is not None
    assert after.oauth is not None
    assert (after.oauth.url, after.oauth.method) == (before.oauth.url, "PUT")
    assert [one.name for one in after.oauth.parameters] == ["scope"]


async def test_update_of_a_description_asks_for_no_token(world: World, customer: Caller) -> None:
    await create(customer, "c", "OAUTH_CLIENT_CREDENTIALS", **OAUTH)
    await world.settle_connection("c")
    answer = await customer("UpdateConnection", Name="c", Description="newer")
    assert answer["ConnectionState"] == "AUTHORIZED"


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com/",
        "https://169.254.169.254/token",
        "https://user:password@login.example.com/",
        "https://0x7f.1/token",
        "https://private.example.com/token",
    ],
)
async def test_authorization_endpoints_that_are_refused(tmp_path: Path, url: str) -> None:
    world = await World.open(tmp_path, allow_private=False)
    oauth = {"OAuthParameters": OAUTH["OAuthParameters"] | {"AuthorizationEndpoint": url}}
    try:
        await create(world.customer)
        for operation in ("CreateConnection", "UpdateConnection"):
            code, message = await refusal(
                world.customer,
                operation,
                Name="c",
                AuthorizationType="OAUTH_CLIENT_CREDENTIALS",
                AuthParameters=oauth,
            )
            assert code == "ValidationException"
            if "@" not in url:  # the model's own pattern
                assert message.startswith("Parameter AuthorizationEndpoint is not valid. Reason: ")
        assert stored(world).authorization == "BASIC"
    finally:
        await world.close()


async def test_private_connectivity_is_not_there(world: World, customer: Caller) -> None:
    private = {"ResourceParameters": {"ResourceConfigurationArn": ""}}
    code, message = await refusal(
        customer,
        "CreateConnection",
        Name="c",
        AuthorizationType="BASIC",
        AuthParameters=BASIC,
        InvocationConnectivityParameters=private,
    )
    assert code == "ValidationException"
    assert "not supported by this node yet" in message
    assert list(world.services.catalog.list(Connection, "connection:")) == []


@pytest.mark.parametrize(
    ("kind", "auth"), [("BASIC", BASIC), ("API_KEY", API_KEY), ("OAUTH_CLIENT_CREDENTIALS", OAUTH)]
)
async def test_deauthorize(world: World, customer: Caller, kind: str, auth: dict) -> None:
    made = await create(customer, "c", kind, **auth, **EXTRA)
    await world.settle_connection("c")
    await world.advance(seconds=5)
    answer = await customer("DeauthorizeConnection", Name="c")
    assert (answer["ConnectionArn"], answer["ConnectionState"]) == (made["ConnectionArn"], "DEAUTHORIZING")
    assert answer["LastModifiedTime"] == answer["LastAuthorizedTime"] + 5
    found = await customer("DescribeConnection", Name="c")
    assert (found["ConnectionState"], found["AuthParameters"]) == ("DEAUTHORIZED", {})
    assert found["StateReason"] == "The connection was deauthorized."
    (listed,) = (await customer("ListConnections", ConnectionState="DEAUTHORIZED"))["Connections"]
    assert listed["StateReason"] == found["StateReason"]
    assert all(b"gAAAA" not in entry.value for entry in await world.services.store.list("connection:"))

    await customer("UpdateConnection", Name="c", Description="still not")
    assert stored(world).state is ConnectionState.DEAUTHORIZED
    code, _ = await refusal(customer, "UpdateConnection", Name="c", AuthParameters=EXTRA)
    assert code == "ValidationException"
    answer = await customer("UpdateConnection", Name="c", AuthParameters=auth)
    assert answer["ConnectionState"] in ("AUTHORIZED", "AUTHORIZING")
    found = await customer("DescribeConnection", Name="c")
    assert "StateReason" not in found
    assert stored(world).has_credentials


async def test_delete(world: World, customer: Caller) -> None:
    arn = (await create(customer))["ConnectionArn"]
    answer = await customer("DeleteConnection", Name="c")
    assert (answer["ConnectionArn"], answer["ConnectionState"]) == (arn, "DELETING")
    assert (await create(customer))["ConnectionArn"] != arn
    assert world.services.catalog.connection_by_arn(arn) is None


async def test_sentences(customer: Caller) -> None:
    for operation in (
        "DescribeConnection",
        "UpdateConnection",
        "DeleteConnection",
        "DeauthorizeConnection",
    ):
        assert await refusal(customer, operation, Name="none") == NOT_THERE
    await create(customer)
    code, message = await refusal(
        customer, "CreateConnection", Name="c", AuthorizationType="BASIC", AuthParameters=BASIC
    )
    assert (code, message) == ("ResourceAlreadyExistsException", "Connection c already exists.")


async def test_list(customer: Caller) -> None:
    for name in ("b-1", "a", "b-2"):
        await create(customer, name)
    assert [one["Name"] for one in (await customer("ListConnections"))["Connections"]] == ["a", "b-1", "b-2"]
    found = (await customer("ListConnections", NamePrefix="b"))["Connections"]
    assert [one["Name"] for one in found] == ["b-1", "b-2"]
    assert (await customer("ListConnections", ConnectionState="DEAUTHORIZED"))["Connections"] == []
    assert len((await customer("ListConnections", ConnectionState="AUTHORIZED"))["Connections"]) == 3
    assert len(await customer.every("ListConnections", "Connections", Limit=2)) == 3


async def test_the_quota(world: World, customer: Caller) -> None:
    await create(customer, "a")
    stricter = world.with_quotas(connections=1)
    code, _ = await refusal(
        stricter.customer, "CreateConnection", Name="b", AuthorizationType="BASIC", AuthParameters=BASIC
    )
    assert code == "LimitExceededException"
    await create(stricter.other, "b")


async def test_accounts_and_regions_are_apart(world: World, customer: Caller, other: Caller) -> None:
    await create(customer, "none")
    for caller in (other, world.caller(CUSTOMER, "us-east-1")):
        assert await refusal(caller, "DescribeConnection", Name="none") == NOT_THERE
        assert (await caller("ListConnections"))["Connections"] == []
