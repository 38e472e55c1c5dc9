"""Accounts at the admin face: requests that are signed with an access key, over any path."""

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.edge.world import ACCOUNT, DEFAULT_ACCOUNT, KEY, PARTNER_ACCOUNT, PARTNER_KEY, REGION, Sent


def signed(world, path, method="GET", body=b"", key=KEY):
    request = AWSRequest(method=method, url=f"{world.url}/_partnerbus{path}", data=body)
    SigV4Auth(key, "events", REGION).add_auth(request)
    headers = {name: str(value) for name, value in request.prepare().headers.items()}
    wire = {"Host": world.host, "Content-Length": str(len(body)), **headers}
    return Sent(f"/_partnerbus{path}", wire, body, method)


@pytest.mark.parametrize(
    "path", ["/events", "/events/a%20b?limit=1&bus=x%2Fy", "/deliveries/sub-1~x", "/%C3%BC/a+b", "/a/b/"]
)
async def test_a_signed_request_is_its_account_s(world, path):
    reply = await world.ask(signed(world, path))
    assert reply.json["viewer"] == {"account": ACCOUNT, "partner": None, "only_looks": False}
    reply = await world.ask(signed(world, path, "POST", b"{}", PARTNER_KEY))
    assert reply.json["viewer"] == {"account": PARTNER_ACCOUNT, "partner": "acme.com", "only_looks": False}
    assert reply.json["body"] == "{}"


async def test_a_signature_is_for_one_path_and_one_body(world):
    sent = signed(world, "/events/1", "POST", b"{}")
    for other in (
        Sent("/_partnerbus/events/2", sent.headers, sent.body, sent.method),
        Sent("/_partnerbus/events/1?x=1", sent.headers, sent.body, sent.method),
        Sent(sent.target, sent.headers, b"[]", sent.method),
        Sent(sent.target, sent.headers, sent.body, "PUT"),
    ):
        reply = await world.ask(other)
        assert reply.status == 403
        assert "signature" in reply.json["error"]


@pytest.mark.parametrize("key", [Credentials("NOBODY", "x"), Credentials(KEY.access_key, "wrong")])
async def test_a_key_that_is_not_known_or_not_right_is_refused(world, key):
    reply = await world.ask(signed(world, "/events", key=key))
    assert (reply.status, list(reply.json)) == (403, ["error"])


async def test_without_authentication_a_key_names_its_account_and_nobody_is_the_operator(open_to_all):
    for key, account in ((ACCOUNT, ACCOUNT), ("any", DEFAULT_ACCOUNT)):
        reply = await open_to_all.ask(signed(open_to_all, "/events", key=Credentials(key, "any")))
        assert reply.json["viewer"] == {"account": account, "partner": None, "only_looks": False}
    reply = await open_to_all.ask(Sent("/_partnerbus/events", {"Host": open_to_all.host}, b"", "GET"))
    assert reply.status == 401
