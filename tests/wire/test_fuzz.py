"""Whatever is sent gets a documented answer, and a request that is refused changes nothing.

The number of examples is bounded, not the time. A longer search by hand:
`FUZZ_EXAMPLES=5000 python -m pytest tests/wire/test_fuzz.py --timeout 0 --hypothesis-show-statistics`.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from subprocess import PIPE, Popen
from typing import Any

import pytest
from botocore.session import Session
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from partnerbus.api.contract import load_contract
from partnerbus.api.v1.operations import OPERATIONS
from partnerbus.api.validation import check_output
from tests.wire.client import CONTENT_TYPE, Client, Members, Reply, built
from tests.wire.mutations import bodies, render
from tests.wire.requests import GOOD, MORE_GOOD, furnish, source

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
MODEL = Session().get_service_model("events")
COMMON_ERRORS = {
    "AccessDeniedException": 400,
    "MalformedHttpRequestException": 400,
    "OperationNotSupportedException": 400,
    "RequestEntityTooLargeException": 413,
    "SerializationException": 400,
    "ThrottlingException": 400,
    "UnknownOperationException": 404,
    "ValidationException": 400,
}
"""What every operation may answer (documented for all, modelled for few), and the status."""

RECORDED_ERRORS = {"DeleteEventBus": {"ResourceNotFoundException"}}
RECORDED_VALUES = (":secret:events!connection/",)
"""What the service answers although its model does not say so."""

SEEN = [
    ("ListEventBuses", {}),
    ("ListEventSources", {}),
    ("ListRules", {}),
    ("ListRules", {"EventBusName": "orders"}),
    ("ListTargetsByRule", {"Rule": "all"}),
    ("ListTargetsByRule", {"Rule": "all", "EventBusName": "orders"}),
    ("ListConnections", {}),
    ("DescribeConnection", {"Name": "key"}),
    ("ListApiDestinations", {}),
    ("ListArchives", {}),
    ("ListReplays", {}),
    ("ListEndpoints", {}),
]
"""Reads that together show what an account has."""

CALM = settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


OF_THE_AUTHORIZER = ("ConnectionState", "StateReason", "LastAuthorizedTime", "ApiDestinationState")
"""What changes by itself, since authorization endpoints are asked in their own time."""


def state(client: Client) -> list[str]:
    """What the account has, as it is shown."""
    return [
        json.dumps(_still(client.send(name, json.dumps(given).encode()).json))
        for name, given in SEEN
        if name in OPERATIONS
    ]


def _still(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _still(item) for name, item in value.items() if name not in OF_THE_AUTHORIZER}
    return [_still(item) for item in value] if isinstance(value, list) else value


def check(operation: str, reply: Reply) -> None:
    """An answer is one of the model, or a documented error."""
    assert len(reply.headers["x-amzn-requestid"]) == 36
    assert reply.headers["content-type"] == CONTENT_TYPE
    if reply.status != 200:
        return check_error(operation, reply)
    wrong = check_output(load_contract()[operation], reply.json)
    assert not [fault for fault in wrong if not any(value in fault for value in RECORDED_VALUES)], wrong
    return None


def check_error(operation: str, reply: Reply) -> None:
    code, message = reply.json["__type"], reply.json["message"]
    assert set(reply.json) == {"__type", "message"}
    assert reply.headers["x-amzn-errortype"] == code
    assert message.strip()
    assert "Traceback" not in message
    assert len(message) < 25_000
    modelled = {shape.name for shape in MODEL.operation_model(operation).error_shapes}
    modelled |= RECORDED_ERRORS.get(operation, set())
    if code in COMMON_ERRORS:
        assert reply.status == COMMON_ERRORS[code], (code, message)
    else:
        assert code in modelled - {"InternalException"}, (operation, code, message)
        assert reply.status == 400


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server process, another furnished account in each example."""
    data = tmp_path_factory.mktemp("fuzz") / "data"
    command = [
        sys.executable,
        "-m",
        "partnerbus",
        "serve",
        "--port",
        "0",
        "--auth",
        "none",
        "--data",
        str(data),
    ]
    with (data.parent / "log").open("wb") as log, Popen(command, stdout=PIPE, stderr=log) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[^\s,]+", process.stdout.readline().decode())
            assert found is not None
            with Client(found.group(), "") as client:
                yield client
        finally:
            process.terminate()
        assert process.wait() == 0


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
