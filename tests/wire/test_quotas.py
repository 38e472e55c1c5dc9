"""Each quota: enforced by what makes more of it, changed by an operator, never passed by many at once."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from partnerbus.model.quotas import Quotas, table
from partnerbus.node.quotas_page import quotas_page
from tests.clients.proofs import PAGE
from tests.wire.client import Client, Desk, Members, Refused
from tests.wire.requests import BASIC, GOOD, bus_arn

LIMIT = ("LimitExceededException", "The requested resource exceeds the maximum number allowed.")
PATTERN = '{"source":["shop"]}'

Call = tuple[str, Members]


def rule(client: Client, n: int) -> Call:
    return "PutRule", {"Name": f"r{n}", "EventPattern": PATTERN}


def wildcard_rule(client: Client, n: int) -> Call:
    return "PutRule", {"Name": f"r{n}", "EventPattern": '{"source":[{"wildcard":"a*"}]}'}


def target(client: Client, n: int) -> Call:
    arn = f"arn:aws:sqs:{client.region}:{client.account}:q"
    return "PutTargets", {"Rule": "all", "Targets": [{"Id": f"t{n}", "Arn": arn}]}


def connection(client: Client, n: int) -> Call:
    members = {"Name": f"c{n}", "AuthorizationType": "BASIC", "AuthParameters": BASIC}
    return "CreateConnection", members


def destination(client: Client, n: int, rate: int | None = None) -> Call:
    wanted = {"Name": f"d{n}", "InvocationRateLimitPerSecond": rate}
    return "CreateApiDestination", GOOD["CreateApiDestination"](client) | wanted


def endpoint(client: Client, n: int) -> Call:
    return "CreateEndpoint", GOOD["CreateEndpoint"](client) | {"Name": f"e{n}"}


def archive(client: Client, n: int) -> Call:
    return "CreateArchive", {"ArchiveName": f"a{n}", "EventSourceArn": bus_arn(client)}


MAKERS: Mapping[str, Callable[[Client, int], Call]] = {
    "event-buses": lambda _, n: ("CreateEventBus", {"Name": f"b{n}"}),
    "rules-per-bus": rule,
    "wildcard-rules-per-bus": wildcard_rule,
    "targets-per-rule": target,
    "connections": connection,
    "api-destinations": destination,
    "endpoints": endpoint,
    "archives": archive,
}
"""For each quota that counts things, the call that makes one more."""

SIZES: Mapping[str, Callable[[Client, int], Call]] = {
    "pattern-characters": lambda _, n: (
        "PutRule",
        {"Name": "r", "EventPattern": json.dumps({"source": ["x" * (n - 16)]})},
    ),
    "policy-characters": lambda client, n: ("PutPermission", {"Policy": policy(client, n)}),
    "api-destination-rate": lambda client, n: destination(client, n, n),
}
"""For each quota of a size, the call that needs so much."""

ELSEWHERE = {"active-replays", *(name for name in table() if name.endswith(("-rate", "-burst")))} - set(SIZES)
"""What takes events and time to use up: tests of replays and of throttling do."""


def policy(client: Client, characters: int) -> str:
    """A bus policy of so many characters."""
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "events:PutEvents",
        "Resource": bus_arn(client),
    }
    short = json.dumps({"Statement": [statement | {"Sid": ""}]})
    return json.dumps({"Statement": [statement | {"Sid": "s" * (characters - len(short))}]})


@pytest.fixture(autouse=True)
def account(client: Client, desk: Desk) -> None:
    """An account, with what the calls need."""
    desk("POST", "/accounts", {"id": client.account})
    client("PutRule", Name="all", EventBusName="default", EventPattern=PATTERN)
    made = client("CreateConnection", Name="key", AuthorizationType="BASIC", AuthParameters=BASIC)
    client.connection_arn = made["ConnectionArn"]


def change(desk: Desk, client: Client, name: str, value: int) -> None:
    desk("PUT", f"/accounts/{client.account}/quotas/{name}", {"value": value})


def room(name: str) -> int:
    """A quota that leaves room for two: the fixture has made one rule and one connection."""
    return 3 if name in ("rules-per-bus", "connections") else 2


def test_each_quota_of_the_table_has_its_test() -> None:
    assert {*MAKERS, *SIZES, *ELSEWHERE} == set(table())


@pytest.mark.parametrize("name", MAKERS)
def test_one_more_than_the_quota_is_refused(client: Client, desk: Desk, name: str) -> None:
    calls = [MAKERS[name](client, n) for n in range(4)]
    change(desk, client, name, room(name))
    for operation, members in calls[:2]:
        client(operation, **members)
    operation, members = calls[2]
    assert client.refusal(operation, **members) == LIMIT
    change(desk, client, name, room(name) + 1)
    client(operation, **members)
    desk("DELETE", f"/accounts/{client.account}/quotas/{name}")
    operation, members = calls[3]
    client(operation, **members)


@pytest.mark.parametrize("name", MAKERS)
def test_callers_at_once_do_not_pass_it_together(client: Client, desk: Desk, name: str) -> None:
    calls = [MAKERS[name](client, n) for n in range(12)]
    change(desk, client, name, room(name))

    def make(call: Call) -> str:
        with Client(client.url, client.account) as mine:
            try:
                mine(call[0], **call[1])
            except Refused as refused:
                return refused.code
            return "made"

    with ThreadPoolExecutor(len(calls)) as pool:
        ends = list(pool.map(make, calls))
    assert ends.count("made") == 2, ends
    assert set(ends) <= {"made", "LimitExceededException", "ConcurrentModificationException"}


@pytest.mark.parametrize("name", SIZES)
def test_a_size_up_to_the_quota(client: Client, desk: Desk, name: str) -> None:
    code = "PolicyLengthExceededException" if name == "policy-characters" else "LimitExceededException"
    for most in (table()[name].default, 250):
        change(desk, client, name, most)
        operation, members = SIZES[name](client, most)
        client(operation, **members)
        operation, members = SIZES[name](client, most + 1)
        assert client.refusal(operation, **members)[0] == code


def test_a_rate_by_default_is_never_above_the_quota(client: Client, desk: Desk) -> None:
    change(desk, client, "api-destination-rate", 7)
    operation, members = destination(client, 1)
    client(operation, **members)
    found = client("DescribeApiDestination", Name="d1")
    assert found["InvocationRateLimitPerSecond"] == 7
    assert client.refusal("UpdateApiDestination", Name="d1", InvocationRateLimitPerSecond=8) == LIMIT
    client("UpdateApiDestination", Name="d1", InvocationRateLimitPerSecond=6)


def test_a_full_quota_does_not_hide_that_the_name_is_taken(client: Client, desk: Desk) -> None:
    change(desk, client, "connections", 1)
    operation, members = connection(client, 0)
    code, _ = client.refusal(operation, **{**members, "Name": "key"})
    assert code == "ResourceAlreadyExistsException"


def test_what_is_above_a_lower_quota_stays_and_may_be_changed(client: Client, desk: Desk) -> None:
    change(desk, client, "rules-per-bus", 0)
    client("PutRule", Name="all", EventPattern=PATTERN, Description="changed")
    assert client("DescribeRule", Name="all")["Description"] == "changed"
    assert client.refusal("PutRule", Name="more", EventPattern=PATTERN) == LIMIT


def test_a_quota_is_one_account_s(client: Client, desk: Desk) -> None:
    change(desk, client, "event-buses", 0)
    with Client(client.url, "999999999999") as other:
        other("CreateEventBus", Name="mine")
    assert client.refusal("CreateEventBus", Name="mine") == LIMIT


def test_the_page_is_made_from_the_table() -> None:
    assert (PAGE.parent / "quotas.md").read_text(encoding="utf-8") == quotas_page()
    assert {row.name for row in table().values()} == {
        name.replace("_", "-") for name in Quotas.__struct_fields__
    }
