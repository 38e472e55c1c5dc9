"""Whatever is sent gets a documented answer, and a request that is refused changes nothing.

The number of examples (of each operation) is bounded, not the time. A longer search by hand:
`FUZZ_EXAMPLES=500 python -m pytest tests/wire/test_fuzz.py --timeout 0 --hypothesis-show-statistics`.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.wire.answers import check, state
from tests.wire.client import Client, Members, Reply
from tests.wire.mutations import bodies, render
from tests.wire.requests import GOOD, MORE_GOOD, furnish, source

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "20"))
CALM = settings(
    max_examples=EXAMPLES,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
        HealthCheck.function_scoped_fixture,
    ],
)


class Tenant:
    """A furnished account, and another one as soon as something in it was changed."""

    def __init__(self, client: Client, accounts: Iterator[str]) -> None:
        self.client = client
        self._accounts = accounts
        self._state: list[str] = []
        self.move()

    def move(self) -> None:
        self.client.account = next(self._accounts)
        furnish(self.client)
        self._state = state(self.client)

    def look_after(self, reply: Reply) -> None:
        """A request that was refused has changed nothing."""
        if state(self.client) != self._state:
            assert reply.status == 200, "a request that was refused changed something"
            self.move()


@pytest.fixture
def tenant(process_url: str, accounts: Iterator[str]) -> Iterator[Tenant]:
    with Client(process_url, "") as client:
        yield Tenant(client, accounts)


def good(operation: str, client: Client, second: bool) -> Members:
    makers = MORE_GOOD if second and operation in MORE_GOOD else GOOD
    return makers[operation](client)


@pytest.mark.parametrize(
    ("operation", "second"), [*((name, False) for name in GOOD), *((name, True) for name in MORE_GOOD)]
)
def test_the_good_requests_are_good(tenant: Tenant, operation: str, second: bool) -> None:
    client = tenant.client
    if operation == "ActivateEventSource":
        client("DeactivateEventSource", Name=source(client))
    if operation in ("CancelReplay", "DescribeReplay"):
        client("StartReplay", **GOOD["StartReplay"](client))
    reply = client.send(operation, render(good(operation, client, second)).encode())
    check(operation, reply)
    if operation == "CancelReplay" and reply.status != 200:
        assert reply.json["__type"] == "IllegalStatusException", "it had ended already"
        return
    assert reply.status == 200, reply.body
    assert not reply.json.get("FailedEntryCount"), reply.body


@pytest.mark.parametrize("operation", GOOD)
@CALM
@given(data=st.data())
def test_nearly_good_requests(tenant: Tenant, operation: str, data: st.DataObject) -> None:
    second = operation in MORE_GOOD and data.draw(st.booleans())
    body = data.draw(bodies(good(operation, tenant.client, second)))
    reply = tenant.client.send(operation, body)
    check(operation, reply)
    event(reply.headers.get("x-amzn-errortype", "taken"))
    tenant.look_after(reply)
