"""What arrives at HTTP targets, and between buses of one node, through the whole server."""

import base64
import json
from typing import Any

import pytest

from partnerbus.testing.receiver import Received, Respond
from tests.main_job.story import ACME, CUSTOMER, REGION, Story, run

pytestmark = pytest.mark.slow

SOURCE = "aws.partner/acme.com/orders"
PATTERN = {"source": [SOURCE]}
DEEPEST = 1_000


def entry(detail: str) -> dict[str, Any]:
    return {"Source": SOURCE, "DetailType": "order", "Detail": detail}


@pytest.fixture
async def offered(story: Story) -> Story:
    await story.offer(ACME, SOURCE)
    return story


async def received(story: Story, count: int, path: str) -> list[Received]:
    return await story.receiver.received(count, path)


async def test_what_a_target_gets_of_an_event(offered: Story) -> None:
    webhook = await offered.webhook("inputs")
    template = {"InputPathsMap": {"who": "$.detail.who", "all": "$.detail"}}
    inputs: dict[str, dict[str, Any]] = {
        "whole": {},
        "constant": {"Input": '{"kind": "constant"}'},
        "part": {"InputPath": "$.detail.items[1]"},
        "json": {
            "InputTransformer": template | {"InputTemplate": '{"to": <who>, "say": "hi <who>", "d": <all>}'}
        },
        "text": {"InputTransformer": template | {"InputTemplate": '"<who> in <aws.events.rule-name>"'}},
    }
    for name, members in inputs.items():
        await offered.rule(SOURCE, name, PATTERN, webhook, **members)
    detail = '{"who":"Ann","items":[1,{"n":2.50}]}'
    [event_id] = await offered.put(ACME, entry(detail))
    bodies = {request.body.decode() for request in await received(offered, 5, "/inputs")}
    [whole] = [body for body in bodies if event_id in body]
    assert json.loads(whole)["detail"] == json.loads(detail)
    assert bodies - {whole} == {
        '{"kind": "constant"}',
        '{"n":2.50}',
        f'{{"to": "Ann", "say": "hi Ann", "d": {detail}}}',
        '"Ann in text"',
    }


async def test_the_request_is_made_of_destination_target_and_connection(offered: Story) -> None:
    connection: dict[str, Any] = {
        "AuthorizationType": "BASIC",
        "AuthParameters": {
            "BasicAuthParameters": {"Username": "ann", "Password": "s3cret"},
            "InvocationHttpParameters": {
                "HeaderParameters": [{"Key": "X-Of", "Value": "connection", "IsValueSecret": True}],
                "QueryStringParameters": [{"Key": "q", "Value": "a b&c"}],
                "BodyParameters": [{"Key": "token", "Value": "t-1", "IsValueSecret": True}],
            },
        },
    }
    webhook = await offered.webhook("parts", "/*/of/*", connection)
    parameters: dict[str, Any] = {
        "PathParameterValues": ["$.detail.who", "fixed"],
        "HeaderParameters": {"X-Of": "target", "X-Who": "$.detail.who"},
        "QueryStringParameters": {"who": "$.detail.who", "q": "target"},
    }
    await offered.rule(SOURCE, "parts", PATTERN, webhook, HttpParameters=parameters, InputPath="$.detail")
    await offered.put(ACME, entry('{"who":"../x?y&z=1"}'))
    [request] = await offered.receiver.received(1)
    assert request.target.partition("?")[0] == "/parts/..%2Fx%3Fy%26z%3D1/of/fixed"
    assert dict(request.query) == {"who": "../x?y&z=1", "q": "a b&c"}
    assert (request.headers["x-of"], request.headers["x-who"]) == ("connection", "../x?y&z=1")
    assert request.headers["authorization"] == "Basic " + base64.b64encode(b"ann:s3cret").decode()
    assert json.loads(request.body) == {"who": "../x?y&z=1", "token": "t-1"}


async def test_a_header_cannot_be_broken_by_an_event(offered: Story) -> None:
    parameters: dict[str, Any] = {"HeaderParameters": {"X-Who": "$.detail.who"}}
    await offered.rule(SOURCE, "r", PATTERN, await offered.webhook("hook"), HttpParameters=parameters)
    await offered.put(ACME, entry('{"who":"x\\r\\nX-Admin: yes"}'))
    [letter] = await offered.dead_letters(1)
    assert (letter["error"], offered.receiver.requests) == ("INVALID_PARAMETER", [])


async def test_a_redirect_is_a_permanent_failure_and_no_secret_is_shown(offered: Story) -> None:
    elsewhere = {"Location": f"{offered.receiver.url}/elsewhere"}
    offered.receiver.script("/hook", Respond(status=307, headers=elsewhere, body=b"you sent key-of-hook"))
    await offered.rule(SOURCE, "r", PATTERN, await offered.webhook("hook"))
    await offered.put(ACME, entry("{}"))
    [letter] = await offered.dead_letters(1)
    assert (letter["error"], letter["attempts_made"]) == ("ERROR_FROM_TARGET", 1)
    assert [request.path for request in offered.receiver.requests] == ["/hook"]
    shown = await offered.command("dead-letters", "show", letter["id"], "--json")
    assert shown["attempts"][0]["reply"]["body_head"] == "you sent ***"


async def test_the_deepest_detail_is_accepted_matched_and_delivered(offered: Story) -> None:
    deep = '{"a":' + "[" * (DEEPEST - 1) + '"x"' + "]" * (DEEPEST - 1) + "}"
    webhook = await offered.webhook("deep")
    await offered.rule(SOURCE, "deep", PATTERN | {"detail": {"a": ["x"]}}, webhook)
    await offered.put(ACME, entry(deep))
    [request] = await received(offered, 1, "/deep")
    assert request.body.endswith(b'"detail":' + deep.encode() + b"}")


async def test_buses_forward_once_and_keep_the_id(offered: Story) -> None:
    customer = offered.client(CUSTOMER)
    for name in ("second", "third"):
        await run(customer.create_event_bus, Name=name)
    bus = f"arn:aws:events:{REGION}:{CUSTOMER}:event-bus/"
    await offered.rule(SOURCE, "on", PATTERN, bus + "second")
    await offered.rule("second", "seen", PATTERN, await offered.webhook("seen"))
    await offered.rule("second", "further", PATTERN, bus + "third")
    await offered.rule("third", "never", PATTERN, await offered.webhook("never"))
    [event_id] = await offered.put(ACME, entry('{"n":1}'))
    [event] = await offered.arrived("seen", 1)
    assert (event["id"], event["source"], event["account"]) == (event_id, SOURCE, CUSTOMER)
    [letter] = await offered.dead_letters(1)
    assert (letter["rule"], letter["error"]) == ("further", "THIRD_ACCOUNT_HOP_DETECTED")
    assert (letter["event_id"], letter["attempts_made"]) == (event_id, 1)
    assert [request.path for request in offered.receiver.requests] == ["/seen"]
