"""How a real NATS server lets this node in: TLS with a private authority, keys, JWTs; and what is refused."""

import asyncio
import base64
import hashlib
import os
import time
from asyncio import StreamReader, StreamWriter
from pathlib import Path

import msgspec
import nats
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from partnerbus.kernel.clock import SystemClock
from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.nats_key import NotAUserKey, UserKey
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.targets.nats_subject import NatsInvoker, NatsSettings
from tests.certificates import Authority, private_pem
from tests.targets.nats_keys import Key, seed_of
from tests.targets.nats_server import nats_server
from tests.targets.things import ACCOUNT, REGION, a_target, an_invocation

SUBJECT = f"partnerbus.{ACCOUNT}.orders"
UNTRUSTED = "No NATS server of this node could be connected to securely: TLS failed."
NOT_ACCEPTED = "The NATS server did not accept this node's credentials."


async def send(settings: NatsSettings) -> Reply:
    """One attempt by an invoker of its own."""
    invoker = NatsInvoker(settings, SystemClock())
    try:
        target = a_target(f"arn:partnerbus:nats:{REGION}:{ACCOUNT}:{SUBJECT}")
        return await invoker.invoke(an_invocation(target))
    finally:
        await invoker.close()


def tls(folder: Path, authority: Authority, more: str = "") -> str:
    """The configuration of a server on localhost that insists on TLS."""
    for name, text in zip(("cert", "key"), authority.issue("localhost"), strict=True):
        (folder / f"{name}.pem").write_text(text)
    return f'tls {{ cert_file: "{folder}/cert.pem", key_file: "{folder}/key.pem", {more} }}'


async def test_a_server_of_a_private_authority(tmp_path: Path, authority: Authority):
    async with nats_server(tmp_path, tls(tmp_path, authority)) as server:
        reader = await nats.connect(server.url, tls=authority.client())
        arriving = await reader.subscribe(SUBJECT)
        await reader.flush()
        for scheme in ("tls", "nats"):  # the latter is made secure because the server wants it
            url = f"{scheme}://127.0.0.1:{server.port}"
            assert (await send(NatsSettings(servers=[url], authorities=authority.ca_file))).accepted
            assert (await arriving.next_msg(timeout=60)).data == b'{"n":1.0}'
        await reader.close()


async def test_a_server_that_nobody_vouches_for(tmp_path: Path, authority: Authority):
    async with nats_server(tmp_path, tls(tmp_path, authority)) as server:
        reply = await send(NatsSettings(servers=[f"tls://127.0.0.1:{server.port}"]))
        assert (reply.error, reply.retryable) == (ErrorCode.CONNECTION_FAILURE, True)
        assert reply.message == UNTRUSTED


async def test_nothing_secret_is_said_to_a_server_without_tls(tmp_path: Path):
    """Somebody between us and the server could claim that there is no TLS."""
    credentials = tmp_path / "credentials"
    credentials.write_text("bus:s3cret")
    heard = asyncio.get_running_loop().create_future()

    async def listen(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b'INFO {"auth_required":true,"headers":true,"max_payload":1048576}\r\n')
        heard.set_result(await reader.read(1_000))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reply = await send(NatsSettings(servers=[f"tls://127.0.0.1:{port}"], credentials=credentials))
        assert await heard == b""
    assert (reply.error, reply.message) == (ErrorCode.CONNECTION_FAILURE, UNTRUSTED)


async def test_a_server_that_wants_a_certificate(tmp_path: Path, authority: Authority):
    mine = tmp_path / "client.pem"
    mine.write_text("".join(authority.issue("bus")))
    configuration = tls(tmp_path, authority, f'ca_file: "{authority.ca_file}", verify: true')
    async with nats_server(tmp_path, configuration) as server:
        settings = NatsSettings(
            servers=[f"tls://127.0.0.1:{server.port}"], authorities=authority.ca_file, certificate=mine
        )
        assert (await send(settings)).accepted
        reply = await send(msgspec.structs.replace(settings, certificate=None))
        assert (reply.error, reply.retryable) == (ErrorCode.CONNECTION_FAILURE, True)


async def test_a_key(tmp_path: Path):
    seed = seed_of("U", os.urandom(32))
    users = f"authorization {{ users: [ {{ nkey: {UserKey(seed).public} }} ] }}"
    credentials = tmp_path / "user.nk"
    async with nats_server(tmp_path, users) as server:
        settings = NatsSettings(servers=[server.url], credentials=credentials)
        credentials.write_text(f"{seed}\n")
        assert (await send(settings)).accepted
        credentials.write_text(seed_of("U", os.urandom(32)))
        reply = await send(settings)
        assert (reply.error, reply.retryable) == (ErrorCode.NO_PERMISSIONS, True)
        assert reply.message == NOT_ACCEPTED


def claims(issuer: Key, subject: Key, kind: str, until: int = 0, **more: object) -> str:
    """A JWT as NATS's tools make them."""
    body: dict[str, object] = {
        "iat": int(time.time()),
        "iss": issuer.public,
        "sub": subject.public,
        "name": kind,
        "nats": {"type": kind, "version": 2, **more},
    }
    if until:
        body["exp"] = until
    body["jti"] = base64.b32encode(hashlib.sha256(msgspec.json.encode(body)).digest()).decode().rstrip("=")
    return issuer.jwt(body)


UNLIMITED = {
    "subs": -1,
    "data": -1,
    "payload": -1,
    "imports": -1,
    "exports": -1,
    "wildcards": True,
    "conn": -1,
    "leaf": -1,
}


async def test_a_credentials_file(tmp_path: Path):
    operator, account, user, stranger = (Key(kind) for kind in "OAUA")
    known = claims(operator, account, "account", limits=UNLIMITED)
    configuration = (
        f"operator: {claims(operator, operator, 'operator')}\n"
        f"resolver: MEMORY\nresolver_preload: {{ {account.public}: {known} }}\n"
    )
    file = tmp_path / "bus.creds"

    def write(jwt: str) -> None:
        file.write_text(
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            "************************* IMPORTANT *************************\n"
            "NKEY Seed printed below can be used to sign and prove identity.\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n\n"
            "*************************************************************\n"
        )

    limits = {"subs": -1, "data": -1, "payload": -1}
    async with nats_server(tmp_path, configuration) as server:
        settings = NatsSettings(servers=[server.url], credentials=file)
        write(claims(account, user, "user", **limits))
        assert (await send(settings)).accepted
        write(claims(stranger, user, "user", **limits))
        reply = await send(settings)
        assert (reply.error, reply.retryable) == (ErrorCode.NO_PERMISSIONS, True)
        write(claims(account, user, "user", until=int(time.time()) - 60, **limits))
        reply = await send(settings)
        assert (reply.error, reply.message) == (ErrorCode.NO_PERMISSIONS, NOT_ACCEPTED)


SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"


def test_a_key_is_known_by_what_nats_calls_it():
    key = UserKey(SEED)
    assert key.public == "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
    assert SEED not in repr(key)


@pytest.mark.parametrize(
    "seed", ["", "SU", SEED[:-1] + "A", SEED[:-4], SEED.lower(), seed_of("A", b"x" * 32), "é" * 58]
)
def test_what_is_no_seed(seed: str):
    with pytest.raises(NotAUserKey):
        UserKey(seed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        (SEED[:-1] + "A", "not the seed of a NATS user's key"),
        (seed_of("A", b"x" * 32), "not the seed of a NATS user's key"),
        ("-----BEGIN NATS USER JWT-----\ns3cret\n", "a user's JWT and the seed"),
        (
            "-----BEGIN NATS USER JWT-----\ns3cret\n-----END NATS USER JWT-----\n"
            "-----BEGIN USER NKEY SEED-----\ns3cret\n-----END USER NKEY SEED-----\n",
            "not the seed",
        ),
    ],
)
def test_credentials_that_cannot_be_end_the_start(tmp_path: Path, text: str, said: str):
    file = tmp_path / "credentials"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=said) as refused:
        NatsInvoker(NatsSettings(servers=["nats://127.0.0.1:1"], credentials=file), SystemClock())
    assert "nats-credentials" in str(refused.value)
    assert not any(secret in str(refused.value) for secret in ("s3cret", SEED[:20], "SAAH"))


@pytest.mark.parametrize(
    ("member", "setting"), [("authorities", "nats-ca"), ("certificate", "nats-certificate")]
)
@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_certificates_that_cannot_be_end_the_start(
    tmp_path: Path, member: str, setting: str, text: str | None
):
    file = tmp_path / "file.pem"
    if text is not None:
        file.write_text(text)
    settings = msgspec.structs.replace(NatsSettings(servers=["tls://127.0.0.1:1"]), **{member: file})
    with pytest.raises(ConfigurationError, match=setting):
        NatsInvoker(settings, SystemClock())


def test_a_key_with_a_password_ends_the_start_without_a_question(tmp_path: Path, authority: Authority):
    certificate, _ = authority.issue("bus")
    locked = private_pem(ec.generate_private_key(ec.SECP256R1()), b"s3cret")
    file = tmp_path / "client.pem"
    file.write_text(certificate + locked)
    with pytest.raises(ConfigurationError, match="nats-certificate"):
        NatsInvoker(NatsSettings(servers=["tls://127.0.0.1:1"], certificate=file), SystemClock())
