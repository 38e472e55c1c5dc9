"""Client certificates of connections, against a TLS server that wants one."""

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from partnerbus.kernel.clock import SystemClock
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.resources import ClientCertificate, Connection
from partnerbus.targets import client_certificates
from partnerbus.targets.addresses import AddressGuard
from partnerbus.targets.authorization import Opener
from partnerbus.targets.client_certificates import (
    LARGEST_PEM,
    CertificateRefused,
    ClientContexts,
    describe_certificate,
    seal_certificate,
)
from partnerbus.targets.http import HttpInvoker
from partnerbus.targets.outbound_client import HttpOutbound
from partnerbus.targets.tokens import Tokens
from partnerbus.testing.receiver import Receiver
from tests.certificates import Authority, private_pem
from tests.targets.things import SECRETS, Resources, a_connection, a_destination, a_target, an_invocation

NOW = datetime.now(UTC)


class Sender:
    """Sends as connections do, trusting the tests' authority."""

    def __init__(self, authority: Authority, receiver: Receiver) -> None:
        self.receiver = receiver
        clock = SystemClock()
        self.outbound = HttpOutbound(clock, AddressGuard(allow_private=True), tls=authority.client())
        self._tokens = Tokens(SECRETS, self.outbound, clock)
        self._opener = Opener(SECRETS, self._tokens, ClientContexts(SECRETS, authority.client))
        self._clock = clock

    async def send(self, connection: Connection) -> Reply:
        destination = a_destination(f"{self.receiver.url}/hook", connection=connection)
        invoker = HttpInvoker(Resources(destination, connection), self._opener, self.outbound, self._clock)
        return await invoker.invoke(an_invocation(a_target(destination.arn)))


@pytest.fixture
async def sender(authority: Authority) -> AsyncIterator[Sender]:
    async with Receiver(tls=authority.server(wants_client=True)) as receiver:
        sender = Sender(authority, receiver)
        yield sender
        await sender.outbound.close()


def sealed(authority: Authority, name: str = "client") -> ClientCertificate:
    return seal_certificate(*authority.issue(name), SECRETS, NOW)


async def test_a_connection_shows_its_certificate_and_no_other_does(sender: Sender, authority: Authority):
    with_it = a_connection(certificate=sealed(authority))
    assert (await sender.send(with_it)).accepted
    assert (await sender.send(with_it)).accepted
    without = await sender.send(a_connection())
    assert (without.error, without.retryable) == (ErrorCode.CONNECTION_FAILURE, True)
    assert len(sender.receiver.requests) == 2


async def test_connections_to_one_host_are_not_shared_by_certificates(sender: Sender, authority: Authority):
    for certificate in (sealed(authority, "one"), sealed(authority, "two")):
        assert (await sender.send(a_connection(certificate=certificate))).accepted
    assert [request.connection for request in sender.receiver.requests] == [1, 2]


async def test_a_key_that_does_not_open_is_ours_to_mend(sender: Sender, authority: Authority):
    broken = msgspec.structs.replace(sealed(authority), sealed_key="sealed with another key")
    reply = await sender.send(a_connection(certificate=broken))
    assert (reply.error, reply.retryable) == (ErrorCode.INTERNAL_ERROR, True)


async def test_the_key_is_in_no_file_in_clear(authority: Authority, monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []

    class Watched(ssl.SSLContext):
        def load_cert_chain(self, certfile, keyfile=None, password=None):
            seen.append(Path(certfile).read_text())
            super().load_cert_chain(certfile, keyfile, password)

    certificate = sealed(authority)
    await ClientContexts(SECRETS, lambda: Watched(ssl.PROTOCOL_TLS_CLIENT)).get(certificate)
    [text] = seen
    assert "BEGIN ENCRYPTED PRIVATE KEY" in text
    assert "BEGIN PRIVATE KEY" not in text
    assert "PRIVATE KEY" not in certificate.chain + certificate.sealed_key


async def test_contexts_are_kept_but_not_for_ever(authority: Authority, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client_certificates, "CONTEXTS_KEPT", 2)
    contexts = ClientContexts(SECRETS)
    one, two, three = (sealed(authority, name) for name in ("one", "two", "three"))
    first = await contexts.get(one)
    assert await contexts.get(one) is first
    await contexts.get(two)
    await contexts.get(three)
    assert await contexts.get(one) is not first


def test_what_people_are_shown(authority: Authority):
    described = describe_certificate(sealed(authority, "client of acme"))
    assert (described.subject, described.issuer) == ("CN=client of acme", "CN=test CA")
    assert described.not_before < NOW < described.not_after


def test_what_is_refused(authority: Authority):
    chain, key = authority.issue("client")
    _, other = authority.issue("other")
    old, its_key = authority.issue("old", until=NOW - timedelta(seconds=1))
    locked = private_pem(ec.generate_private_key(ec.SECP256R1()), b"password")
    for given, sentence in (
        (("", key), "not one in PEM"),
        (("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key), "not one in PEM"),
        ((key, key), "not one in PEM"),
        ((chain, chain), "not a private key in PEM"),
        ((chain, ""), "not a private key in PEM"),
        ((chain, locked), "without a password"),
        ((chain, other), "does not belong"),
        ((old, its_key), "valid only until"),
        ((chain + " " * LARGEST_PEM, key), "larger than"),
        ((chain, "é"), "not a private key in PEM"),
    ):
        with pytest.raises(CertificateRefused, match=sentence):
            seal_certificate(*given, SECRETS, NOW)
