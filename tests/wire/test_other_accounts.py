"""Whoever names another account's resources, or another region's, neither changes them nor sees them."""

from collections.abc import Iterator

import pytest

from partnerbus.testing.bus_in_thread import BusInThread
from tests.wire.answers import check, state
from tests.wire.client import REGION, Client, Reply
from tests.wire.mutations import render
from tests.wire.requests import GOOD, furnish

pytestmark = pytest.mark.slow

ELSEWHERE = "eu-west-1"

DENIED, NOT_FOUND, INVALID = "AccessDeniedException", "ResourceNotFoundException", "ValidationException"
TAKEN = ""

OTHER_ACCOUNT = {
    "ActivateEventSource": NOT_FOUND,
    "CreateApiDestination": NOT_FOUND,
    "CreateArchive": DENIED,
    "CreateEndpoint": INVALID,
    "CreateEventBus": TAKEN,  # a dead-letter queue may be another account's
    "DeactivateEventSource": NOT_FOUND,
    "DescribeEventBus": DENIED,
    "DescribeEventSource": NOT_FOUND,
    "ListRuleNamesByTarget": TAKEN,  # a target may be another account's; no rule here has it
    "ListTagsForResource": DENIED,
    "PutEvents": DENIED,
    "PutPermission": TAKEN,  # the policy stays with the caller's bus, whatever resource it speaks of
    "PutTargets": INVALID,
    "StartReplay": NOT_FOUND,
    "TagResource": DENIED,
    "UntagResource": DENIED,
    "UpdateApiDestination": NOT_FOUND,
    "UpdateEndpoint": INVALID,
    "UpdateEventBus": TAKEN,
}
"""What is answered, for each good request that names the account anywhere. Partners' own operations are not
here: without authentication everybody is every partner, and their sources are for other accounts."""

OTHER_REGION = {
    "CreateApiDestination": NOT_FOUND,
    "CreateArchive": NOT_FOUND,
    "CreateEndpoint": INVALID,
    "CreateEventBus": TAKEN,
    "DescribeEndpoint": NOT_FOUND,
    "DescribeEventBus": NOT_FOUND,
    "ListRuleNamesByTarget": TAKEN,
    "ListTagsForResource": NOT_FOUND,
    "PutEvents": "InvalidArgument",
    "PutPermission": TAKEN,
    "PutTargets": INVALID,
    "StartReplay": NOT_FOUND,
    "TagResource": NOT_FOUND,
    "TestEventPattern": TAKEN,  # an event may come from anywhere
    "UntagResource": NOT_FOUND,
    "UpdateApiDestination": NOT_FOUND,
    "UpdateEndpoint": INVALID,
    "UpdateEventBus": TAKEN,
}
"""The same for those that name the region."""


@pytest.fixture
def pair(bus: BusInThread, accounts: Iterator[str]) -> Iterator[tuple[Client, Client]]:
    """Two accounts that have the same things."""
    with Client(bus.url, next(accounts)) as mine, Client(bus.url, next(accounts)) as other:
        furnish(mine)
        furnish(other)
        yield mine, other


def outcome(reply: Reply) -> str:
    """The code of the refusal, of the request or of its entries; empty if there is none."""
    if reply.status != 200:
        return str(reply.json["__type"])
    entries = reply.json.get("FailedEntries") or reply.json.get("Entries") or []
    codes = {entry["ErrorCode"] for entry in entries if "ErrorCode" in entry}
    return codes.pop() if len(codes) == 1 else TAKEN


def body(client: Client, operation: str) -> str:
    return render(GOOD[operation](client))


def test_the_tables_have_every_request_that_names_an_account_or_a_region(client: Client) -> None:
    furnish(client)
    partners = {name for name in GOOD if "Partner" in name}
    assert set(OTHER_ACCOUNT) == {name for name in GOOD if client.account in body(client, name)} - partners
    assert set(OTHER_REGION) == {name for name in GOOD if REGION in body(client, name)}


@pytest.mark.parametrize("operation", OTHER_ACCOUNT)
def test_arns_of_another_account(pair: tuple[Client, Client], operation: str) -> None:
    mine, other = pair
    before = state(other)
    reply = mine.send(operation, body(mine, operation).replace(mine.account, other.account).encode())
    check(operation, reply)
    assert outcome(reply) == OTHER_ACCOUNT[operation]
    assert state(other) == before


@pytest.mark.parametrize("operation", OTHER_REGION)
def test_arns_of_another_region(pair: tuple[Client, Client], operation: str) -> None:
    mine, other = pair
    sent = body(mine, operation).replace(REGION, ELSEWHERE).encode()
    mine.region = ELSEWHERE
    before = state(mine), state(other)
    mine.region = REGION
    reply = mine.send(operation, sent)
    check(operation, reply)
    assert outcome(reply) == OTHER_REGION[operation]
    mine.region = ELSEWHERE
    assert (state(mine), state(other)) == before
