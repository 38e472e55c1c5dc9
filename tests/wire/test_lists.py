"""Every list of the model in pages: each item once, whatever comes and goes, and tokens for one list only."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from botocore.model import StringShape
from botocore.session import Session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from partnerbus.testing.bus_in_thread import BusInThread
from tests.wire.client import Client, Members
from tests.wire.requests import BASIC, GOOD, bus_arn

REFUSED = ("ValidationException", "Parameter NextToken is not valid.")
PATTERN = '{"source":["shop"]}'
MODEL = Session().get_service_model("events")
PAGED = [
    name
    for name in MODEL.operation_names
    if "NextToken" in getattr(MODEL.operation_model(name).input_shape, "members", {})
]
ITEMS = 5
CALM = settings(
    max_examples=10, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


def nothing(_: Client) -> None:
    """Nothing has to be there."""


def no_members(_: Client) -> Members:
    return {}


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A list: what the answer calls the items, how they are made and dropped, and how they are told apart.

    `others` are arguments that make it another list, one by one.
    """

    items: str
    make: Callable[[Client, str], object]
    drop: Callable[[Client, str], object] | None
    name: Callable[[Any], str] = lambda item: item["Name"]
    members: Callable[[Client], Members] = no_members
    prepare: Callable[[Client], object] = nothing
    others: Callable[[Client], list[Members]] = lambda _: [{"NamePrefix": "i"}]
    limit: str = "Limit"
    most: int = ITEMS


def queue(client: Client) -> str:
    return f"arn:aws:sqs:{client.region}:{client.account}:q"


def put_rule(client: Client, name: str = "all") -> None:
    client("PutRule", Name=name, EventPattern=PATTERN)


def put_target(client: Client, target: str, rule: str = "all") -> None:
    client("PutTargets", Rule=rule, Targets=[{"Id": target, "Arn": queue(client)}])


def rule_with_target(client: Client, name: str) -> None:
    put_rule(client, name)
    put_target(client, "t", name)


def rule_without_target(client: Client, name: str) -> None:
    client("RemoveTargets", Rule=name, Ids=["t"])


def connect(client: Client, name: str = "key") -> None:
    made = client("CreateConnection", Name=name, AuthorizationType="BASIC", AuthParameters=BASIC)
    client.connection_arn = made["ConnectionArn"]


def destination(client: Client, name: str) -> None:
    client(
        "CreateApiDestination",
        Name=name,
        ConnectionArn=client.connection_arn,
        InvocationEndpoint="https://example.com/",
        HttpMethod="POST",
    )


def prefix(client: Client) -> str:
    """What the names of an account's partner sources begin with, here."""
    return f"aws.partner/acme.com/{client.account}/{client.region}/"


def offer(client: Client, name: str) -> None:
    client("CreatePartnerEventSource", Name=prefix(client) + name, Account=client.account)


def withdraw(client: Client, name: str) -> None:
    client("DeletePartnerEventSource", Name=prefix(client) + name, Account=client.account)


def last_segment(item: Members) -> str:
    return str(item["Name"]).rpartition("/")[2]


def archive(client: Client, name: str = "kept") -> None:
    client("CreateArchive", ArchiveName=name, EventSourceArn=bus_arn(client))


def archive_arn(client: Client) -> str:
    return f"arn:aws:events:{client.region}:{client.account}:archive/kept"


def replay(client: Client, name: str) -> None:
    wanted = {"ReplayName": name, "Destination": {"Arn": bus_arn(client)}}
    client("StartReplay", **GOOD["StartReplay"](client) | wanted)


def endpoint(client: Client, name: str) -> None:
    client("CreateEndpoint", **GOOD["CreateEndpoint"](client) | {"Name": name})


def call(operation: str, member: str = "Name") -> Callable[[Client, str], object]:
    return lambda client, name: client(operation, **{member: name})


LISTS = {
    "ListApiDestinations": Listed(
        items="ApiDestinations",
        make=destination,
        drop=call("DeleteApiDestination"),
        prepare=connect,
        others=lambda client: [{"NamePrefix": "i"}, {"ConnectionArn": client.connection_arn}],
    ),
    "ListArchives": Listed(
        items="Archives",
        make=archive,
        drop=call("DeleteArchive", "ArchiveName"),
        name=lambda item: item["ArchiveName"],
        others=lambda client: [
            {"NamePrefix": "i"},
            {"EventSourceArn": bus_arn(client)},
            {"State": "ENABLED"},
        ],
    ),
    "ListConnections": Listed(
        items="Connections",
        make=connect,
        drop=call("DeleteConnection"),
        others=lambda _: [{"NamePrefix": "i"}, {"ConnectionState": "AUTHORIZED"}],
    ),
    "ListEndpoints": Listed(
        items="Endpoints",
        make=endpoint,
        drop=call("DeleteEndpoint"),
        limit="MaxResults",
        others=lambda client: [{"NamePrefix": "i"}, {"HomeRegion": client.region}],
    ),
    "ListEventBuses": Listed(items="EventBuses", make=call("CreateEventBus"), drop=call("DeleteEventBus")),
    "ListEventSources": Listed(
        items="EventSources",
        make=offer,
        drop=withdraw,
        name=last_segment,
        others=lambda client: [{"NamePrefix": prefix(client)}],
    ),
    "ListPartnerEventSourceAccounts": Listed(
        items="PartnerEventSourceAccounts",
        make=offer,
        drop=None,
        name=lambda _: "item0",
        members=lambda client: {"EventSourceName": prefix(client) + "item0"},
        most=1,  # a source is offered to one account
    ),
    "ListPartnerEventSources": Listed(
        items="PartnerEventSources",
        make=offer,
        drop=withdraw,
        name=last_segment,
        members=lambda client: {"NamePrefix": prefix(client)},
        others=lambda client: [{"NamePrefix": prefix(client) + "i"}],
    ),
    "ListReplays": Listed(
        items="Replays",
        make=replay,
        drop=None,
        name=lambda item: item["ReplayName"],
        prepare=archive,
        others=lambda client: [
            {"NamePrefix": "i"},
            {"EventSourceArn": archive_arn(client)},
            {"State": "COMPLETED"},
        ],
    ),
    "ListRuleNamesByTarget": Listed(
        items="RuleNames",
        make=rule_with_target,
        drop=rule_without_target,
        name=str,
        members=lambda client: {"TargetArn": queue(client)},
        others=lambda client: [{"TargetArn": queue(client) + "2"}, {"EventBusName": "default"}],
    ),
    "ListRules": Listed(
        items="Rules",
        make=put_rule,
        drop=call("DeleteRule"),
        others=lambda _: [{"NamePrefix": "i"}, {"EventBusName": "default"}],
    ),
    "ListTargetsByRule": Listed(
        items="Targets",
        make=put_target,
        drop=lambda client, name: client("RemoveTargets", Rule="all", Ids=[name]),
        name=lambda item: item["Id"],
        members=lambda _: {"Rule": "all"},
        prepare=put_rule,
        others=lambda _: [{"Rule": "item0"}, {"EventBusName": "default"}],
    ),
}


def item(n: int) -> str:
    return f"item{n}"


class Lister:
    """One list of one account."""

    def __init__(self, operation: str, client: Client) -> None:
        self.operation = operation
        self.listed = LISTS[operation]
        self.client = client
        self.listed.prepare(client)

    def make(self, *numbers: int) -> None:
        for number in numbers:
            self.listed.make(self.client, item(number))

    def page(self, **members: object) -> tuple[list[str], str | None]:
        """The names on a page, and the token for the next one."""
        if "Limit" in members:
            members[self.listed.limit] = members.pop("Limit")
        answer = self.client(self.operation, **(self.listed.members(self.client) | members))
        return [self.listed.name(each) for each in answer[self.listed.items]], answer.get("NextToken")

    def refusal(self, **members: object) -> tuple[str, str]:
        return self.client.refusal(self.operation, **(self.listed.members(self.client) | members))


LONG = [name for name in PAGED if LISTS[name].most > 1]
"""The lists that may have a second page."""


@pytest.fixture(params=LONG)
def operation(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def lister(operation: str, client: Client) -> Lister:
    """A list with all its items."""
    made = Lister(operation, client)
    made.make(*range(made.listed.most))
    return made


def test_every_list_of_the_model_is_here() -> None:
    assert sorted(LISTS) == sorted(PAGED)
    for name in PAGED:
        shape = MODEL.operation_model(name).output_shape
        assert shape is not None
        assert isinstance(shape.members["NextToken"], StringShape)
        assert LISTS[name].items in shape.members


@pytest.mark.parametrize("operation", PAGED, indirect=True)
def test_pages_of_every_size_make_the_whole_list(lister: Lister) -> None:
    whole, token = lister.page()
    assert token is None
    assert whole == sorted(whole)
    assert {item(n) for n in range(lister.listed.most)} <= set(whole)
    for limit in range(1, len(whole) + 1):
        pages = []
        found, token = lister.page(Limit=limit)
        while token is not None:
            assert len(found) == limit
            pages += found
            found, token = lister.page(Limit=limit, NextToken=token)
        assert pages + found == whole


def first_token(lister: Lister) -> str:
    """The token after the first item."""
    _, token = lister.page(Limit=1)
    assert token is not None
    return token


def test_a_token_tells_nothing_and_cannot_be_changed(lister: Lister) -> None:
    token = first_token(lister)
    assert "item" not in token
    assert len(token) <= 2_048
    for place in range(0, len(token), 5):
        bent = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert lister.refusal(NextToken=bent) == REFUSED
    for made_up in ("x", token[:-1], token + "A", token[::-1], "item0", "a" * 2_048):
        assert lister.refusal(NextToken=made_up) == REFUSED


def test_a_token_is_for_its_arguments_only(lister: Lister) -> None:
    token = first_token(lister)
    if lister.operation == "ListTargetsByRule":
        put_rule(lister.client, "item0")
    others = lister.listed.others(lister.client)
    shape = MODEL.operation_model(lister.operation).input_shape
    assert shape is not None
    assert {name for other in others for name in other} == set(shape.members) - {
        "NextToken",
        lister.listed.limit,
    }
    for other in others:
        assert lister.refusal(NextToken=token, **other) == REFUSED, other
    assert lister.page(NextToken=token, Limit=3)[0], "but the size of the pages may change"


@pytest.mark.parametrize("where", ["another account", "another region"])
def test_a_token_is_for_its_account_and_region_only(
    lister: Lister, where: str, bus: BusInThread, accounts: Iterator[str]
) -> None:
    token = first_token(lister)
    away = where == "another region"
    account = lister.client.account if away else next(accounts)
    with Client(bus.url, account, "eu-central-1" if away else lister.client.region) as client:
        other = Lister(lister.operation, client)
        other.make(*range(2))
        assert other.refusal(NextToken=token) == REFUSED


def test_a_token_is_for_its_list_only(lister: Lister, client: Client) -> None:
    token = first_token(lister)
    for name in set(PAGED) - {lister.operation}:
        if LISTS[name].members is no_members:
            assert client.refusal(name, NextToken=token) == REFUSED, name


STEPS = st.lists(st.integers(0, ITEMS - 1), max_size=3)
"""Items that come if they are away and go if they are there, between two pages."""


@pytest.mark.slow
@CALM
@given(
    there=st.sets(st.integers(0, ITEMS - 1)), limits=st.lists(st.integers(1, 3), min_size=1), data=st.data()
)
def test_what_stays_is_shown_once_whatever_comes_and_goes(
    operation: str,
    process_url: str,
    accounts: Iterator[str],
    there: set[int],
    limits: list[int],
    data: st.DataObject,
) -> None:
    with Client(process_url, next(accounts)) as client:
        lister = Lister(operation, client)
        now = {n for n in there if n < lister.listed.most} or {0}
        lister.make(*now)
        stayed, ever = set(now), set(now)
        shown, token = lister.page(Limit=limits[0])
        while token is not None:
            for n in data.draw(STEPS):
                if n not in now:
                    lister.make(n)
                    now.add(n)
                    ever.add(n)
                elif lister.listed.drop is not None:
                    lister.listed.drop(client, item(n))
                    now.remove(n)
                    stayed.discard(n)
            found, token = lister.page(Limit=limits[len(shown) % len(limits)], NextToken=token)
            shown += found
    assert shown == sorted(set(shown))
    mine = {name for name in shown if name.startswith("item")}
    assert {item(n) for n in stayed} <= mine <= {item(n) for n in ever}
