"""Whatever is sent gets a documented answer, and a request that is refused changes nothing.

The number of examples is bounded, not the time. A longer search by hand:
`FUZZ_EXAMPLES=5000 python -m pytest tests/wire/test_fuzz.py --timeout 0 --hypothesis-show-statistics`.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from partnerbus.api.v1.operations import OPERATIONS
from tests.wire.answers import check, state
from tests.wire.client import Client, Members, built
from tests.wire.mutations import bodies, render
from tests.wire.requests import GOOD, MORE_GOOD, furnish, source

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
CALM = settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@pytest.fixture(scope="module")
def fresh(process_url: str) -> Iterator[Client]:
    """A client that is another furnished account in each example."""
    with Client(process_url, "") as client:
        yield client


def move_in(client: Client, accounts: Iterator[str]) -> None:
    client.account = next(accounts)
    furnish(client)


def good(operation: str, client: Client, second: bool) -> Members:
    makers = MORE_GOOD if second and operation in MORE_GOOD else GOOD
    return makers[operation](client)


@pytest.mark.parametrize(
    ("operation", "second"), [*((name, False) for name in GOOD), *((name, True) for name in MORE_GOOD)]
)
def test_the_good_requests_are_good(
    fresh: Client, accounts: Iterator[str], operation: str, second: bool
) -> None:
    built(operation)
    move_in(fresh, accounts)
    if operation == "ActivateEventSource":
        fresh("DeactivateEventSource", Name=source(fresh))
    reply = fresh.send(operation, render(good(operation, fresh, second)).encode())
    check(operation, reply)
    assert reply.status == 200, reply.body
    assert not reply.json.get("FailedEntryCount"), reply.body


@CALM
@given(data=st.data())
def test_nearly_good_requests(fresh: Client, accounts: Iterator[str], data: st.DataObject) -> None:
    move_in(fresh, accounts)
    before = state(fresh)
    for _ in range(data.draw(st.integers(1, 6))):
        operation = data.draw(st.sampled_from(sorted(GOOD.keys() & OPERATIONS.keys())))
        body = data.draw(bodies(good(operation, fresh, data.draw(st.booleans()))))
        reply = fresh.send(operation, body)
        check(operation, reply)
        event(reply.headers.get("x-amzn-errortype", "taken"))
        after = state(fresh)
        if reply.status != 200:
            assert after == before, "a request that was refused changed something"
        before = after
