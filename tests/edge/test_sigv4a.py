"""Signatures for several regions over a real socket, made by the AWS CRT that botocore calls for them."""

from datetime import timedelta

import pytest
from botocore.credentials import Credentials
from botocore.crt.auth import CrtSigV4AsymAuth
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from partnerbus.edge import sigv4a
from partnerbus.edge.presented import MISMATCH
from partnerbus.edge.sigv4a import ORDER, PublicKey, private_key
from tests.edge.world import ACCOUNT, KEY, PARTNER_KEY, REGION

INCOMPLETE = "IncompleteSignatureException"
WRONG = "InvalidSignatureException"
REGION_SET = "A signature for several regions must name them in one 'X-Amz-Region-Set'."


def signed(world, body=b"{}", *, regions="*", key=KEY, **more):
    return world.signed(body, signer=CrtSigV4AsymAuth, region=regions, key=key, **more)


async def test_what_the_crt_signs_passes(world):
    reply = await world.ask(signed(world, b'{"Name":"shop"}'))
    assert reply.status == 200, reply.body
    assert (reply.json["Name"], reply.json["Arn"]) == ("shop", ACCOUNT)


async def test_the_caller_is_the_holder_of_the_key(world):
    reply = await world.ask(signed(world, key=PARTNER_KEY))
    assert reply.json["Description"] == f"{REGION} acme.com False"


@pytest.mark.parametrize(
    ("regions", "region"),
    [("*", REGION), ("us-*", REGION), ("us-west-2", "us-west-2"), ("us-*,eu-west-1,eu-west-2", "eu-west-1")],
)
async def test_the_region_is_the_first_that_is_named(world, regions, region):
    reply = await world.ask(signed(world, regions=regions))
    assert reply.json["Description"].startswith(region)


@pytest.mark.parametrize(
    "tamper",
    [
        lambda sent: type(sent)(sent.target, sent.headers, b'{"Name":"b-shop"}'),
        lambda sent: sent.having(**{"X-Amz-Region-Set": "us-east-1"}),
        lambda sent: sent.having(**{"X-Amz-Target": "AWSEvents.DeleteRule"}),
        lambda sent: sent.having(Host="elsewhere.example"),
        lambda sent: sent.to("/?a=b"),
        lambda sent: with_signature(sent, lambda signature: signature[:-1] + "0f"[signature[-1] == "0"]),
        lambda sent: with_signature(sent, lambda signature: "00"),
        lambda sent: with_signature(sent, lambda signature: ""),
        lambda sent: with_signature(sent, lambda signature: "3006020100020100"),
        lambda sent: with_signature(sent, lambda signature: "z" * 140),
        lambda sent: with_signature(sent, lambda signature: "30" * 72),
    ],
)
async def test_what_was_changed_on_the_way_is_refused(world, tamper):
    sent = tamper(signed(world, b'{"Name":"a-shop"}'))
    status, code, _ = (await world.ask(sent)).error
    assert (status, code) in ((403, WRONG), (403, INCOMPLETE))


def with_signature(sent, change):
    head, _, signature = sent.headers["Authorization"].rpartition("Signature=")
    return sent.having(Authorization=f"{head}Signature={change(signature)}")


async def test_the_secret_of_another_key_does_not_pass(world):
    forged = Credentials(PARTNER_KEY.access_key, KEY.secret_key)
    assert (await world.ask(signed(world, key=forged))).error == (403, WRONG, MISMATCH)
    # The id of the key is in the derivation: one secret under two ids makes two pairs.
    assert private_key("s", "A").private_numbers() != private_key("s", "B").private_numbers()


async def test_a_signature_of_one_kind_is_none_of_the_other(world):
    sent = world.signed()
    claimed = sent.headers["Authorization"].replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")
    claimed = claimed.replace(f"/{REGION}/", "/")
    headers = sent.having(Authorization=claimed, **{"X-Amz-Region-Set": "*"})
    assert (await world.ask(headers)).error[:2] == (403, WRONG)


@pytest.mark.parametrize("regions", ["", "*;", "US-EAST-1", ",".join(["us-east-1"] * 17)])
async def test_a_region_set_that_is_none(world, regions):
    sent = signed(world).having(**{"X-Amz-Region-Set": regions})
    assert (await world.ask(sent)).error == (403, INCOMPLETE, REGION_SET)


async def test_no_region_set(world):
    assert (await world.ask(signed(world).without("X-Amz-Region-Set"))).error == (403, INCOMPLETE, REGION_SET)


async def test_the_region_set_must_be_signed(world):
    sent = signed(world)
    authorization = sent.headers["Authorization"].replace("x-amz-region-set;", "")
    assert authorization != sent.headers["Authorization"]
    _, code, said = (await world.ask(sent.having(Authorization=authorization))).error
    assert (code, said) == (
        WRONG,
        "There were headers present in the request which were not signed: x-amz-region-set.",
    )


async def test_a_scope_with_a_region_is_refused(world):
    sent = signed(world)
    authorization = sent.headers["Authorization"].replace("/events/", f"/{REGION}/events/")
    _, code, said = (await world.ask(sent.having(Authorization=authorization))).error
    assert code == INCOMPLETE
    assert said.startswith("Credential must have exactly 4 slash-delimited elements")


async def test_an_old_signature_is_refused(world):
    sent = signed(world)
    await world.clock.advance(timedelta(minutes=6))
    _, code, said = (await world.ask(sent)).error
    assert code == WRONG
    assert said.startswith("Signature expired")


# -- the key pair -----------------------------------------------------------------------------------------


def test_a_derived_number_that_is_no_private_key_is_passed_over(monkeypatch):
    drawn = {1: ORDER - 1, 2: 2**256 - 1, 3: ORDER - 2}
    monkeypatch.setattr(sigv4a, "_derived", lambda secret, key, counter: drawn[counter].to_bytes(32))
    assert private_key("s", "k").private_numbers().private_value == ORDER - 1


def test_a_text_is_signed_by_its_key_alone():
    signature = private_key("s", "k").sign(b"text", ec.ECDSA(SHA256()))
    assert PublicKey("s", "k").has_signed("text", signature.hex())
    assert not PublicKey("s", "k").has_signed("texT", signature.hex())
    assert not PublicKey("t", "k").has_signed("text", signature.hex())
    r, s = decode_dss_signature(signature)
    assert not PublicKey("s", "k").has_signed("text", encode_dss_signature(r, s ^ 1).hex())
