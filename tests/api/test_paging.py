"""Pages: complete and stable while the list changes, and tokens that nobody can make or carry elsewhere."""

import pytest

from tests.api.world import CUSTOMER, PATTERN, REGION, Caller, World, refusal

REFUSED = ("ValidationException", "Parameter NextToken is not valid.")


async def put_rules(customer: Caller, *names: str) -> None:
    for name in names:
        await customer("PutRule", Name=name, EventPattern=PATTERN)


def names(answer: dict) -> list[str]:
    return [rule["Name"] for rule in answer["Rules"]]


@pytest.fixture(autouse=True)
async def rules(customer: Caller) -> None:
    await put_rules(customer, "a", "b", "c", "d", "e")


async def test_each_page_has_what_was_asked_for(customer: Caller) -> None:
    first = await customer("ListRules", Limit=2)
    second = await customer("ListRules", Limit=2, NextToken=first["NextToken"])
    third = await customer("ListRules", Limit=2, NextToken=second["NextToken"])
    assert [names(page) for page in (first, second, third)] == [["a", "b"], ["c", "d"], ["e"]]
    assert "NextToken" not in third


async def test_no_token_when_the_last_page_is_full(customer: Caller) -> None:
    assert "NextToken" not in await customer("ListRules", Limit=5)
    assert "NextToken" in await customer("ListRules", Limit=4)


async def test_a_hundred_at_most(customer: Caller) -> None:
    await put_rules(customer, *(f"f{n:03}" for n in range(96)))
    first = await customer("ListRules")
    assert len(first["Rules"]) == 100
    assert names(await customer("ListRules", NextToken=first["NextToken"])) == ["f095"]


async def test_what_comes_and_goes_between_two_pages_moves_nothing_else(customer: Caller) -> None:
    first = await customer("ListRules", Limit=2)
    await customer("DeleteRule", Name="a")
    await customer("DeleteRule", Name="b")
    await customer("DeleteRule", Name="c")
    await put_rules(customer, "aa", "cc")
    rest = await customer("ListRules", NextToken=first["NextToken"])
    assert names(rest) == ["cc", "d", "e"]


async def test_the_limit_may_change(customer: Caller) -> None:
    token = (await customer("ListRules", Limit=1))["NextToken"]
    assert names(await customer("ListRules", Limit=3, NextToken=token)) == ["b", "c", "d"]


async def test_a_token_may_be_used_again(customer: Caller) -> None:
    token = (await customer("ListRules", Limit=1))["NextToken"]
    for _ in range(2):
        assert names(await customer("ListRules", Limit=1, NextToken=token)) == ["b"]


@pytest.mark.parametrize("token", ["x", "a" * 2_048, "héllo", "{}", "gAAAAA=="])
async def test_a_made_up_token(customer: Caller, token: str) -> None:
    assert await refusal(customer, "ListRules", NextToken=token) == REFUSED


async def test_a_token_that_was_tampered_with(customer: Caller) -> None:
    token = (await customer("ListRules", Limit=1))["NextToken"]
    for place in range(0, len(token), 7):
        other = "A" if token[place] != "A" else "B"
        bent = token[:place] + other + token[place + 1 :]
        assert await refusal(customer, "ListRules", NextToken=bent) == REFUSED


async def test_a_token_does_not_tell_what_it_holds(customer: Caller) -> None:
    await put_rules(customer, "0-very-secret-name")
    assert "secret" not in (await customer("ListRules", Limit=1))["NextToken"]


async def test_a_token_is_for_one_list_only(world: World, customer: Caller, other: Caller) -> None:
    await customer("CreateEventBus", Name="orders")
    token = (await customer("ListRules", Limit=1))["NextToken"]
    elsewhere = [
        (customer, "ListEventBuses", {}),
        (customer, "ListRules", {"NamePrefix": "a"}),
        (customer, "ListRules", {"EventBusName": "orders"}),
        (other, "ListRules", {}),
        (world.caller(CUSTOMER, "us-east-1"), "ListRules", {}),
    ]
    for caller, operation, members in elsewhere:
        assert await refusal(caller, operation, NextToken=token, **members) == REFUSED


async def test_the_longest_names_fit_into_a_token(world: World, customer: Caller) -> None:
    for n in range(2):
        source = "aws.partner/acme.com/" + "x" * (256 - 22) + str(n)
        await world.partner("CreatePartnerEventSource", Name=source, Account=CUSTOMER)
    answer = await customer("ListEventSources", Limit=1)
    assert len(answer["NextToken"]) <= 2_048
    found = await customer("ListEventSources", Limit=1, NextToken=answer["NextToken"])
    assert len(found["EventSources"]) == 1


async def _make(world: World, n: int) -> None:
    """One more item of every list."""
    source = f"aws.partner/acme.com/s{n}"
    await world.partner("CreatePartnerEventSource", Name=source, Account=CUSTOMER)
    customer = world.customer
    await customer("CreateEventBus", Name=f"bus{n}")
    await customer(
        "PutTargets",
        Rule="a",
        Targets=[{"Id": f"t{n}", "Arn": f"arn:aws:sqs:{REGION}:{CUSTOMER}:q"}],
    )
    auth = {"BasicAuthParameters": {"Username": "u", "Password": "p"}}
    made = await customer("CreateConnection", Name=f"c{n}", AuthorizationType="BASIC", AuthParameters=auth)
    await customer(
        "CreateApiDestination",
        Name=f"d{n}",
        ConnectionArn=made["ConnectionArn"],
        InvocationEndpoint="https://example.com/",
        HttpMethod="POST",
    )


@pytest.mark.parametrize(
    ("operation", "items", "members"),
    [
        ("ListPartnerEventSources", "PartnerEventSources", {"NamePrefix": "aws.partner/acme.com/"}),
        ("ListEventSources", "EventSources", {}),
        ("ListEventBuses", "EventBuses", {}),
        ("ListRules", "Rules", {}),
        ("ListTargetsByRule", "Targets", {"Rule": "a"}),
        ("ListConnections", "Connections", {}),
        ("ListApiDestinations", "ApiDestinations", {}),
    ],
)
async def test_every_list_gives_each_item_once(
    world: World, operation: str, items: str, members: dict
) -> None:
    for n in range(4):
        await _make(world, n)
    caller = world.partner if "Partner" in operation else world.customer
    whole = (await caller(operation, **members))[items]
    assert len(whole) >= 4
    for limit in (1, 2, 3):
        assert await caller.every(operation, items, Limit=limit, **members) == whole
