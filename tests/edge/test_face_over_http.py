import asyncio
import json

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from partnerbus.kernel.failpoints import Failpoint
from tests.edge.world import ACCOUNT, KEY, PARTNER_ACCOUNT, PARTNER_KEY, REGION, World, open_world


def client(world: World, key=KEY):
    return boto3.client(
        "events",
        endpoint_url=world.url,
        region_name=REGION,
        aws_access_key_id=key.access_key,
        aws_secret_access_key=key.secret_key,
        config=Config(retries={"max_attempts": 0}),
    )


async def test_boto3_calls_and_reads_the_answer(world):
    answer = await asyncio.to_thread(client(world).describe_event_bus, Name="shop")
    assert answer["Name"] == "shop"
    assert answer["Arn"] == ACCOUNT
    assert answer["ResponseMetadata"]["RequestId"]


async def test_the_key_of_a_partner_makes_a_partner_s_call(world):
    answer = await asyncio.to_thread(client(world, PARTNER_KEY).describe_event_bus)
    assert answer["Arn"] == PARTNER_ACCOUNT
    assert answer["Description"] == f"{REGION} acme.com False"


async def test_boto3_reads_errors(world):
    with pytest.raises(ClientError) as caught:
        await asyncio.to_thread(client(world).describe_rule, Name="a")
    assert caught.value.response["Error"] == {
        "Code": "ResourceNotFoundException",
        "Message": "Rule a does not exist on EventBus default.",
    }


async def test_every_answer_carries_what_sdks_read(world):
    reply = await world.call()
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/x-amz-json-1.1"
    assert len(reply.headers["x-amzn-requestid"]) == 36
    assert reply.headers["date"] == f"{world.clock.now():%a, %d %b %Y %H:%M:%S GMT}"
    assert "server" not in reply.headers
    refused = await world.call("DescribeRule", b'{"Name":"a"}')
    assert refused.headers["x-amzn-errortype"] == "ResourceNotFoundException"
    assert refused.headers["x-amzn-requestid"] != reply.headers["x-amzn-requestid"]


async def test_operations_without_output_answer_nothing_or_an_empty_object(world):
    assert (await world.call("DeleteRule", b'{"Name":"a"}')).body == b""
    assert (await world.call("DeleteArchive", b'{"ArchiveName":"a"}')).body == b"{}"


CONNECTION = json.dumps(
    {
        "Name": "c",
        "AuthorizationType": "BASIC",
        "AuthParameters": {"BasicAuthParameters": {"Username": "u", "Password": "p"}},
    }
).encode()


DEEP = b'{"Name":' + b"[" * 1_000 + b"]" * 1_000 + b"}"


@pytest.mark.parametrize(
    ("operation", "body", "status", "code", "sentence"),
    [
        ("DescribeEventBus", b"{", 400, "SerializationException", "The request body is not valid JSON: "),
        (
            "DescribeEventBus",
            b'"\xff"',
            400,
            "SerializationException",
            "The request body is not valid UTF-8.",
        ),
        ("DescribeEventBus", b"[]", 400, "SerializationException", "The request body must be a JSON object."),
        ("DescribeEventBus", DEEP, 400, "SerializationException", "The request body is nested more than 64"),
        ("DescribeEventBus", b'{"Name":5}', 400, "SerializationException", "NUMBER_VALUE can not be conve"),
        (
            "DescribeEventBus",
            b'{"Name":""}',
            400,
            "ValidationException",
            "2 validation errors detected: Value",
        ),
        ("DescribeRule", b'{"Name":"a"}', 400, "ResourceNotFoundException", "Rule a does not exist on"),
        ("ListArchives", b"{}", 403, "AccessDeniedException", "No."),
        ("ListEventBuses", b"{}", 400, "ThrottlingException", "Rate exceeded"),
        ("ListReplays", b"{}", 500, "InternalException", "The request failed inside the server; its id is "),
        ("DisableRule", b'{"Name":"a"}', 400, "ConcurrentModificationException", "The resource was changed"),
        ("CreateConnection", CONNECTION, 400, "ThrottlingException", "Rate exceeded"),
        ("CreateEndpoint", b"{}", 400, "OperationNotSupportedException", "The operation CreateEndpoint is"),
        ("NoSuch", b"{}", 404, "UnknownOperationException", "X-Amz-Target names no operation of AWSEvents."),
    ],
)
async def test_errors_have_a_code_a_status_and_a_sentence(world, operation, body, status, code, sentence):
    found = (await world.call(operation, body)).error
    assert found[:2] == (status, code)
    assert found[2].startswith(sentence)


async def test_a_failure_inside_is_logged_with_the_request_s_id_and_tells_nothing(world):
    reply = await world.call("ListRules", b"{}")
    assert reply.error[:2] == (500, "InternalException")
    assert "hush" not in reply.body.decode()
    assert "hush" in world.log()
    assert reply.headers["x-amzn-requestid"] in world.log()
    assert reply.headers["x-amzn-requestid"] in reply.json["message"]


@pytest.mark.parametrize("point", [Failpoint.EDGE_REQUEST_READ, Failpoint.EDGE_BEFORE_ANSWER])
async def test_a_failpoint_of_the_edge_fails_one_request(tmp_path, point):
    async with open_world(tmp_path, failpoints={point: "error@2"}) as world:
        assert [(await world.call()).status for _ in range(3)] == [200, 500, 200]
        assert str(point) in world.log()


async def test_requests_are_counted_by_operation_and_answer(world):
    await world.call()
    await world.call("NoSuch")
    await world.call("DescribeRule", b'{"Name":"a"}')
    text = (await world.raw(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")).body.decode()
    assert 'partnerbus_requests_total{error="",operation="DescribeEventBus",status="200"} 1.0' in text
    assert 'operation="unknown",status="404"} 1.0' in text
    assert 'error="ResourceNotFoundException",operation="DescribeRule",status="400"} 1.0' in text
    assert 'partnerbus_request_seconds_count{operation="DescribeEventBus"} 1.0' in text
