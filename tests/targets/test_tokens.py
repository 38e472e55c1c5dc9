"""OAuth connections against a real authorization endpoint."""

import asyncio
import base64
import json
from datetime import timedelta
from urllib.parse import parse_qsl

import msgspec
import pytest

from partnerbus.model.reply import ErrorCode
from partnerbus.model.resources import Connection, ParameterPlace
from partnerbus.targets.addresses import AddressGuard
from partnerbus.targets.outbound import CALL_TIMEOUT
from partnerbus.targets.outbound_client import HttpOutbound
from partnerbus.targets.tokens import LONGEST_TOKEN, REFRESH_BEFORE, TokenFailure, Tokens
from partnerbus.testing.receiver import Drip, HalfClose, Hang, Huge, Raw, Received, Reset, Respond
from tests.targets.sending import Sending, parameter
from tests.targets.things import SECRET, SECRETS, an_oauth_connection

HEADER, QUERY, BODY = ParameterPlace.HEADER, ParameterPlace.QUERY, ParameterPlace.BODY
UNUSABLE = "No token: the authorization endpoint's answer is not JSON with a usable access_token."


def grant(token: str = "token-1", **members: object) -> Respond:
    return Respond(body=json.dumps({"access_token": token, "token_type": "Bearer", **members}).encode())


def oauth(sending: Sending, **members) -> Connection:
    return an_oauth_connection(f"{sending.receiver.url}/token", **members)


def exchanges(sending: Sending) -> list[Received]:
    return [request for request in sending.receiver.requests if request.path == "/token"]


async def failure(sending: Sending, connection: Connection | None = None) -> TokenFailure:
    found = await sending.tokens.get(connection or oauth(sending))
    assert isinstance(found, TokenFailure), found
    return found


# -- what is sent ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_the_form_that_is_exchanged_for_a_token(sending: Sending, method: str):
    sending.receiver.script("/token", grant(expires_in=3600))
    reply = await sending.send(connection=oauth(sending, method=method))
    asked, sent = sending.receiver.requests
    assert reply.accepted
    assert (asked.method, asked.target) == (method, "/token")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert dict(parse_qsl(asked.body.decode())) == {
        "grant_type": "client_credentials",
        "client_id": "client-1",
        "client_secret": SECRET,
    }
    assert sent.headers["authorization"] == "Bearer token-1"


async def test_with_get_everything_goes_into_the_query(sending: Sending):
    sending.receiver.script("/token", grant())
    url = f"{sending.receiver.url}/token?tenant=1"
    connection = an_oauth_connection(url, "GET", (parameter(BODY, "scope", "a b"),))
    assert (await sending.send(connection=connection)).accepted
    [asked] = exchanges(sending)
    assert (asked.method, asked.body) == ("GET", b"")
    assert dict(asked.query) == {
        "tenant": "1",
        "grant_type": "client_credentials",
        "client_id": "client-1",
        "client_secret": SECRET,
        "scope": "a b",
    }


async def test_parameters_go_to_their_places_and_win(sending: Sending):
    sending.receiver.script("/token", grant())
    parameters = (
        parameter(HEADER, "X-Tenant", "t-1"),
        parameter(HEADER, "Host", "elsewhere"),
        parameter(QUERY, "audience", "a/b"),
        parameter(BODY, "scope", "hidden-scope", secret=True),
        parameter(BODY, "grant_type", "password"),
    )
    assert (await sending.send(connection=oauth(sending, parameters=parameters))).accepted
    [asked] = exchanges(sending)
    assert (asked.headers["x-tenant"], asked.query) == ("t-1", (("audience", "a/b"),))
    assert asked.headers["host"] == f"127.0.0.1:{sending.receiver.port}"
    form = dict(parse_qsl(asked.body.decode()))
    assert (form["scope"], form["grant_type"]) == ("hidden-scope", "password")


async def test_a_content_type_of_json_makes_the_form_json(sending: Sending):
    sending.receiver.script("/token", grant())
    parameters = (parameter(HEADER, "content-type", "application/json; charset=utf-8"),)
    assert (await sending.send(connection=oauth(sending, parameters=parameters))).accepted
    [asked] = exchanges(sending)
    assert json.loads(asked.body)["client_secret"] == SECRET


async def test_a_header_that_breaks_its_line_is_not_sent(sending: Sending):
    parameters = (parameter(HEADER, "X-A", "1\r\nX-B: 2", secret=True),)
    found = await failure(sending, oauth(sending, parameters=parameters))
    assert found.message == "No token: The value of header X-A holds a control character."
    assert sending.receiver.requests == []


# -- how long a token lives --------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [3600, "3600", 3600.5])
async def test_a_token_is_used_until_a_minute_before_its_end(sending: Sending, seconds: object):
    sending.receiver.script("/token", grant("token-1", expires_in=seconds), grant("token-2"))
    connection = oauth(sending)
    assert await sending.tokens.get(connection) == "token-1"
    await sending.clock.advance(timedelta(hours=1) - REFRESH_BEFORE - timedelta(seconds=1))
    assert await sending.tokens.get(connection) == "token-1"
    await sending.clock.advance(timedelta(seconds=2))
    assert await sending.tokens.get(connection) == "token-2"
    assert len(exchanges(sending)) == 2


@pytest.mark.parametrize("seconds", [60, 0, -1, "soon"])
async def test_a_token_that_ends_at_once_serves_only_those_who_waited(sending: Sending, seconds: object):
    sending.receiver.script("/token", grant("token-1", expires_in=seconds), grant("token-2"))
    connection = oauth(sending)
    assert await sending.tokens.get(connection) == "token-1"
    assert await sending.tokens.get(connection) == "token-2"


@pytest.mark.parametrize("members", [{}, {"expires_in": None}])
async def test_a_token_that_does_not_say_lives_an_hour(sending: Sending, members: dict):
    sending.receiver.script("/token", grant("token-1", **members), grant("token-2"))
    connection = oauth(sending)
    await sending.tokens.get(connection)
    await sending.clock.advance(timedelta(minutes=58))
    assert await sending.tokens.get(connection) == "token-1"
    await sending.clock.advance(timedelta(minutes=2))
    assert await sending.tokens.get(connection) == "token-2"


@pytest.mark.parametrize("seconds", [1e300, 10**30])
async def test_a_token_may_say_that_it_lives_for_ever(sending: Sending, seconds: float):
    sending.receiver.script("/token", grant(expires_in=seconds))
    assert await sending.tokens.get(oauth(sending)) == "token-1"


@pytest.mark.parametrize("status", [401, 407])
async def test_a_token_that_a_target_refuses_is_not_used_again(sending: Sending, status: int):
    sending.receiver.script("/token", grant("token-1"), grant("token-2"))
    sending.receiver.script("/hook", Respond(status=status), Respond())
    connection = oauth(sending)
    first = await sending.send(connection=connection)
    assert (first.status, first.retryable) == (status, True)
    assert (await sending.send(connection=connection)).accepted
    assert sending.last.headers["authorization"] == "Bearer token-2"


async def test_a_refusal_of_an_old_token_costs_no_new_one(sending: Sending):
    sending.receiver.script("/token", grant("token-1"), grant("token-2"), grant("token-3"))
    connection = oauth(sending)
    for token in ("token-1", "token-1"):
        await sending.tokens.get(connection)
        sending.tokens.refused(connection, token)
        assert await sending.tokens.get(connection) == "token-2"


async def test_other_credentials_take_another_token(sending: Sending):
    sending.receiver.script("/token", grant("token-1"), grant("token-2"))
    connection = oauth(sending)
    await sending.tokens.get(connection)
    assert await sending.tokens.get(oauth(sending, secret="newer")) == "token-2"


async def test_a_connection_that_is_gone_leaves_no_token(sending: Sending):
    sending.receiver.script("/token", grant("token-1"), grant("token-2"))
    connection = oauth(sending)
    await sending.tokens.get(connection)
    sending.tokens.forget(connection.arn)
    assert await sending.tokens.get(connection) == "token-2"


# -- one at a time -----------------------------------------------------------------------------------------


async def test_many_deliveries_share_one_exchange(sending: Sending):
    sending.receiver.script("/token", grant())
    connection = oauth(sending)
    replies = await asyncio.gather(*(sending.send(connection=connection) for _ in range(50)))
    assert all(reply.accepted for reply in replies)
    assert len(exchanges(sending)) == 1


async def test_many_deliveries_share_one_failure(sending: Sending):
    sending.receiver.script("/token", Respond(status=500))
    connection = oauth(sending)
    replies = await asyncio.gather(*(sending.send(connection=connection) for _ in range(50)))
    assert {(reply.error, reply.retryable) for reply in replies} == {(ErrorCode.ERROR_FROM_TARGET, True)}
    assert len(exchanges(sending)) == 1
    assert len(sending.receiver.requests) == 1


async def test_who_stops_waiting_does_not_stop_the_others(sending: Sending):
    sending.receiver.script("/token", Hang())
    connection = oauth(sending)
    first, second = (asyncio.create_task(sending.tokens.get(connection)) for _ in range(2))
    await sending.receiver.received(1)
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    await sending.clock.advance(CALL_TIMEOUT)
    found = await second
    assert isinstance(found, TokenFailure)
    assert (found.error, len(exchanges(sending))) == (ErrorCode.TIMEOUT, 1)


# -- hostile answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [Hang(), Drip(body=b'{"access_token":')])
async def test_an_endpoint_that_hangs_ends_the_attempt_in_time(sending: Sending, answer):
    sending.receiver.script("/token", answer)
    sent = asyncio.create_task(sending.send(connection=oauth(sending)))
    await sending.receiver.received(1)
    await sending.clock.advance(CALL_TIMEOUT)
    reply = await sent
    assert (reply.error, reply.retryable, reply.status) == (ErrorCode.TIMEOUT, True, None)
    assert len(sending.receiver.requests) == 1


@pytest.mark.parametrize("answer", [Reset(), HalfClose(), Raw(b"220 mail.example ESMTP\r\n")])
async def test_an_endpoint_that_breaks_off(sending: Sending, answer):
    sending.receiver.script("/token", answer)
    found = await failure(sending)
    assert (found.error, found.retryable, found.is_refusal) == (ErrorCode.CONNECTION_FAILURE, True, False)


@pytest.mark.parametrize(
    "answer",
    [
        Respond(body=b"<html>token-1</html>"),
        Respond(body=b""),
        Respond(body=b"{}"),
        Respond(body=b'{"access_token": 5}'),
        Respond(body=b'{"access_token": ""}'),
        Respond(body=b'{"access_token": "a\\r\\nX-Injected: 1"}'),
        Respond(body=b'{"access_token": "t\xff"}'),
        Respond(body=b"[" * 60_000),
        grant("two words"),
        grant("tökén"),
        grant("x" * (LONGEST_TOKEN + 1)),
        Huge(size=10_000_000),
    ],
)
async def test_answers_that_hold_no_token(sending: Sending, answer):
    sending.receiver.script("/token", answer)
    found = await failure(sending)
    assert (found.message, found.retryable, found.is_refusal) == (UNUSABLE, True, True)


@pytest.mark.parametrize(
    ("status", "body", "said", "is_refusal"),
    [
        (400, b'{"error": "invalid_client"}', " (invalid_client)", True),
        (401, b'{"error": "sesame"}', "", True),
        (403, b"sesame", "", True),
        (302, b"", "", True),
        (429, b"", "", False),
        (500, b'{"error": {}}', "", False),
        (503, b"\xff\xfe", "", False),
    ],
)
async def test_refusals_say_a_known_word_at_most(sending: Sending, status, body, said, is_refusal):
    sending.receiver.script("/token", Respond(status=status, headers={"Location": "/x"}, body=body))
    found = await failure(sending)
    assert found.message == f"No token: the authorization endpoint answered with HTTP status {status}{said}."
    assert (found.retryable, found.is_refusal) == (True, is_refusal)
    assert [request.path for request in sending.receiver.requests] == ["/token"]


async def test_after_a_failure_the_next_one_asks_again(sending: Sending):
    sending.receiver.script("/token", Respond(status=500), grant())
    connection = oauth(sending)
    assert not (await sending.send(connection=connection)).accepted
    assert (await sending.send(connection=connection)).accepted


async def test_the_endpoint_must_be_at_an_allowed_address(sending: Sending):
    outbound = HttpOutbound(sending.clock, AddressGuard())
    found = await Tokens(SECRETS, outbound, sending.clock).get(oauth(sending))
    await outbound.close()
    assert isinstance(found, TokenFailure)
    assert (found.error, found.retryable) == (ErrorCode.INVALID_PARAMETER, False)
    assert sending.receiver.connections == 0


async def test_a_token_that_comes_back_is_hidden(sending: Sending):
    sending.receiver.script("/token", grant("token-1"))
    encoded = base64.b64encode(b"token-1").decode()
    sending.receiver.script("/hook", Respond(status=400, body=f"no: token-1 {encoded} {SECRET}".encode()))
    reply = await sending.send(connection=oauth(sending))
    assert reply.body_head == "no: *** *** ***"
    assert "token-1" not in repr(reply)


async def test_a_secret_that_does_not_open_is_ours_to_mend(sending: Sending):
    connection = msgspec.structs.replace(oauth(sending), sealed_secret="sealed with another key")
    found = await failure(sending, connection)
    assert (found.error, found.retryable) == (ErrorCode.INTERNAL_ERROR, True)


async def test_closing_cuts_an_exchange_off(sending: Sending):
    sending.receiver.script("/token", Hang())
    asking = asyncio.create_task(sending.tokens.get(oauth(sending)))
    await sending.receiver.received(1)
    await sending.tokens.close()
    await asyncio.wait([asking])
    assert asking.cancelled()
