"""What hurts, through a real socket: each gets its documented answer, and nothing is half written."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from partnerbus.testing.operator import Operator
from partnerbus.testing.receiver import Receiver
from partnerbus.testing.server_process import ServerProcess
from tests.main_job.story import ACME, CUSTOMER, KEYS, OTHER, Story, create_accounts, run

SOURCE = "aws.partner/acme.com/orders"
GOOD = {"Source": SOURCE, "DetailType": "order.created", "Detail": '{"n": 1}'}
DEEP = 1_001
VECTORS = Path(__file__).parents[1] / "patterns" / "vectors"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hurt(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Story]:
    """A server that allows no private targets, with a source that is ACTIVE. Nothing here changes it."""
    data: Path = tmp_path_factory.mktemp("hurt") / "data"
    await create_accounts(data, {ACME: "acme.com", OTHER: "other.example"})
    async with Receiver() as receiver, ServerProcess(data, "--no-throttling") as server:
        story = Story(server, receiver)
        await story.offer(ACME, SOURCE)
        yield story
        story.close()


pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


def signed(story: Story, body: bytes, operation: str = "PutPartnerEvents", **changed: str) -> bytes:
    """A request with a good signature; `changed` headers spoil it afterwards, empty ones go."""
    headers = {
        "Host": urlsplit(story.server.url).netloc,
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"AWSEvents.{operation}",
        "Content-Length": str(len(body)),
    }
    request = AWSRequest("POST", story.server.url + "/", headers=headers, data=body)
    SigV4Auth(Credentials(*KEYS[ACME]), "events", "us-east-1").add_auth(request)
    sent = dict(request.headers.items()) | changed
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value)
    return f"POST / HTTP/1.1\r\n{head}\r\n".encode() + body


async def exchange(story: Story, sent: bytes, *, half_close: bool = False) -> tuple[int, dict[str, Any]]:
    """Send bytes; (status, body) of the answer, (0, {}) if the connection was closed without one."""
    where = urlsplit(story.server.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        writer.write(sent)
        if half_close:
            writer.write_eof()
        async with asyncio.timeout(60):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            body = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0, {}
    finally:
        writer.close()
    return int(head.split(b" ", 2)[1]), json.loads(body) if body else {}


def entries(*given: Mapping[str, Any]) -> bytes:
    return json.dumps({"Entries": given}).encode()


async def accepted(story: Story) -> int:
    """How many events the source's bus has stored so far."""
    async with Operator(story.server.data) as operator:
        return (await operator.ledger(CUSTOMER, SOURCE)).accepted


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("InvalidSignatureException", {"X-Amz-Target": "AWSEvents.PutEvents"}),
        ("MissingAuthenticationTokenException", {"Authorization": ""}),
        ("IncompleteSignatureException", {"Authorization": "AWS4-HMAC-SHA256 Credential=x"}),
        ("InvalidSignatureException", {"X-Amz-Date": "20200101T000000Z"}),
    ],
)
async def test_who_cannot_be_believed_is_refused(hurt: Story, code: str, changed: dict[str, str]) -> None:
    before = await accepted(hurt)
    status, answer = await exchange(hurt, signed(hurt, entries(GOOD), **changed))
    assert (status // 100, answer["__type"]) == (4, code), answer
    assert answer["message"]
    assert await accepted(hurt) == before


async def test_an_unknown_key_is_refused(hurt: Story) -> None:
    request = signed(hurt, entries(GOOD)).replace(KEYS[ACME][0].encode(), b"PBNOBODYNOBODYNOBODY")
    status, answer = await exchange(hurt, request)
    assert (status, answer["__type"]) == (403, "UnrecognizedClientException")


async def test_a_truncated_body_stores_nothing(hurt: Story) -> None:
    before = await accepted(hurt)
    request = signed(hurt, entries(GOOD, GOOD))
    status, _ = await exchange(hurt, request[:-20], half_close=True)
    assert status in (0, 400)
    assert await accepted(hurt) == before


async def test_ten_megabytes_are_refused_before_they_are_read(hurt: Story) -> None:
    body = entries(GOOD | {"Detail": json.dumps({"x": "y" * 10_000_000})})
    whole = signed(hurt, body)
    only_head = whole[: whole.index(b"\r\n\r\n") + 4]
    status, answer = await exchange(hurt, only_head)
    assert (status, answer["__type"]) == (413, "RequestEntityTooLargeException")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not json", "SerializationException"),
        (b'{"Entries": [\xff\xfe]}', "SerializationException"),
        (b'{"Entries": [{"Source": "\xff"}]}', "SerializationException"),
        (b'{"Entries": ' + b"[" * DEEP + b"]" * DEEP + b"}", "SerializationException"),
        (b'{"Entries": {}}', "SerializationException"),
        (b"[]", "SerializationException"),
        (b"{}", "ValidationException"),
        (entries(), "ValidationException"),
        (entries(*[GOOD] * 21), "ValidationException"),
        (entries(GOOD, GOOD | {"Source": "acme.com/orders"}), "ValidationException"),
        (entries(GOOD, GOOD | {"Resources": ["r" * 2_049]}), "ValidationException"),
        (entries(GOOD, GOOD | {"Detail": json.dumps({"x": "y" * 1_048_576})}), "ValidationException"),
    ],
)
async def test_a_request_that_cannot_be_taken_stores_nothing_of_it(
    hurt: Story, body: bytes, code: str
) -> None:
    before = await accepted(hurt)
    status, answer = await exchange(hurt, signed(hurt, body))
    assert (status, answer["__type"]) == (400, code), answer
    assert "Traceback" not in str(answer)
    assert await accepted(hurt) == before


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"Detail": None}, "InvalidArgument"),
        ({"DetailType": None}, "InvalidArgument"),
        ({"Source": None}, "InvalidArgument"),
        ({"DetailType": "t" * 129}, "InvalidArgument"),
        ({"Detail": "[1]"}, "MalformedDetail"),
        ({"Detail": '"text"'}, "MalformedDetail"),
        ({"Detail": "{"}, "MalformedDetail"),
        ({"Detail": '{"a":' * DEEP + "1" + "}" * DEEP}, "MalformedDetail"),
        ({"Source": "aws.partner/other.example/orders"}, "AccessDeniedException"),
        ({"Source": "aws.partner/acme.com/unknown"}, "ResourceNotFoundException"),
    ],
)
async def test_a_bad_entry_fails_alone(hurt: Story, changed: dict[str, Any], code: str) -> None:
    before = await accepted(hurt)
    bad = {name: value for name, value in (GOOD | changed).items() if value is not None}
    status, answer = await exchange(hurt, signed(hurt, entries(GOOD, bad, GOOD)))
    assert status == 200
    assert answer["FailedEntryCount"] == 1
    first, second, third = answer["Entries"]
    assert second["ErrorCode"] == code, second
    assert second["ErrorMessage"]
    assert first["EventId"] != third["EventId"]
    assert await accepted(hurt) == before + 2


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        ("with/slash", "ValidationException", "EventBus name containing '/' is not valid."),
        ("aws.reserved", "ValidationException", "EventBus name starting with 'aws.' is not valid."),
        ("aws.partner/acme.com/unknown", "ValidationException", "starting with 'aws.' is not valid."),
        ("", "ValidationException", "Member must have length greater than or equal to 1"),
        ("x" * 257, "ValidationException", "Member must have length less than or equal to 256"),
        ("umlaut-ä", "ValidationException", r"regular expression pattern: [/\.\-_A-Za-z0-9]+"),
        ("default", "ResourceAlreadyExistsException", "Event bus default already exists."),
    ],
)
async def test_a_bus_name_that_cannot_be(hurt: Story, name: str, code: str, sentence: str) -> None:
    customer = hurt.client(CUSTOMER)
    with pytest.raises(ClientError) as caught:
        await run(customer.create_event_bus, Name=name)
    error = caught.value.response["Error"]
    assert error["Code"] == code
    assert sentence in error["Message"]
    buses = (await run(customer.list_event_buses))["EventBuses"]
    assert [bus["Name"] for bus in buses] == [SOURCE, "default"]


async def test_put_events_never_reaches_a_partner_bus(hurt: Story) -> None:
    entry: Any = {"Source": "mine", "DetailType": "t", "Detail": "{}", "EventBusName": SOURCE}
    with pytest.raises(ClientError, match="ValidationException"):
        await run(hurt.client(CUSTOMER).put_events, Entries=[entry])


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("[]", "Filter is not an object"),
        ("{}", "Empty objects are not allowed"),
        ('{"a": []}', "Empty arrays are not allowed"),
        ('{"a": "x"}', '"a" must be an object or an array'),
        ('{"a": [{"foo": 1}]}', "Unrecognized match type foo"),
        ('{"a": [{"numeric": [">", 5, "<", 1]}]}', "Bottom must be less than top"),
        ('{"a": [{"cidr": "10.0.0.0"}]}', "Malformed CIDR, one '/' required"),
        ('{"a": [{"wildcard": "a**b"}]}', "Consecutive wildcard characters at pos 2"),
        ('{"$or": [{"a": ["x"]}]}', "There must have at least 2 Objects in $or relationship."),
        ('{"a": ["x"', "Unexpected end-of-input"),
    ],
)
async def test_a_pattern_with_a_fault_is_refused_and_no_rule_is_made(
    hurt: Story, pattern: str, reason: str
) -> None:
    customer = hurt.client(CUSTOMER)
    with pytest.raises(ClientError) as caught:
        await run(customer.put_rule, Name="faulty", EventBusName=SOURCE, EventPattern=pattern)
    error = caught.value.response["Error"]
    assert error["Code"] == "InvalidEventPatternException"
    assert error["Message"].startswith(f"Event pattern is not valid. Reason: {reason}")
    assert (await run(customer.list_rules, EventBusName=SOURCE))["Rules"] == []


@pytest.mark.slow
async def test_each_pattern_that_the_vectors_refuse_is_refused_over_the_wire(hurt: Story) -> None:
    customer = hurt.client(CUSTOMER)
    refused = [
        vector for file in VECTORS.glob("*.refused.json") for vector in json.loads(file.read_text("utf-8"))
    ]
    assert len(refused) > 100
    for vector in refused:
        with pytest.raises(ClientError) as caught:
            await run(customer.put_rule, Name="faulty", EventBusName=SOURCE, EventPattern=vector["pattern"])
        error = caught.value.response["Error"]
        assert (error["Code"], error["Message"]) == (
            "InvalidEventPatternException",
            f"Event pattern is not valid. Reason: {vector['reason']}",
        )
    assert (await run(customer.list_rules, EventBusName=SOURCE))["Rules"] == []


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/hook",
        "https://10.1.2.3/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/hook",
        "https://[::ffff:10.0.0.1]/hook",
        "https://localhost/hook",
        "https://2130706433/hook",
        "http://example.com/hook",
        "https://user:secret@example.com/hook",
    ],
)
async def test_a_target_at_a_forbidden_address_is_refused_when_it_is_named(hurt: Story, url: str) -> None:
    customer = hurt.client(CUSTOMER)
    auth: Any = {"BasicAuthParameters": {"Username": "user", "Password": "password"}}
    try:
        made = await run(
            customer.create_connection, Name="key", AuthorizationType="BASIC", AuthParameters=auth
        )
        arn = made["ConnectionArn"]
    except customer.exceptions.ResourceAlreadyExistsException:
        arn = (await run(customer.describe_connection, Name="key"))["ConnectionArn"]
    with pytest.raises(ClientError, match="ValidationException"):
        await run(
            customer.create_api_destination,
            Name="forbidden",
            ConnectionArn=arn,
            InvocationEndpoint=url,
            HttpMethod="POST",
        )
    assert (await run(customer.list_api_destinations))["ApiDestinations"] == []
