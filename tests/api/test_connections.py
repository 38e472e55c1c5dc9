"""Operations on connections."""

import json
import re

import pytest

from partnerbus.model.resources import Connection
from tests.api.world import CUSTOMER, REGION, Caller, World, refusal

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
BASIC = {"BasicAuthParameters": {"Username": "shop", "Password": "sesame-1"}}
API_KEY = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "sesame-2"}}
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
    [("BASIC", API_KEY), ("API_KEY", BASIC), ("BASIC", {**BASIC, **API_KEY}), ("BASIC", EXTRA)],
)
async def test_parameters_are_of_the_declared_type(customer: Caller, kind: str, auth: dict) -> None:
    code, message = await refusal(
        customer, "CreateConnection", Name="c", AuthorizationType=kind, AuthParameters=auth
    )
    assert code == "ValidationException"
    assert kind in message


async def test_what_this_node_does_not_do(world: World, customer: Caller) -> None:
    oauth = {
        "OAuthParameters": {
            "ClientParameters": {"ClientID": "i", "ClientSecret": "s"},
            "AuthorizationEndpoint": "https://login.example.com/",
            "HttpMethod": "POST",
        }
    }
    private = {"ResourceParameters": {"ResourceConfigurationArn": ""}}
    for members in (
        {"AuthorizationType": "OAUTH_CLIENT_CREDENTIALS", "AuthParameters": oauth},
        {
            "AuthorizationType": "BASIC",
            "AuthParameters": BASIC,
            "InvocationConnectivityParameters": private,
        },
    ):
        code, message = await refusal(customer, "CreateConnection", Name="c", **members)
        assert code == "ValidationException"
        assert "not supported by this node yet" in message
    assert list(world.services.catalog.list(Connection, "connection:")) == []


async def test_delete(world: World, customer: Caller) -> None:
    arn = (await create(customer))["ConnectionArn"]
    answer = await customer("DeleteConnection", Name="c")
    assert (answer["ConnectionArn"], answer["ConnectionState"]) == (arn, "DELETING")
    assert (await create(customer))["ConnectionArn"] != arn
    assert world.services.catalog.connection_by_arn(arn) is None


async def test_sentences(customer: Caller) -> None:
    for operation in ("DescribeConnection", "UpdateConnection", "DeleteConnection"):
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
    stricter = world.with_limits(connections=1)
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
