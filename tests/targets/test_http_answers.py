"""API destinations against a real receiver: what becomes of each answer, and of secrets and resources."""

import asyncio
import base64
import gzip
import json
import logging
import zlib
from datetime import timedelta

import msgspec
import pytest

from partnerbus.kernel.secrets import SecretBox
from partnerbus.model.reply import BODY_HEAD_BYTES, ErrorCode
from partnerbus.model.resources import (
    AuthorizationType,
    ParameterPlace,
)
from partnerbus.targets.addresses import AddressGuard
from partnerbus.targets.outbound import CALL_TIMEOUT
from partnerbus.targets.outbound_client import HttpOutbound
from partnerbus.testing.receiver import Hang, Huge, Received, Reset, Respond
from tests.targets.sending import Sending, parameter
from tests.targets.things import (
    SECRET,
    Resources,
    a_connection,
    a_destination,
    a_rule,
    a_target,
    an_invocation,
)

QUERY = ParameterPlace.QUERY

LONG_SECRET = b"sesame-" * 1_000
"""An answer of ten of them is not read whole."""


# -- what becomes of the answer ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 226])
async def test_success(sending: Sending, status: int):
    reply = await sending.send(Respond(status=status))
    assert (reply.accepted, reply.status) == (True, status)


@pytest.mark.parametrize("status", [401, 407, 409, 500, 501, 502, 503, 504, 599])
async def test_worth_another_try(sending: Sending, status: int):
    reply = await sending.send(Respond(status=status, body=b"why"))
    assert (reply.error, reply.retryable) == (ErrorCode.ERROR_FROM_TARGET, True)
    assert (reply.status, reply.body_head) == (status, "why")


async def test_throttled(sending: Sending):
    reply = await sending.send(Respond(status=429, headers={"Retry-After": "30"}))
    assert (reply.error, reply.retryable) == (ErrorCode.THROTTLING, True)
    assert reply.retry_after == timedelta(seconds=30)


@pytest.mark.parametrize(
    "status", [300, 301, 302, 303, 304, 307, 308, 400, 402, 403, 404, 405, 408, 410, 413, 422, 451]
)
async def test_final(sending: Sending, status: int):
    reply = await sending.send(Respond(status=status, headers={"Location": "/elsewhere"}))
    assert (reply.error, reply.retryable) == (ErrorCode.ERROR_FROM_TARGET, False)
    assert len(sending.receiver.requests) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", timedelta(0)),
        ("120", timedelta(seconds=120)),
        ("-1", timedelta(seconds=-1)),
        ("Thu, 01 Jan 2026 00:00:10 GMT", timedelta(seconds=10)),
        ("Wed, 31 Dec 2025 23:59:00 GMT", timedelta(0)),
        ("soon", None),
        ("1.5", None),
        ("007", timedelta(seconds=7)),
        ("9" * 5_000, timedelta(seconds=999_999_999)),
        ("1000000000000", timedelta(seconds=999_999_999)),
        ("-1000000000000", timedelta(seconds=-999_999_999)),
        ("Thu, 99 Jan 99999 00:00:10 GMT", None),
    ],
)
async def test_retry_after(sending: Sending, text: str, expected: timedelta | None):
    reply = await sending.send(Respond(status=503, headers={"Retry-After": text}))
    assert reply.retry_after == expected


async def test_no_answer_in_time(sending: Sending):
    sent = asyncio.create_task(sending.send(Hang()))
    await sending.receiver.received(1)
    await sending.clock.advance(CALL_TIMEOUT)
    reply = await sent
    assert (reply.error, reply.retryable) == (ErrorCode.TIMEOUT, True)


async def test_a_broken_connection(sending: Sending):
    reply = await sending.send(Reset())
    assert (reply.error, reply.retryable) == (ErrorCode.CONNECTION_FAILURE, True)


async def test_a_huge_answer_is_an_answer(sending: Sending):
    reply = await sending.send(Huge(status=200))
    assert reply.accepted
    assert reply.body_head == "x" * BODY_HEAD_BYTES


async def test_an_answer_that_is_no_text(sending: Sending):
    reply = await sending.send(Respond(status=400, body=b"\xff\xfe" + "é".encode() * 1_000))
    assert reply.body_head.startswith("��é")
    assert len(reply.body_head.encode()) <= BODY_HEAD_BYTES


async def test_a_compressed_answer_can_be_read(sending: Sending):
    headers = {"Content-Encoding": "gzip"}
    reply = await sending.send(Respond(status=400, headers=headers, body=gzip.compress(b"why not")))
    assert reply.body_head == "why not"
    bomb = gzip.compress(b"0" * 50_000_000)
    reply = await sending.send(Respond(status=400, headers=headers, body=bomb))
    assert reply.body_head == "0" * BODY_HEAD_BYTES


# -- secrets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authorization", [AuthorizationType.BASIC, AuthorizationType.API_KEY])
async def test_an_echoed_secret_is_not_kept(
    sending: Sending, authorization: AuthorizationType, caplog: pytest.LogCaptureFixture
):
    """The receiver sends everything back in several spellings; none is in the reply or in any log."""
    caplog.set_level(logging.DEBUG)
    connection = a_connection(
        authorization, parameters=(parameter(QUERY, "token", "query secret", secret=True),)
    )

    def echo(request: Received) -> Respond:
        text = (
            json.dumps(request.headers) + request.target + repr(request.query) + SECRET + json.dumps(SECRET)
        )
        return Respond(status=400, body=(text + base64.b64encode(SECRET.encode()).decode()).encode())

    sending.receiver.respond("/hook", echo)
    reply = await sending.send(connection=connection)
    seen = msgspec.json.encode(reply).decode() + repr(reply) + caplog.text
    assert "***" in seen
    token = sending.last.headers.get("authorization", "Basic ?").split()[1]
    for secret in (SECRET, json.dumps(SECRET)[1:-1], "query secret", "query%20secret", "wörd", "w%C3%B6rd"):
        assert secret not in seen
    assert token == "?" or token not in seen


@pytest.mark.parametrize(
    ("body", "encoding", "kept"),
    [
        (gzip.compress(b"you sent " + LONG_SECRET), "gzip", "you sent ***"),
        (zlib.compress(b"you sent " + LONG_SECRET), "deflate", "you sent ***"),
        (LONG_SECRET * 10, "identity", ""),
        (gzip.compress(LONG_SECRET * 10), "gzip", ""),
        (
            b"no such customer " * 10_000 + LONG_SECRET,
            "identity",
            ("no such customer " * 61)[:BODY_HEAD_BYTES],
        ),
    ],
    ids=["gzip", "deflate", "many", "many in gzip", "behind much else"],
)
async def test_no_half_of_a_secret_is_kept_where_an_answer_is_cut(
    sending: Sending, body: bytes, encoding: str, kept: str
):
    answer = Respond(status=400, headers={"Content-Encoding": encoding}, body=body)
    reply = await sending.send(answer, connection=a_connection(secret=LONG_SECRET.decode()))
    assert reply.body_head == kept


async def test_failures_hold_no_secret(sending: Sending):
    connection = a_connection(parameters=(parameter(QUERY, "token", "topsecret", secret=True),))
    reply = await sending.send(Reset(), connection=connection)
    assert "topsecret" not in repr(reply)
    assert SECRET not in repr(reply)


async def test_a_secret_that_does_not_open_waits_for_the_operator(sending: Sending):
    other = SecretBox(b"OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg=")
    connection = msgspec.structs.replace(a_connection(), sealed_secret=other.seal("x"))
    reply = await sending.send(connection=connection)
    assert (reply.error, reply.retryable) == (ErrorCode.INTERNAL_ERROR, True)


# -- resources ---------------------------------------------------------------------------------------------


async def test_an_inactive_destination(sending: Sending):
    deauthorized = msgspec.structs.replace(a_connection(), sealed_secret="")
    reply = await sending.send(connection=deauthorized)
    assert (reply.error, reply.retryable) == (ErrorCode.NO_RESOURCE, False)
    assert sending.receiver.requests == []


async def test_resources_that_do_not_exist(sending: Sending):
    destination = a_destination(sending.receiver.url)
    without_connection = sending.invoker_of(Resources(destination))
    without_anything = sending.invoker_of(Resources())
    for invoker in (without_connection, without_anything):
        reply = await invoker.invoke(an_invocation(a_target(destination.arn)))
        assert (reply.error, reply.retryable) == (ErrorCode.NO_RESOURCE, False)
    assert without_connection.refusal(a_target(destination.arn), a_rule()) is None
    assert (
        without_anything.refusal(a_target(destination.arn), a_rule()) == "The API destination does not exist."
    )
    assert without_connection.refusal(a_target(destination.arn), a_rule("999988887777")) is not None


async def test_another_account_s_destination_or_connection_is_not_used(sending: Sending):
    """Their secrets would be sent where somebody else says."""
    own, theirs = a_connection(), msgspec.structs.replace(a_connection(), account="2" * 12)
    their_destination = msgspec.structs.replace(
        a_destination(sending.receiver.url, connection=theirs), account="2" * 12
    )
    mixed = a_destination(sending.receiver.url, connection=theirs)
    for destination, error in ((their_destination, ErrorCode.NO_PERMISSIONS), (mixed, ErrorCode.NO_RESOURCE)):
        lookup = Resources(destination, own, theirs)
        invoker = sending.invoker_of(lookup)
        reply = await invoker.invoke(an_invocation(a_target(destination.arn)))
        assert (reply.error, reply.retryable) == (error, False)
    assert sending.receiver.requests == []


async def test_a_refused_address_is_final(sending: Sending):
    connection = a_connection()
    destination = a_destination(sending.receiver.url, connection=connection)
    outbound = HttpOutbound(sending.clock, AddressGuard())
    invoker = sending.invoker_of(Resources(destination, connection), outbound)
    reply = await invoker.invoke(an_invocation(a_target(destination.arn)))
    await outbound.close()
    assert (reply.error, reply.retryable) == (ErrorCode.INVALID_PARAMETER, False)
    assert sending.receiver.connections == 0
