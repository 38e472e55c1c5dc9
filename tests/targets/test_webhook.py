"""Webhooks against a real receiver; signatures are verified by the specification's own library."""

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from partnerbus.kernel.clock import ManualClock, SystemClock
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.resources import Webhook
from partnerbus.targets.addresses import AddressGuard
from partnerbus.targets.outbound_client import HttpOutbound
from partnerbus.targets.webhook import NO_SUCH_WEBHOOK, WebhookInvoker
from partnerbus.targets.webhook_signing import draw_secret, signed_headers
from partnerbus.testing.receiver import Receiver, Respond
from tests.targets.things import (
    ACCOUNT,
    REGION,
    SECRETS,
    Resources,
    a_rule,
    a_target,
    a_webhook,
    a_webhook_secret,
    an_invocation,
)

OLD, NEW, OTHER = (draw_secret() for _ in range(3))


class Hooks:
    """A webhook invoker over one receiver."""

    def __init__(self, receiver: Receiver, allow_private: bool = True) -> None:
        self.receiver = receiver
        self.clock = ManualClock()
        self.guard = AddressGuard(allow_private)
        self.outbound = HttpOutbound(self.clock, self.guard)

    def invoker(self, *webhooks: Webhook) -> WebhookInvoker:
        lookup = Resources(*webhooks)
        return WebhookInvoker(lookup, SECRETS, self.guard, self.outbound, self.clock, SystemClock())

    async def send(self, webhook: Webhook, payload: bytes = b'{"n":1.0}') -> Reply:
        return await self.invoker(webhook).invoke(an_invocation(a_target(webhook.arn), payload))

    def webhook(self, path: str = "/hook") -> Webhook:
        return a_webhook(self.receiver.url + path, a_webhook_secret(NEW))


@pytest.fixture
async def hooks(receiver: Receiver) -> AsyncIterator[Hooks]:
    hooks = Hooks(receiver)
    yield hooks
    await hooks.outbound.close()


def accepts(secret: str, body: bytes, headers: dict[str, str]) -> bool:
    try:
        Verifier(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


async def test_the_request(hooks: Hooks):
    assert (await hooks.send(hooks.webhook("/hook?a=%20b"))).accepted
    [request] = hooks.receiver.requests
    assert (request.method, request.target, request.body) == ("POST", "/hook?a=%20b", b'{"n":1.0}')
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    assert request.headers["webhook-id"] == "s-1"


@pytest.mark.parametrize("payload", [b'{"n":1.0}', '"Grüße. "'.encode(), b'{ "a.b" : [] }'])
async def test_its_signature_is_verified(hooks: Hooks, payload: bytes):
    await hooks.send(hooks.webhook(), payload)
    [request] = hooks.receiver.requests
    assert accepts(NEW, request.body, request.headers)
    assert not accepts(OTHER, request.body, request.headers)
    for name, value in (
        ("webhook-id", "s-2"),
        ("webhook-timestamp", str(int(datetime.now(UTC).timestamp()) + 9)),
    ):
        assert not accepts(NEW, request.body, request.headers | {name: value})
    assert not accepts(NEW, request.body + b" ", request.headers)


async def test_while_a_secret_is_rotated_both_are_good(hooks: Hooks):
    until = hooks.clock.now() + timedelta(hours=1)
    webhook = a_webhook(
        hooks.receiver.url,
        a_webhook_secret(NEW),
        a_webhook_secret(OLD, until),
        a_webhook_secret(OTHER, hooks.clock.now()),
    )
    await hooks.send(webhook)
    await hooks.clock.advance(timedelta(hours=1))
    await hooks.send(webhook)
    verdicts = [
        [accepts(secret, request.body, request.headers) for secret in (NEW, OLD, OTHER)]
        for request in hooks.receiver.requests
    ]
    assert verdicts == [[True, True, False], [True, False, False]]


def test_the_timestamp_is_the_attempt_s_and_the_id_the_delivery_s():
    first, second = (
        signed_headers("d-1", datetime(2026, 1, 1, 0, 0, seconds, 900_000, tzinfo=UTC), b"{}", [NEW])
        for seconds in (0, 1)
    )
    assert first["webhook-id"] == second["webhook-id"] == "d-1"
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("1767225600", "1767225601")
    assert first["webhook-signature"] != second["webhook-signature"]


def test_a_secret_is_as_long_as_the_specification_wants_and_never_drawn_twice():
    drawn = {draw_secret() for _ in range(20)}
    assert len(drawn) == 20
    assert {len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) for secret in drawn} == {32}


def test_a_known_signature():
    """Made with `openssl dgst -sha256 -mac hmac`, over `msg_1.1700000000.{}`."""
    secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    at = datetime.fromtimestamp(1_700_000_000, tz=UTC)
    assert signed_headers("msg_1", at, b"{}", [secret])["webhook-signature"] == KNOWN


KNOWN = "v1,f/Y+daDmym1RFEncjwfCErhuxrwhXfMCa22UPngBea0="


async def test_answers_mean_what_they_mean_of_api_destinations(hooks: Hooks):
    answers = Respond(status=503, headers={"Retry-After": "7"}), Respond(status=400), Respond(status=307)
    hooks.receiver.script("/hook", *answers)
    replies = [await hooks.send(hooks.webhook()) for _ in answers]
    assert [(reply.status, reply.retryable) for reply in replies] == [(503, True), (400, False), (307, False)]
    assert replies[0].retry_after == timedelta(seconds=7)
    assert replies[0].error is ErrorCode.ERROR_FROM_TARGET


async def test_a_secret_that_is_sent_back_is_not_kept(hooks: Hooks):
    hooks.receiver.script("/hook", Respond(status=400, body=f"expected {NEW}".encode()))
    assert (await hooks.send(hooks.webhook())).body_head == "expected ***"


async def test_private_addresses_are_refused_when_it_is_put_and_when_it_is_called(receiver: Receiver):
    hooks = Hooks(receiver, allow_private=False)
    webhook = hooks.webhook()
    assert hooks.invoker(webhook).refusal(a_target(webhook.arn), a_rule()) is not None
    reply = await hooks.send(webhook)
    assert (reply.error, reply.retryable, receiver.connections) == (ErrorCode.INVALID_PARAMETER, False, 0)
    await hooks.outbound.close()


def test_only_the_account_s_own_webhook_of_the_region_can_be_a_target(hooks: Hooks):
    webhook = hooks.webhook()
    invoker, target = hooks.invoker(webhook), a_target(webhook.arn)
    assert invoker.refusal(target, a_rule()) is None
    assert invoker.refusal(target, a_rule("999988887777")) == NO_SUCH_WEBHOOK
    assert invoker.refusal(target, msgspec.structs.replace(a_rule(), region="eu-west-1")) == NO_SUCH_WEBHOOK
    missing = a_target(f"arn:partnerbus:webhook:{REGION}:{ACCOUNT}:missing")
    assert invoker.refusal(missing, a_rule()) == NO_SUCH_WEBHOOK


async def test_a_webhook_that_is_gone_or_another_account_s_gets_nothing(hooks: Hooks):
    webhook = hooks.webhook()
    gone = await hooks.invoker().invoke(an_invocation(a_target(webhook.arn)))
    foreign = msgspec.structs.replace(an_invocation(a_target(webhook.arn)), rule=a_rule("999988887777"))
    theirs = await hooks.invoker(webhook).invoke(foreign)
    assert (gone.error, theirs.error) == (ErrorCode.NO_RESOURCE, ErrorCode.NO_PERMISSIONS)
    assert not gone.retryable
    assert hooks.receiver.requests == []
