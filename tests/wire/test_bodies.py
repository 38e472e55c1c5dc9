"""Bodies and heads that no operation takes: each gets its documented answer and changes nothing."""

import gzip
import json
from collections.abc import Iterator

import pytest

from partnerbus.testing.bus_in_thread import BusInThread
from tests.wire.answers import check, state
from tests.wire.client import CONTENT_TYPE, Client
from tests.wire.mutations import BROKEN, TOKENS, Pairs, Raw, render
from tests.wire.requests import GOOD, furnish


@pytest.fixture(scope="module")
def furnished(bus: BusInThread, accounts: Iterator[str]) -> Iterator[Client]:
    """An account that nothing here may change."""
    with Client(bus.url, next(accounts)) as client:
        furnish(client)
        yield client


@pytest.mark.parametrize("operation", GOOD)
def test_what_is_no_json_object_is_refused_by_every_operation(furnished: Client, operation: str) -> None:
    before = state(furnished)
    members = list(GOOD[operation](furnished).items())
    bodies = [render(Pairs([*members, ("Extra", Raw(token))])) for token in BROKEN]
    bodies += [render([*members]), "x", "nul", '"text"', "1", "[]", "[{}]", render(members[0][1]) + "}"]
    bodies += [render(Pairs([*members, members[0]])), render(Pairs(members)) + "{}", "\ufeff{}"]
    for body in bodies:
        reply = furnished.send(operation, body.encode("utf-8", "surrogatepass"))
        check(operation, reply)
        assert (reply.status, reply.json["__type"]) == (400, "SerializationException"), body[:200]
        assert reply.json["message"].endswith((".", "'")), reply.json
    assert state(furnished) == before


@pytest.mark.parametrize("operation", GOOD)
def test_unknown_members_may_be_anything(furnished: Client, operation: str) -> None:
    """They are ignored: a request that lacks what it needs is told so, and nothing else."""
    alone = furnished.send(operation, b'{"Name":1,"ArchiveName":1,"ReplayName":1,"Limit":"x","Rule":[]}')
    for token in TOKENS:
        pairs = Pairs([("Extra", Raw(token)), ("name", Raw(token)), ("", Raw(token))])
        body = render(pairs)[:-1] + ',"Name":1,"ArchiveName":1,"ReplayName":1,"Limit":"x","Rule":[]}'
        assert furnished.send(operation, body.encode()).json == alone.json, token


TARGETS = (
    "", "ListRules", "AWSEvents", "AWSEvents.", "AWSEvents.listrules", "AWSEvents.LISTRULES",
    "awsevents.ListRules", "AWSEvents.ListRules.", "AWSEvents.ListRules ListRules", "AmazonSQS.ListQueues",
    "AWSEvents_20151007.ListRules", "AWSEvents.NoSuchOperation", "AWSEvents." + "x" * 3_000,
    "AWSEvents.__class__", "AWSEventsV2.ListEventBuses",
)  # fmt: skip

CONTENT_TYPES = (
    "",
    "application/json",
    "application/x-amz-json-1.0",
    "text/plain",
    "multipart/form-data; boundary=x",
)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_names_no_operation(client: Client, target: str) -> None:
    reply = client.send("ListRules", b"{}", X_Amz_Target=target)
    assert (reply.status, reply.json["__type"]) == (404, "UnknownOperationException")
    assert reply.json["message"] == "X-Amz-Target names no operation of AWSEvents."


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_another_content_type(client: Client, content_type: str) -> None:
    reply = client.send("ListRules", b"{}", Content_Type=content_type)
    assert (reply.status, reply.json["__type"]) == (404, "UnknownOperationException")
    assert reply.json["message"] == f"The Content-Type of a request must be {CONTENT_TYPE}."


@pytest.mark.parametrize("content_type", [f"{CONTENT_TYPE}; charset=utf-8", CONTENT_TYPE.upper()])
def test_the_content_type_in_other_letters(client: Client, content_type: str) -> None:
    assert client.send("ListRules", b"{}", Content_Type=content_type).status == 200


def test_a_body_that_is_too_large(client: Client) -> None:
    whole = json.dumps({"Name": "x", "Description": "x" * 7_000_000}).encode()
    for body, encoding in ((whole, ""), (gzip.compress(whole), "gzip")):
        reply = client.send("CreateEventBus", body, Content_Encoding=encoding)
        assert (reply.status, reply.json["__type"]) == (413, "RequestEntityTooLargeException")
    assert client("ListEventBuses", NamePrefix="x") == {"EventBuses": []}


def test_a_compressed_body(client: Client) -> None:
    body = gzip.compress(b'{"Name":"compressed"}')
    assert client.send("CreateEventBus", body, Content_Encoding="gzip").status == 200
    reply = client.send("CreateEventBus", b'{"Name":"not"}', Content_Encoding="gzip")
    assert (reply.status, reply.json["__type"]) == (400, "MalformedHttpRequestException")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize(
    "path", ["/", "/x", "//", "/../", "/?Action=ListRules", "/%00", "/_partnerbus", "/metrics/x"]
)
def test_other_methods_and_paths(client: Client, method: str, path: str) -> None:
    reply = client.request(method, path, b"{}", client.headers("ListRules"))
    assert reply.status in (401, 404)
    assert method == "HEAD" or "error" in reply.json
