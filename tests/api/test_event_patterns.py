"""TestEventPattern."""

import json

import pytest

from tests.api.world import Caller, refusal

EVENT = {
    "id": "1",
    "account": "111111111111",
    "source": "shop",
    "time": "2026-01-01T00:00:00Z",
    "region": "eu-central-1",
    "resources": [],
    "detail-type": "order",
    "detail": {"n": 5},
}


async def ask(customer: Caller, pattern: object, event: object) -> bool:
    answer = await customer("TestEventPattern", EventPattern=json.dumps(pattern), Event=json.dumps(event))
    assert set(answer) == {"Result"}
    result: bool = answer["Result"]
    return result


async def test_result(customer: Caller) -> None:
    assert await ask(customer, {"source": ["shop"]}, EVENT) is True
    assert await ask(customer, {"source": ["other"]}, EVENT) is False
    assert await ask(customer, {"detail": {"n": [{"numeric": [">", 4]}]}}, EVENT) is True


@pytest.mark.parametrize("missing", ["id", "account", "source", "time", "region", "detail-type"])
async def test_an_event_that_lacks_something(customer: Caller, missing: str) -> None:
    event = {name: value for name, value in EVENT.items() if name != missing}
    assert await refusal(
        customer, "TestEventPattern", EventPattern='{"source": ["shop"]}', Event=json.dumps(event)
    ) == ("ValidationException", "Parameter Event is not valid.")


@pytest.mark.parametrize("missing", ["resources", "detail"])
async def test_an_event_may_lack(customer: Caller, missing: str) -> None:
    event = {name: value for name, value in EVENT.items() if name != missing}
    assert await ask(customer, {"source": ["shop"]}, event) is True


@pytest.mark.parametrize("event", ["", "[]", '"event"', "{", "1"])
async def test_what_is_no_event(customer: Caller, event: str) -> None:
    assert await refusal(customer, "TestEventPattern", EventPattern='{"source": ["shop"]}', Event=event) == (
        "ValidationException",
        "Parameter Event is not valid.",
    )


async def test_what_is_no_pattern(customer: Caller) -> None:
    code, message = await refusal(
        customer, "TestEventPattern", EventPattern='{"source": "shop"}', Event=json.dumps(EVENT)
    )
    assert code == "InvalidEventPatternException"
    assert message.startswith("Event pattern is not valid. Reason: ")
