"""API destinations against a real receiver: what is sent."""

import base64
import json

import pytest

from partnerbus.model.reply import ErrorCode
from partnerbus.model.resources import (
    AuthorizationType,
    HttpParameters,
    ParameterPlace,
)
from partnerbus.targets.http import MORE_STARS
from partnerbus.targets.http_request import STRIPPED_HEADERS
from tests.targets.sending import Sending, parameter
from tests.targets.things import (
    SECRET,
    a_connection,
    a_rule,
    a_target,
)

HEADER, QUERY, BODY = ParameterPlace.HEADER, ParameterPlace.QUERY, ParameterPlace.BODY


# -- what is sent ------------------------------------------------------------------------------------------


async def test_the_plain_request(sending: Sending):
    reply = await sending.send()
    assert reply.accepted
    assert (sending.last.method, sending.last.target, sending.last.body) == ("POST", "/hook", b'{"n":1.0}')
    assert sending.last.headers == {
        "host": f"127.0.0.1:{sending.receiver.port}",
        "content-type": "application/json; charset=utf-8",
        "user-agent": "Amazon/EventBridge/ApiDestinations",
        "range": "bytes=0-1048575",
        "accept-encoding": "gzip,deflate",
        "content-length": "9",
        "x-api-key": "key",
    }


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"])
async def test_methods(sending: Sending, method: str):
    assert (await sending.send(method=method)).accepted
    assert sending.last.method == method


async def test_basic_authorization(sending: Sending):
    await sending.send(connection=a_connection(AuthorizationType.BASIC, "usér"))
    scheme, _, token = sending.last.headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(token).decode()) == ("Basic", f"usér:{SECRET}")


async def test_path_parameters_are_filled_from_left_to_right(sending: Sending):
    http = HttpParameters(path_values=("a/b ?#%é", "$.detail.id", "x"))
    await sending.send(path="/v1/*/orders/*/p-*", http=http, detail={"id": 7.50})
    assert sending.last.target == "/v1/a%2Fb%20%3F%23%25%C3%A9/orders/7.5/p-x"


@pytest.mark.parametrize("value", ["..", ".", "", "$.detail.missing", "$.detail.dots", "$.detail.empty"])
async def test_a_path_value_cannot_name_another_path(sending: Sending, value: str):
    http = HttpParameters(path_values=(value,))
    reply = await sending.send(
        path="/orders/*", method="DELETE", http=http, detail={"dots": "..", "empty": ""}
    )
    assert (reply.error, reply.retryable) == (ErrorCode.INVALID_PARAMETER, False)
    assert sending.receiver.requests == []


async def test_too_few_path_values(sending: Sending):
    """Refused when it is put; it may still happen once the destination has got another URL."""
    http = HttpParameters(path_values=("x",))
    invoker, arn = sending.invoker("/*/*", "POST", a_connection())
    assert invoker.refusal(a_target(arn, http), a_rule()) == MORE_STARS
    reply = await sending.send(path="/*/*", http=http)
    assert (reply.error, reply.retryable) == (ErrorCode.INVALID_PARAMETER, False)


@pytest.mark.parametrize("path", ["", "/orders", "/orders/*", "/orders?all=*", "?all=*/*"])
async def test_enough_path_values(sending: Sending, path: str):
    invoker, arn = sending.invoker(path, "POST", a_connection())
    assert invoker.refusal(a_target(arn, HttpParameters(path_values=("x",))), a_rule()) is None


async def test_the_connection_wins(sending: Sending):
    connection = a_connection(
        secret="key",
        parameters=(
            parameter(HEADER, "x-both", "connection"),
            parameter(HEADER, "X-Secret", "hidden", secret=True),
            parameter(QUERY, "both", "connection"),
            parameter(QUERY, "own", "connection wins"),
            parameter(BODY, "n", "connection"),
            parameter(BODY, "added", 'q"uote'),
        ),
    )
    http = HttpParameters(
        headers={
            "X-Both": "target",
            "X-Target": "$.detail.h",
            "Content-Type": "text/plain",
            "X-Api-Key": "no",
        },
        query={"both": "target", "t": "a b&c=d"},
    )
    await sending.send(path="/q?own=1&keep=%2B", http=http, connection=connection, detail={"h": "resolved"})
    headers = sending.last.headers
    assert (headers["x-both"], headers["x-target"], headers["x-secret"]) == (
        "connection",
        "resolved",
        "hidden",
    )
    assert (headers["content-type"], headers["x-api-key"]) == ("text/plain", "key")
    assert sorted(sending.last.query) == [
        ("both", "connection"),
        ("keep", "+"),
        ("own", "connection wins"),
        ("t", "a b&c=d"),
    ]
    assert json.loads(sending.last.body) == {"n": "connection", "added": 'q"uote'}


async def test_body_parameters_touch_nothing_else(sending: Sending):
    connection = a_connection(secret="key", parameters=(parameter(BODY, "added", "1"),))
    await sending.send(connection=connection, payload=b'{"n": 1.10e5}')
    assert sending.last.body == b'{"n":1.10e5,"added":"1"}'
    await sending.send(connection=connection, payload=b'"text"')
    assert sending.last.body == b'"text"'


async def test_headers_that_nobody_may_set_are_left_out(sending: Sending):
    http = HttpParameters(headers={name.title(): "smuggled" for name in STRIPPED_HEADERS})
    assert (await sending.send(http=http)).accepted
    assert "smuggled" not in sending.last.headers.values()


@pytest.mark.parametrize(
    ("http", "detail"),
    [
        (HttpParameters(headers={"X-A": "$.detail.v"}), {"v": "a\r\nX-Injected: 1"}),
        (HttpParameters(headers={"X-A": "$.detail.v"}), {"v": "a\nb"}),
        (HttpParameters(headers={"X-A": "$.detail.v"}), {"v": "a\0b"}),
        (HttpParameters(headers={"X-A": "$.detail.v"}), {"v": "a\x1bb"}),
        (HttpParameters(headers={"X-A": "$.detail.missing"}), {}),
        (HttpParameters(headers={"X A": "1"}), {}),
        (HttpParameters(headers={"X-A\r\nX-B": "1"}), {}),
        (HttpParameters(query={"q": "$.detail.missing"}), {}),
    ],
)
async def test_requests_that_cannot_be_made(sending: Sending, http, detail):
    reply = await sending.send(http=http, detail=detail)
    assert (reply.error, reply.retryable) == (ErrorCode.INVALID_PARAMETER, False)
    assert sending.receiver.requests == []


async def test_hostile_values_stay_inside_the_query(sending: Sending):
    await sending.send(
        http=HttpParameters(query={"q": "$.detail.v"}), detail={"v": "x&admin=1\r\nHost: evil#"}
    )
    assert sending.last.query == (("q", "x&admin=1\r\nHost: evil#"),)


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding"])
async def test_an_api_key_cannot_be_a_header_of_the_connection_itself(sending: Sending, name: str):
    reply = await sending.send(connection=a_connection(user=name, secret="1"))
    assert (reply.error, sending.receiver.requests) == (ErrorCode.INVALID_PARAMETER, [])
