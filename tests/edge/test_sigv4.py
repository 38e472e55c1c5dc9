"""Signatures over a real socket, made by botocore: what passes, and what does not."""

import gzip
import hashlib
import hmac

import pytest
from botocore.credentials import Credentials

from partnerbus.edge.presented import MISMATCH
from partnerbus.edge.sigv4 import signing_key
from partnerbus.engine.accounts import KeyHolder
from tests.edge.world import ACCOUNT, KEY, PARTNER_KEY, REGION

MISSING = "MissingAuthenticationTokenException"
INCOMPLETE = "IncompleteSignatureException"
WRONG = "InvalidSignatureException"
UNKNOWN = "UnrecognizedClientException"
UNKNOWN_TEXT = "The security token included in the request is invalid."


# -- what passes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("presigned", [False, True])
async def test_what_botocore_signs_passes(world, presigned):
    reply = await world.ask(world.signed(b'{"Name":"shop"}', presigned=presigned))
    assert reply.json["Name"] == "shop"
    assert reply.json["Arn"] == ACCOUNT


@pytest.mark.parametrize("presigned", [False, True])
async def test_a_query_and_odd_headers_are_signed_as_they_are(world, presigned):
    query = "?b=2&a=%20x%2Fy&a=&c"
    request = world.signed(presigned=presigned, query=query, X_Odd="  a   b  ", X_Empty="")
    assert (await world.ask(request)).status == 200


async def test_repeated_headers_are_signed_together(world):
    request = world.signed(X_Many="a,b c")
    sent = request.without("X-Many").wire()
    sent = sent.replace(b"\r\n\r\n", b"\r\nX-Many: a\r\nx-many:  b   c \r\n\r\n", 1)
    assert (await world.raw(sent)).status == 200


async def test_names_of_headers_may_have_any_case(world):
    request = world.signed()
    lower = {name.lower(): value for name, value in request.headers.items()}
    reply = await world.raw(type(request)(request.target, lower, request.body).wire())
    assert reply.status == 200


async def test_a_hash_of_the_body_may_be_sent_along(world):
    digest = hashlib.sha256(b"{}").hexdigest()
    assert (await world.ask(world.signed(X_Amz_Content_SHA256=digest))).status == 200


async def test_the_compressed_body_is_what_is_signed(world):
    body = gzip.compress(b'{"Name":"shop"}', mtime=0)
    reply = await world.ask(world.signed(body, Content_Encoding="gzip"))
    assert reply.json["Name"] == "shop"


@pytest.mark.parametrize("region", ["us-east-1", "ap-southeast-4", "us-gov-west-1", "us-iso-east-1"])
async def test_any_region_is_served(world, region):
    reply = await world.ask(world.signed(region=region))
    assert reply.json["Description"].startswith(region)


def test_a_signing_key_is_the_documented_chain():
    key = b"AWS4a-secret"
    for word in ("20150830", "us-east-1", "events", "aws4_request"):
        key = hmac.new(key, word.encode(), "sha256").digest()
    assert signing_key("a-secret", "20150830", "us-east-1") == key


# -- what does not ---------------------------------------------------------------------------------------


async def test_no_signature(world):
    reply = await world.ask(world.signed().without("Authorization"))
    assert reply.error == (403, MISSING, "Request is missing Authentication Token")
    assert reply.headers["x-amzn-errortype"] == MISSING
    assert reply.headers["x-amzn-requestid"]


SCOPE = f"20260101/{REGION}/events/aws4_request"


@pytest.mark.parametrize(
    ("authorization", "sentence"),
    [
        ("Bearer abc", "Unsupported AWS 'algorithm': 'Bearer'."),
        ("AWS4-HMAC-SHA512 Credential=a", "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512'."),
        (
            f"AWS4-HMAC-SHA256 SignedHeaders=host, Credential=a/{SCOPE}",
            "Authorization header requires 'Signature' parameter. Authorization=AWS4-HMAC-SHA256 Signed",
        ),
        (
            "AWS4-HMAC-SHA256 x",
            "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' "
            "parameter. Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0",
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            "got 'a/b'.",
        ),
        (
            f"AWS4-HMAC-SHA256 Credential=a/{SCOPE}, Credential=b/{SCOPE}, SignedHeaders=host, Signature=0",
            "The Authorization header has 'Credential' more than once.",
        ),
    ],
)
async def test_an_authorization_that_is_incomplete(world, authorization, sentence):
    status, code, said = (await world.ask(world.signed().having(Authorization=authorization))).error
    assert (status, code) == (403, INCOMPLETE)
    assert said.startswith(sentence)


async def test_no_date(world):
    _, code, said = (await world.ask(world.signed().without("X-Amz-Date"))).error
    assert code == INCOMPLETE
    assert said.startswith(
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
    )


@pytest.mark.parametrize("date", ["2026-01-01T00:00:00Z", "yesterday", "20269999T999999Z", "20260101T000000"])
async def test_a_date_in_another_format(world, date):
    _, code, said = (await world.ask(world.signed().having(X_Amz_Date=date))).error
    assert code == INCOMPLETE
    assert said == (
        f"Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
    )


async def test_two_authorizations(world):
    request = world.signed()
    sent = request.wire().replace(
        b"\r\n\r\n", f"\r\nauthorization: {request.headers['Authorization']}\r\n\r\n".encode(), 1
    )
    reply = await world.raw(sent)
    assert reply.error[1] == INCOMPLETE
    assert reply.error[2].startswith("The request must be signed once")


async def test_a_signature_in_the_header_and_in_the_query(world):
    request = world.signed(presigned=True).having(Authorization=world.signed().headers["Authorization"])
    assert (await world.ask(request)).error[1] == INCOMPLETE


async def test_an_unknown_key(world):
    reply = await world.ask(world.signed(key=Credentials("PBNOBODY", "x")))
    assert reply.error == (403, UNKNOWN, UNKNOWN_TEXT)


@pytest.mark.parametrize("presigned", [False, True])
async def test_a_session_token(world, presigned):
    key = Credentials(KEY.access_key, KEY.secret_key, "a-token")
    reply = await world.ask(world.signed(key=key, presigned=presigned))
    assert reply.error == (403, UNKNOWN, UNKNOWN_TEXT)


@pytest.mark.parametrize("presigned", [False, True])
async def test_another_secret(world, presigned):
    reply = await world.ask(world.signed(key=Credentials(KEY.access_key, "x"), presigned=presigned))
    assert reply.error == (403, WRONG, MISMATCH)


async def test_a_secret_that_was_rotated_verifies_no_more(world):
    request = world.signed()
    assert (await world.ask(request)).status == 200
    world.keys.holders[KEY.access_key] = KeyHolder(account=ACCOUNT, partner=None, secret="new")
    assert (await world.ask(request)).error == (403, WRONG, MISMATCH)
    assert (await world.ask(world.signed(key=Credentials(KEY.access_key, "new")))).status == 200


async def test_another_key_with_this_signature(world):
    request = world.signed()
    swapped = request.headers["Authorization"].replace(KEY.access_key, PARTNER_KEY.access_key)
    assert (await world.ask(request.having(Authorization=swapped))).error == (403, WRONG, MISMATCH)


@pytest.mark.parametrize("presigned", [False, True])
async def test_another_body(world, presigned):
    request = world.signed(b'{"Name":"a"}', presigned=presigned)
    reply = await world.ask(type(request)(request.target, request.headers, b'{"Name":"b"}'))
    assert reply.error == (403, WRONG, MISMATCH)


async def test_another_operation_under_a_captured_signature(world):
    reply = await world.ask(world.signed().having(X_Amz_Target="AWSEvents.DeleteArchive"))
    assert reply.error == (403, WRONG, MISMATCH)


@pytest.mark.parametrize("presigned", [False, True])
async def test_another_query(world, presigned):
    request = world.signed(presigned=presigned)
    separator = "&" if "?" in request.target else "?"
    assert (await world.ask(request.to(f"{request.target}{separator}a=b"))).error == (403, WRONG, MISMATCH)


async def test_a_hash_that_is_not_the_body_s(world):
    wrong = world.signed(X_Amz_Content_SHA256="UNSIGNED-PAYLOAD")
    assert (await world.ask(wrong)).error == (403, WRONG, MISMATCH)


async def test_a_header_of_aws_that_is_not_signed(world):
    status, code, said = (await world.ask(world.signed().having(X_Amz_Other="a"))).error
    assert (status, code) == (403, WRONG)
    assert said == "There were headers present in the request which were not signed: x-amz-other."


async def test_a_host_that_is_not_signed(world):
    request = world.signed()
    unsigned = request.headers["Authorization"].replace("host;", "")
    _, code, said = (await world.ask(request.having(Authorization=unsigned))).error
    assert (code, said) == (
        WRONG,
        "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
    )


async def test_another_service(world):
    _, code, said = (await world.ask(world.signed(service="sqs"))).error
    assert (code, said) == (WRONG, "Credential should be scoped to correct service: 'events'.")


@pytest.mark.parametrize("region", ["mars", "us-east", "*", "us-east-1x", "a" * 300])
async def test_what_is_no_region(world, region):
    _, code, said = (await world.ask(world.signed(region=region))).error
    assert (code, said) == (WRONG, "Credential should be scoped to a valid region.")


async def test_another_terminator_and_another_day(world):
    request = world.signed()
    authorization = request.headers["Authorization"]
    reply = await world.ask(request.having(Authorization=authorization.replace("aws4_request", "aws5")))
    assert (
        reply.error[2] == "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5'."
    )
    day = request.headers["X-Amz-Date"][:8]
    reply = await world.ask(request.having(Authorization=authorization.replace(f"/{day}/", "/20200101/")))
    assert reply.error[1] == WRONG
    assert reply.error[2].startswith("Date in Credential scope does not match YYYYMMDD from ISO-8601 version")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("X-Amz-Credential", "AWS query-string parameters must include 'X-Amz-Credential'. Re-examine the"),
        ("X-Amz-Expires", "AWS query-string parameters must include 'X-Amz-Expires'. Re-examine the"),
        ("X-Amz-Date", "AWS query-string parameters must include 'X-Amz-Date'. Re-examine the"),
    ],
)
async def test_a_presigned_request_that_lacks_something(world, name, sentence):
    request = world.signed(presigned=True)
    reply = await world.ask(request.to(request.target.replace(f"{name}=", "Other=")))
    assert reply.error[1] == INCOMPLETE
    assert reply.error[2].startswith(sentence)


@pytest.mark.parametrize("seconds", ["0", "604801", "x", "-1", "9999999", "1.5"])
async def test_an_expiry_out_of_range(world, seconds):
    request = world.signed(presigned=True)
    reply = await world.ask(request.to(request.target.replace("Expires=3600", f"Expires={seconds}")))
    assert reply.error[1] == INCOMPLETE
