"""NATS subjects against a real server: plain subjects, streams, refusals, servers that go away."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import nats
import pytest
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, StreamConfig

from partnerbus.kernel.clock import SystemClock
from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.nats_credentials import Credentials
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.targets import nats_subject
from partnerbus.targets.nats_subject import NO_SERVERS, NOT_INSTALLED, NatsInvoker, NatsSettings
from partnerbus.targets.nats_subjects import FORM
from partnerbus.targets.own_arns import FOREIGN
from tests.targets.nats_server import NatsServer, nats_server
from tests.targets.things import ACCOUNT, REGION, a_rule, a_target, an_invocation

SUBJECT = f"partnerbus.{ACCOUNT}.orders"
USERS = """
authorization { users = [
  { user: bus, password: "s3:cret", permissions: { publish: ["$JS.API.>", "partnerbus.*.open"] } }
  { user: reader, password: r }
] }
"""


def arn(subject: str = SUBJECT, account: str = ACCOUNT) -> str:
    return f"arn:partnerbus:nats:{REGION}:{account}:{subject}"


def jetstream(folder: Path) -> str:
    return f'jetstream {{ store_dir: "{folder}" }}'


@asynccontextmanager
async def invoking(*servers: str, credentials: Path | None = None) -> AsyncIterator[NatsInvoker]:
    invoker = NatsInvoker(NatsSettings(servers=servers, credentials=credentials), SystemClock())
    try:
        yield invoker
    finally:
        await invoker.close()


@asynccontextmanager
async def reading(server: NatsServer, **options: str) -> AsyncIterator[Client]:
    client = await nats.connect(server.url, **options)
    try:
        yield client
    finally:
        await client.close()


async def send(invoker: NatsInvoker, subject: str = SUBJECT, payload: bytes = b'{"n":1.0}') -> Reply:
    return await invoker.invoke(an_invocation(a_target(arn(subject)), payload))


async def test_a_plain_subject(tmp_path: Path):
    async with nats_server(tmp_path) as server, reading(server) as reader, invoking(server.url) as invoker:
        arriving = await reader.subscribe(SUBJECT)
        await reader.flush()
        assert (await send(invoker)).accepted
        found = await arriving.next_msg(timeout=30)
        assert (found.data, found.headers, found.reply) == (b'{"n":1.0}', {"Nats-Msg-Id": "s-1"}, "")


async def test_a_stream_acknowledges_and_drops_a_repeat(tmp_path: Path):
    async with (
        nats_server(tmp_path, jetstream(tmp_path / "js")) as server,
        reading(server) as reader,
        invoking(server.url) as invoker,
    ):
        await reader.jetstream().add_stream(name="all", subjects=["partnerbus.>"])
        assert [(await send(invoker)).accepted for _ in range(2)] == [True, True]
        info = await reader.jetstream().stream_info("all")
        assert info.state.messages == 1
        stored = await reader.jetstream().get_msg("all", seq=1)
        assert (stored.data, stored.subject) == (b'{"n":1.0}', SUBJECT)


async def test_a_stream_that_is_full_is_no_success(tmp_path: Path):
    """A plain publish would have succeeded, and the event would be gone."""
    full = StreamConfig(name="all", subjects=["partnerbus.>"], max_msgs=1, discard=DiscardPolicy.NEW)
    async with (
        nats_server(tmp_path, jetstream(tmp_path / "js")) as server,
        reading(server) as reader,
        invoking(server.url) as invoker,
    ):
        await reader.jetstream().add_stream(full)
        await reader.jetstream().publish(SUBJECT, b"first")
        reply = await send(invoker)
        assert (reply.error, reply.retryable) == (ErrorCode.ERROR_FROM_TARGET, True)
        assert reply.message == "JetStream did not take the event: maximum messages exceeded."


async def test_a_user_and_what_it_may_not_do(tmp_path: Path):
    credentials = tmp_path / "credentials"
    credentials.write_text("bus:s3:cret\n")
    async with (
        nats_server(tmp_path, USERS) as server,
        reading(server, user="reader", password="r") as reader,
        invoking(server.url, credentials=credentials) as invoker,
    ):
        arriving = await reader.subscribe("partnerbus.>")
        await reader.flush()
        reply = await send(invoker)
        assert (reply.error, reply.retryable) == (ErrorCode.NO_PERMISSIONS, True)
        assert reply.message == f"This node's NATS user may not publish to {SUBJECT}."
        assert (await send(invoker, f"partnerbus.{ACCOUNT}.open")).accepted
        assert (await arriving.next_msg(timeout=30)).subject == f"partnerbus.{ACCOUNT}.open"


@pytest.mark.parametrize("text", ["bus:wrong", "token", None])
async def test_credentials_that_are_not_good(tmp_path: Path, text: str | None):
    credentials = None
    if text is not None:
        credentials = tmp_path / "credentials"
        credentials.write_text(text)
    async with (
        nats_server(tmp_path, USERS) as server,
        invoking(server.url, credentials=credentials) as invoker,
    ):
        reply = await send(invoker)
        assert (reply.error, reply.retryable) == (ErrorCode.NO_PERMISSIONS, True)
        assert text is None or text not in reply.message


async def test_a_token(tmp_path: Path):
    credentials = tmp_path / "credentials"
    credentials.write_text("t0ken")
    async with (
        nats_server(tmp_path, 'authorization { token: "t0ken" }') as server,
        invoking(server.url, credentials=credentials) as invoker,
    ):
        assert (await send(invoker)).accepted


async def test_a_server_that_goes_away_and_comes_back(tmp_path: Path):
    async with nats_server(tmp_path) as server, invoking(server.url) as invoker:
        assert (await send(invoker)).accepted
        await server.kill()
        reply = await send(invoker)
        assert reply.error in (ErrorCode.CONNECTION_FAILURE, ErrorCode.TIMEOUT)
        assert reply.retryable
        async with nats_server(tmp_path, port=server.port):
            assert (await send(invoker)).accepted


async def test_the_next_server_is_tried(tmp_path: Path):
    with socket.socket() as taken:  # bound, and listening to nobody
        taken.bind(("127.0.0.1", 0))
        gone = f"nats://127.0.0.1:{taken.getsockname()[1]}"
        async with nats_server(tmp_path) as server, invoking(gone, server.url) as invoker:
            assert (await send(invoker)).accepted


async def test_many_at_once_share_one_connection(tmp_path: Path):
    async with nats_server(tmp_path) as server, invoking(server.url) as invoker:
        replies = await asyncio.gather(*(send(invoker) for _ in range(50)))
        assert all(reply.accepted for reply in replies)


async def test_what_the_server_does_not_take_is_not_tried_again(tmp_path: Path):
    async with nats_server(tmp_path, "max_payload: 1KB") as server, invoking(server.url) as invoker:
        reply = await send(invoker, payload=b"x" * 2_000)
        assert (reply.error, reply.retryable) == (ErrorCode.INVALID_PARAMETER, False)
        assert (await send(invoker)).accepted


@pytest.mark.parametrize(
    "subject",
    [
        "",
        ".",
        "a..b",
        "a.",
        "a.*",
        "a.>",
        "a b",
        "$SYS.x",
        "$JS.API.STREAM.DELETE.all",
        "_INBOX.x",
        "a\r\nPUB",
        "x" * 257,
    ],
)
def test_what_is_no_subject(subject: str):
    invoker = NatsInvoker(NatsSettings(servers=["nats://127.0.0.1:1"], subjects=">"), SystemClock())
    assert invoker.refusal(a_target(arn(subject)), a_rule()) == FORM


@pytest.mark.parametrize(
    ("pattern", "subject", "allowed"),
    [
        ("partnerbus.{account}.>", SUBJECT, True),
        ("partnerbus.{account}.>", SUBJECT + ".eu", True),
        ("partnerbus.{account}.>", f"partnerbus.{ACCOUNT}", False),
        ("partnerbus.{account}.>", "partnerbus.999988887777.orders", False),
        ("partnerbus.{account}.>", "other", False),
        (">", "other", True),
        ("shop.*", "shop.a", True),
        ("shop.*", "shop.a.b", False),
        ("shop.orders", "shop.orders", True),
    ],
)
def test_an_account_publishes_where_the_operator_lets_it(pattern: str, subject: str, allowed: bool):
    invoker = NatsInvoker(NatsSettings(servers=["nats://127.0.0.1:1"], subjects=pattern), SystemClock())
    assert (invoker.refusal(a_target(arn(subject)), a_rule()) is None) is allowed


async def test_another_account_s_rule_publishes_nothing():
    invoker = NatsInvoker(NatsSettings(servers=["nats://127.0.0.1:1"], subjects=">"), SystemClock())
    theirs = a_target(arn("x", "999988887777"))
    assert invoker.refusal(theirs, a_rule()) == FOREIGN
    reply = await invoker.invoke(an_invocation(theirs))
    assert (reply.error, reply.retryable) == (ErrorCode.NO_PERMISSIONS, False)


def test_it_is_off_without_servers_and_without_a_client(monkeypatch: pytest.MonkeyPatch):
    assert NatsInvoker(NatsSettings(), SystemClock()).refusal(a_target(arn()), a_rule()) == NO_SERVERS
    monkeypatch.setattr(nats_subject, "find_spec", lambda _: None)
    invoker = NatsInvoker(NatsSettings(servers=["nats://127.0.0.1:1"]), SystemClock())
    assert invoker.refusal(a_target(arn()), a_rule()) == NOT_INSTALLED


def test_credentials_that_cannot_be_read_end_the_start(tmp_path: Path):
    settings = NatsSettings(servers=["nats://127.0.0.1:1"], credentials=tmp_path / "missing")
    with pytest.raises(ConfigurationError, match="nats-credentials"):
        NatsInvoker(settings, SystemClock())


def test_secrets_are_not_shown():
    assert "s3cret" not in repr(Credentials(user="bus", password="s3cret"))
    assert "s3cret" not in str(msgspec.structs.replace(Credentials(), token="s3cret"))
