"""Operations on API destinations."""

import asyncio
import re
from pathlib import Path

import pytest

from tests.api.test_connections import OAUTH, UUID, create
from tests.api.world import CUSTOMER, REGION, Caller, World, refusal

URL = "https://hooks.example.com/orders/*"
NOT_THERE = (
    "ResourceNotFoundException",
    "Failed to describe the api-destination(s). An api-destination 'none' does not exist.",
)


@pytest.fixture
async def connection(customer: Caller) -> str:
    arn: str = (await create(customer))["ConnectionArn"]
    return arn


def members(connection: str, **changes: object) -> dict:
    return {
        "Name": "d",
        "ConnectionArn": connection,
        "InvocationEndpoint": URL,
        "HttpMethod": "POST",
    } | changes


async def test_create_and_describe(world: World, customer: Caller, connection: str) -> None:
    made = await customer("CreateApiDestination", **members(connection, Description="hooks"))
    now = world.clock.now().timestamp()
    arn = made["ApiDestinationArn"]
    assert re.fullmatch(f"arn:aws:events:{REGION}:{CUSTOMER}:api-destination/d/{UUID}", arn)
    times = {"ApiDestinationState": "ACTIVE", "CreationTime": now, "LastModifiedTime": now}
    assert made == {"ApiDestinationArn": arn, **times}
    assert await customer("DescribeApiDestination", Name="d") == {
        "ApiDestinationArn": arn,
        "Name": "d",
        "Description": "hooks",
        "ConnectionArn": connection,
        "InvocationEndpoint": URL,
        "HttpMethod": "POST",
        "InvocationRateLimitPerSecond": 300,
        **times,
    }
    assert world.services.catalog.api_destination_by_arn(arn) is not None


async def test_update_changes_what_is_given(world: World, customer: Caller, connection: str) -> None:
    made = await customer("CreateApiDestination", **members(connection, Description="hooks"))
    await world.advance(seconds=3)
    other = (await create(customer, "c2"))["ConnectionArn"]
    await customer("UpdateApiDestination", Name="d", HttpMethod="PUT", InvocationRateLimitPerSecond=7)
    answer = await customer("UpdateApiDestination", Name="d", ConnectionArn=other)
    assert answer["ApiDestinationArn"] == made["ApiDestinationArn"]
    assert answer["LastModifiedTime"] == answer["CreationTime"] + 3
    found = await customer("DescribeApiDestination", Name="d")
    assert (found["HttpMethod"], found["InvocationRateLimitPerSecond"]) == ("PUT", 7)
    assert (found["ConnectionArn"], found["InvocationEndpoint"], found["Description"]) == (
        other,
        URL,
        "hooks",
    )


async def test_many_who_update_at_once(customer: Caller, connection: str) -> None:
    """One gets through in each round, so nobody is refused, and nobody's change is lost."""
    await customer("CreateApiDestination", **members(connection))
    changes: list[dict[str, object]] = [
        {"HttpMethod": "PUT"},
        {"InvocationRateLimitPerSecond": 7},
        {"Description": "hooks"},
        {"InvocationEndpoint": f"{URL}/new"},
    ]
    await asyncio.gather(*(customer("UpdateApiDestination", Name="d", **change) for change in changes))
    found = await customer("DescribeApiDestination", Name="d")
    for change in changes:
        assert change.items() <= found.items()


async def test_delete(customer: Caller, connection: str) -> None:
    await customer("CreateApiDestination", **members(connection))
    assert await customer("DeleteApiDestination", Name="d") == {}
    code, _ = await refusal(customer, "DescribeApiDestination", Name="d")
    assert code == "ResourceNotFoundException"


async def test_it_is_inactive_without_its_connection(customer: Caller, connection: str) -> None:
    await customer("CreateApiDestination", **members(connection))
    await customer("DeleteConnection", Name="c")
    assert (await customer("DescribeApiDestination", Name="d"))["ApiDestinationState"] == "INACTIVE"
    await create(customer)
    assert (await customer("DescribeApiDestination", Name="d"))["ApiDestinationState"] == "INACTIVE"


async def test_it_is_inactive_until_its_connection_is_authorized(world: World, customer: Caller) -> None:
    made = await create(customer, "o", "OAUTH_CLIENT_CREDENTIALS", **OAUTH)
    answer = await customer("CreateApiDestination", **members(made["ConnectionArn"]))
    assert answer["ApiDestinationState"] == "INACTIVE"
    await world.settle_connection("o")
    assert (await customer("DescribeApiDestination", Name="d"))["ApiDestinationState"] == "ACTIVE"
    await customer("DeauthorizeConnection", Name="o")
    (listed,) = (await customer("ListApiDestinations"))["ApiDestinations"]
    assert listed["ApiDestinationState"] == "INACTIVE"


async def test_sentences(customer: Caller, connection: str) -> None:
    for operation in ("DescribeApiDestination", "UpdateApiDestination", "DeleteApiDestination"):
        assert await refusal(customer, operation, Name="none") == NOT_THERE
    await customer("CreateApiDestination", **members(connection))
    code, message = await refusal(customer, "CreateApiDestination", **members(connection))
    assert (code, message) == ("ResourceAlreadyExistsException", "An api-destination 'd' already exists.")
    gone = connection.replace("connection/c/", "connection/none/")
    assert await refusal(customer, "CreateApiDestination", **members(gone, Name="e")) == (
        "ResourceNotFoundException",
        "Failed to describe the connection(s). Connection 'none' does not exist.",
    )


async def test_the_connection_is_the_callers_own(
    world: World, customer: Caller, other: Caller, connection: str
) -> None:
    await customer("CreateApiDestination", **members(connection))
    abroad = world.caller(CUSTOMER, "us-east-1")
    for caller in (other, abroad):
        code, _ = await refusal(caller, "CreateApiDestination", **members(connection))
        assert code == "ResourceNotFoundException"
        assert (await caller("ListApiDestinations"))["ApiDestinations"] == []
    theirs = (await create(other))["ConnectionArn"]
    code, _ = await refusal(customer, "UpdateApiDestination", Name="d", ConnectionArn=theirs)
    assert code == "ResourceNotFoundException"


@pytest.mark.parametrize(
    "url", ["http://hooks.example.com/", "ftp://hooks.example.com/", "https://169.254.169.254/", "hooks"]
)
async def test_urls_that_are_refused(customer: Caller, connection: str, url: str) -> None:
    code, _ = await refusal(customer, "CreateApiDestination", **members(connection, InvocationEndpoint=url))
    assert code == "ValidationException"
    await customer("CreateApiDestination", **members(connection))
    code, _ = await refusal(customer, "UpdateApiDestination", Name="d", InvocationEndpoint=url)
    assert code == "ValidationException"


async def test_plain_http_only_to_a_private_host_and_only_if_the_node_allows_it(
    tmp_path: Path, customer: Caller, connection: str
) -> None:
    local = {"InvocationEndpoint": "http://127.0.0.1:8080/hook"}
    await customer("CreateApiDestination", **members(connection, **local))
    strict = await World.open(tmp_path / "strict", allow_private=False)
    try:
        theirs = (await create(strict.customer))["ConnectionArn"]
        code, _ = await refusal(strict.customer, "CreateApiDestination", **members(theirs, **local))
        assert code == "ValidationException"
    finally:
        await strict.close()


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("private.example.com", False),
        ("PRIVATE.example.com", False),
        ("mixed.example.com", True),  # one of its addresses is public
        ("unknown.example.com", True),  # perhaps by the time it is used
        ("a." * 120 + "example.com", True),
        ("10.0.0.7", False),
        ("10.1.0.7", True),
        ("[::ffff:10.0.0.7]", False),
        ("[64:ff9b::10.0.0.7]", False),
        ("[2002:0a00:0007::]", False),
    ],
)
async def test_a_host_is_judged_when_it_is_given(tmp_path: Path, host: str, allowed: bool) -> None:
    world = await World.open(tmp_path / "strict", allow_private=False, networks="10.1.0.0/16")
    try:
        connection = (await create(world.customer))["ConnectionArn"]
        await world.customer("CreateApiDestination", **members(connection))
        url = f"https://{host}/hook"
        for operation, given in (
            ("CreateApiDestination", members(connection, Name="e", InvocationEndpoint=url)),
            ("UpdateApiDestination", {"Name": "d", "InvocationEndpoint": url}),
        ):
            if allowed:
                await world.customer(operation, **given)
                continue
            code, message = await refusal(world.customer, operation, **given)
            assert code == "ValidationException"
            assert "nvocationEndpoint" in message  # of the model's own pattern, or ours
    finally:
        await world.close()


async def test_the_quota(world: World, customer: Caller, connection: str) -> None:
    await customer("CreateApiDestination", **members(connection))
    stricter = world.with_quotas(api_destinations=1).customer
    code, _ = await refusal(stricter, "CreateApiDestination", **members(connection, Name="e"))
    assert code == "LimitExceededException"


async def test_list(customer: Caller, connection: str) -> None:
    second = (await create(customer, "c2"))["ConnectionArn"]
    for name, arn in (("b-1", connection), ("a", second), ("b-2", second)):
        await customer("CreateApiDestination", **members(arn, Name=name))
    found = (await customer("ListApiDestinations"))["ApiDestinations"]
    assert [one["Name"] for one in found] == ["a", "b-1", "b-2"]
    by_prefix = (await customer("ListApiDestinations", NamePrefix="b"))["ApiDestinations"]
    assert [one["Name"] for one in by_prefix] == ["b-1", "b-2"]
    by_connection = await customer.every(
        "ListApiDestinations", "ApiDestinations", ConnectionArn=second, Limit=1
    )
    assert [one["Name"] for one in by_connection] == ["a", "b-2"]


async def test_methods_in_the_recorded_order(customer: Caller, connection: str) -> None:
    _, message = await refusal(customer, "CreateApiDestination", **members(connection, HttpMethod="TRACE"))
    assert "[HEAD, POST, PATCH, DELETE, PUT, GET, OPTIONS]" in message
