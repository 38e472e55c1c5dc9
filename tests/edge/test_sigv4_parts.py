"""Signatures in time, and the parts of their verification."""

import hashlib
import hmac
from datetime import timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partnerbus.api.errors import ApiError
from partnerbus.edge.head import RequestHead
from partnerbus.edge.presented import present
from partnerbus.edge.sigv4 import (
    REMEMBERED_KEYS,
    Verifier,
    canonical_query,
    canonical_request,
    signing_key,
    string_to_sign,
)
from partnerbus.engine.accounts import KeyHolder
from partnerbus.kernel.clock import ManualClock
from tests.edge.world import ACCOUNT, REGION, open_world

SCOPE = f"20260101/{REGION}/events/aws4_request"
WRONG = "InvalidSignatureException"


# -- time ------------------------------------------------------------------------------------------------

CLOSE = timedelta(minutes=4, seconds=30)
FAR = timedelta(minutes=5, seconds=30)


def basic(instant):
    return instant.strftime("%Y%m%dT%H%M%SZ")


async def test_a_signature_that_is_nearly_too_old_passes_and_an_older_one_does_not(world):
    request = world.signed()
    await world.clock.advance(CLOSE)
    assert (await world.ask(request)).status == 200
    await world.clock.advance(FAR - CLOSE)
    now = world.clock.now()
    assert (await world.ask(request)).error == (
        403,
        WRONG,
        f"Signature expired: {request.headers['X-Amz-Date']} is now earlier than "
        f"{basic(now - timedelta(minutes=5))} ({basic(now)} - 5 min.)",
    )


@pytest.mark.parametrize(("ahead", "status"), [(CLOSE, 200), (FAR, 403)])
async def test_a_signature_from_the_future(world, ahead, status):
    world.clock._now -= ahead  # the caller's clock is ahead of ours
    request = world.signed()
    reply = await world.ask(request)
    assert reply.status == status
    if status == 403:
        now = world.clock.now()
        assert reply.error[1:] == (
            WRONG,
            f"Signature not yet current: {request.headers['X-Amz-Date']} is still later than "
            f"{basic(now + timedelta(minutes=5))} ({basic(now)} + 5 min.)",
        )


async def test_the_skew_is_a_setting(tmp_path):
    async with open_world(tmp_path, skew=timedelta(minutes=15)) as world:
        request = world.signed()
        await world.clock.advance(timedelta(minutes=14))
        assert (await world.ask(request)).status == 200
        await world.clock.advance(timedelta(minutes=2))
        assert (await world.ask(request)).error[2].endswith("- 15 min.)")


async def test_a_presigned_request_lives_until_its_expiry(world):
    request = world.signed(presigned=True)
    await world.clock.advance(timedelta(minutes=59))
    assert (await world.ask(request)).status == 200
    await world.clock.advance(timedelta(minutes=2))
    status, code, said = (await world.ask(request)).error
    assert (status, code) == (403, WRONG)
    assert said.startswith("Signature expired: ")
    assert said.endswith(" - 60 min.)")


# -- the parts -------------------------------------------------------------------------------------------


class OneKey:
    def holder(self, access_key: str) -> KeyHolder | None:
        return KeyHolder(account=ACCOUNT, partner=None, secret=access_key)


def test_a_date_header_in_the_format_of_http_is_understood():
    clock = ManualClock()
    headers = [(b"host", b"a"), (b"date", format_datetime(clock.now(), usegmt=True).encode())]
    credential = f"Credential=key/20260101/{REGION}/events/aws4_request, SignedHeaders=date;host, Signature="
    bare = RequestHead(
        method="POST", headers=[*headers, (b"authorization", f"AWS4-HMAC-SHA256 {credential}0".encode())]
    )
    presented = present(bare)
    assert presented.signed_at == "20260101T000000Z"
    text = string_to_sign(
        presented, canonical_request(bare, ("date", "host"), hashlib.sha256(b"").hexdigest())
    )
    signature = hmac.digest(signing_key("key", "20260101", REGION), text.encode(), "sha256").hex()
    signed = f"AWS4-HMAC-SHA256 {credential}{signature}".encode()
    head = RequestHead(method="POST", headers=[*headers, (b"authorization", signed)])
    assert Verifier(OneKey(), clock).read(head).confirm(b"").account == ACCOUNT
    with pytest.raises(ApiError):
        Verifier(OneKey(), clock).read(head).confirm(b"x")


def test_a_date_header_must_be_signed():
    clock = ManualClock()
    credential = f"Credential=key/20260101/{REGION}/events/aws4_request, SignedHeaders=host, Signature=0"
    head = RequestHead(
        method="POST",
        headers=[
            (b"host", b"a"),
            (b"date", format_datetime(clock.now(), usegmt=True).encode()),
            (b"authorization", f"AWS4-HMAC-SHA256 {credential}".encode()),
        ],
    )
    with pytest.raises(ApiError, match=r"The date of the request must be signed\."):
        Verifier(OneKey(), clock).read(head)


def test_remembered_signing_keys_are_bounded():
    verifier = Verifier(OneKey(), ManualClock())
    for number in range(REMEMBERED_KEYS + 10):
        head = RequestHead(
            method="POST",
            headers=[
                (b"host", b"a"),
                (b"x-amz-date", b"20260101T000000Z"),
                (
                    b"authorization",
                    f"AWS4-HMAC-SHA256 Credential=k{number}/20260101/{REGION}/events/aws4_request, "
                    "SignedHeaders=host;x-amz-date, Signature=0".encode(),
                ),
            ],
        )
        verifier.read(head)
    assert verifier._shared_key.cache_info().currsize == REMEMBERED_KEYS


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        (b"", ""),
        (b"b=1&a=2&a=1", "a=1&a=2&b=1"),
        (b"a", "a="),
        (b"a=%7e%2f&b=/~", "a=~%2F&b=%2F~"),
        (b"a=b+c&X-Amz-Signature=0", "a=b%2Bc"),
        (b"a=b=c", "a=b%3Dc"),
        (b"a=%ff", "a=%FF"),
    ],
)
def test_the_canonical_query(query, canonical):
    assert canonical_query(query) == canonical


HEADER = st.tuples(
    st.sampled_from(
        [b"authorization", b"x-amz-date", b"date", b"host", b"x-amz-content-sha256", b"x-amz-region-set"]
    ),
    st.binary(max_size=60)
    | st.sampled_from(
        [
            b"20260101T000000Z",
            b"*",
            f"AWS4-HMAC-SHA256 Credential=a/{SCOPE}, SignedHeaders=host;x-amz-date, Signature=0".encode(),
            b"AWS4-HMAC-SHA256 Credential=////, SignedHeaders=;, Signature=\xff",
            b"AWS4-ECDSA-P256-SHA256 Credential=a/20260101/events/aws4_request, "
            b"SignedHeaders=host;x-amz-date;x-amz-region-set, Signature=3006020101020101",
        ]
    ),
)


@given(st.lists(HEADER, max_size=5), st.binary(max_size=80), st.booleans())
def test_whatever_the_head_says_the_answer_is_a_refusal(headers, query, presigned):
    query = query + b"&X-Amz-Signature=0" if presigned else query
    with pytest.raises(ApiError):
        Verifier(OneKey(), ManualClock()).read(
            RequestHead(method="POST", query=query, headers=headers)
        ).confirm(b"")
