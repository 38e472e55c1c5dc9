"""What each kind of AWS target is sent, over real sockets and a scripted service."""

import msgspec
import pytest

from partnerbus.model.reply import ErrorCode
from partnerbus.model.resources import HttpParameters, Target
from partnerbus.model.target_parameters import (
    AppSyncParameters,
    KinesisParameters,
    PipelineParameter,
    SageMakerPipelineParameters,
)
from partnerbus.targets.registry import Targets
from partnerbus.testing.receiver import Receiver, Respond
from tests.targets.aws_calls import PAYLOAD, answers, body_of, make, operations, send
from tests.targets.aws_targets import ECS, LOGS, RUN, a_target, arn, template
from tests.targets.things import REGION

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_aws_credentials")]


async def test_a_batch_of_builds(receiver: Receiver, targets: Targets):
    answers(receiver, {"buildBatch": {"id": "1"}}, {"build": {"id": "1"}})
    target = a_target(arn("codebuild", "project/site"), input="{}")
    variables = b'"environmentVariablesOverride":[{"name":"A","value":"b"}]'
    assert (await send(targets, target, b'{"buildType":"BATCH","sourceVersion":"v1"}')).accepted
    assert (await send(targets, target, b'{"projectName":"other",' + variables + b"}")).accepted
    assert operations(receiver) == ["StartBuildBatch", "StartBuild"]
    batch, build = map(body_of, receiver.requests)
    assert batch.pop("idempotencyToken") != build.pop("idempotencyToken")
    assert batch == {"projectName": "site", "sourceVersion": "v1"}
    assert build == {
        "projectName": "site",
        "environmentVariablesOverride": [{"name": "A", "value": "b"}],
    }


async def test_a_repeated_delivery_is_one_call_to_the_service(receiver: Receiver, targets: Targets):
    answers(receiver, {"pipelineExecutionId": "1"})
    for _ in range(2):
        assert (await send(targets, a_target(arn("codepipeline", "release")))).accepted
    first, second = (body_of(request)["clientRequestToken"] for request in receiver.requests)
    assert first == second


async def test_an_execution_that_is_there_already_was_started_by_this_delivery(
    receiver: Receiver, targets: Targets
):
    answers(receiver, {"__type": "ExecutionAlreadyExists", "message": "m"}, status=400)
    assert (await send(targets, a_target(arn("states", "stateMachine:m")))).accepted
    [request] = receiver.requests
    assert body_of(request)["name"] == "e-1_s-1"


@pytest.mark.parametrize(
    ("given", "version", "parameters"),
    [
        (None, "3", None),
        ('{"InstanceId": "i-1"}', "3", {"InstanceId": ["i-1"]}),
        ('{"InstanceId": ["i-1", "i-2"]}', "3", {"InstanceId": ["i-1", "i-2"]}),
        ('{"Parameters": {"InstanceId": ["i-1"]}, "DocumentVersion": "9"}', "3", {"InstanceId": ["i-1"]}),
    ],
)
async def test_an_automation(receiver: Receiver, targets: Targets, given, version, parameters):
    answers(receiver, {"AutomationExecutionId": "1"})
    target = a_target(arn("ssm", "automation-definition/Stop:3"), input=given)
    assert (await send(targets, target, (given or "{}").encode())).accepted
    assert operations(receiver) == ["StartAutomationExecution"]
    expected = {"DocumentName": "Stop", "DocumentVersion": version, "Parameters": parameters}
    assert body_of(receiver.requests[0]) == {name: each for name, each in expected.items() if each}


async def test_the_version_of_a_document_may_stand_in_the_input(receiver: Receiver, targets: Targets):
    answers(receiver, {"Command": {}})
    given = '{"DocumentVersion": "2", "Parameters": {"commands": ["ls"]}}'
    target = a_target(arn("ssm", "document/Own"), run_command=RUN, input=given)
    assert (await send(targets, target, given.encode())).accepted
    assert body_of(receiver.requests[0]) == {
        "DocumentName": "Own",
        "DocumentVersion": "2",
        "Parameters": {"commands": ["ls"]},
        "Targets": [{"Key": "tag:a", "Values": ["b"]}],
    }


async def test_an_ops_item(receiver: Receiver, targets: Targets):
    answers(receiver, {"OpsItemId": "1"})
    given = {
        "title": "Copy failed",
        "description": "it did",
        "category": "Recovery",
        "severity": "2",
        "resources": ["arn:aws:ec2:::v-1"],
        "operationalData": {"cause": {"value": "disk", "type": "SearchableString"}},
    }
    text = msgspec.json.encode(given)
    assert (await send(targets, a_target(arn("ssm", "opsitem"), input=text.decode()), text)).accepted
    assert (await send(targets, a_target(arn("ssm", "opsitem")))).accepted
    templated, untouched = map(body_of, receiver.requests)
    assert templated == {
        "Title": "Copy failed",
        "Description": "it did",
        "Source": "aws.partner/example.com/1",
        "Category": "Recovery",
        "Severity": "2",
        "OperationalData": {
            "cause": {"Value": "disk", "Type": "SearchableString"},
            "/aws/resources": {"Value": '[{"arn":"arn:aws:ec2:::v-1"}]', "Type": "SearchableString"},
        },
    }
    assert (untouched["Title"], untouched["Source"]) == ("Order Placed", "aws.partner/example.com/1")
    assert msgspec.json.decode(untouched["Description"])["id"] == "e-1"


async def test_without_an_input_tasks_are_not_overridden(receiver: Receiver, targets: Targets):
    answers(receiver, {"tasks": [{}]})
    assert (await send(targets, a_target(arn("ecs", "cluster/c"), ecs=ECS))).accepted
    assert body_of(receiver.requests[0]) == {
        "cluster": arn("ecs", "cluster/c"),
        "taskDefinition": "t",
        "count": 1,
        "startedBy": "events-rule/r",
    }


@pytest.mark.parametrize(
    ("detail", "key"),
    [
        ({"c": "c-7"}, "c-7"),
        ({"c": 7.0}, "7.0"),
        ({"c": ""}, "e-1"),
        ({}, "e-1"),
        ({"c": "x" * 300}, "x" * 256),
    ],
)
async def test_a_partition_key(receiver: Receiver, targets: Targets, detail, key):
    answers(receiver, {"SequenceNumber": "1", "ShardId": "s"})
    path = KinesisParameters(partition_key_path="$.detail.c")
    assert (await send(targets, a_target(arn("kinesis", "stream/s"), kinesis=path), detail=detail)).accepted
    assert body_of(receiver.requests[0])["PartitionKey"] == key


@pytest.mark.parametrize(
    ("time", "milliseconds"),
    [
        ("1700000000123", 1_700_000_000_123),
        ('"1700000000123"', 1_700_000_000_123),
        ('"2026-01-01T00:00:00Z"', 1_767_225_600_000),
        ('"2026-01-01T01:00:00.5+01:00"', 1_767_225_600_500),
    ],
)
async def test_times_of_log_events(receiver: Receiver, targets: Targets, time: str, milliseconds: int):
    answers(receiver, {})
    target = a_target(LOGS, input_transformer=template('{"timestamp": <t>, "message": <m>}'))
    assert (await send(targets, target, f'{{"timestamp":{time},"message":{{"a":1}}}}'.encode())).accepted
    assert body_of(receiver.requests[0]) == {
        "logGroupName": "g",
        "logStreamName": "r/s",
        "logEvents": [{"timestamp": milliseconds, "message": '{"a":1}'}],
    }


@pytest.mark.parametrize("time", ["null", '"soon"', "true", "[1]", '"' + "9" * 40 + '"'])
async def test_a_time_that_is_none(receiver: Receiver, targets: Targets, time: str):
    target = a_target(LOGS, input_transformer=template('{"timestamp": <t>, "message": <m>}'))
    reply = await send(targets, target, f'{{"timestamp":{time},"message":"m"}}'.encode())
    assert (reply.error, reply.retryable) == (ErrorCode.INVALID_PARAMETER, False)
    assert receiver.requests == []


async def test_a_stream_is_made_when_it_is_missing_and_the_group_is_not(receiver: Receiver, targets: Targets):
    gone = {"__type": "ResourceNotFoundException", "message": "m"}
    taken = {"__type": "ResourceAlreadyExistsException", "message": "m"}
    receiver.script(
        "/",
        Respond(status=400, body=msgspec.json.encode(gone)),
        Respond(status=400, body=msgspec.json.encode(taken)),  # somebody else was faster
        Respond(body=b"{}"),
        Respond(status=400, body=msgspec.json.encode(gone)),
    )
    assert (await send(targets, a_target(LOGS))).accepted
    assert (await send(targets, a_target(LOGS))).error is ErrorCode.NO_RESOURCE
    assert operations(receiver) == [
        "PutLogEvents",
        "CreateLogStream",
        "PutLogEvents",
        "PutLogEvents",
        "CreateLogStream",
    ]


async def test_graph_ql(receiver: Receiver, targets: Targets):
    answers(receiver, {"data": {"save": None}}, path="/graphql")
    operation = "mutation M($n: Float) { save(n: $n) { id } }"
    target = a_target(
        arn("appsync", "endpoints/graphql-api/a1"),
        app_sync=AppSyncParameters(graph_ql_operation=operation),
        input_path="$.detail",
    )
    assert (await send(targets, target)).accepted
    [request] = receiver.requests
    assert request.method == "POST"
    assert f"/{REGION}/appsync/aws4_request" in request.headers["authorization"]
    assert body_of(request) == {"query": operation, "variables": {"n": 1.0}}


async def test_an_api_of_api_gateway(receiver: Receiver, targets: Targets):
    http = HttpParameters(
        path_values=("$.detail.id", "b"), headers={"X-Shop": "$.detail.shop"}, query={"q": "a b"}
    )
    target = a_target(arn("execute-api", "a1/prod/PUT/orders/*/*"), http=http)
    assert (await send(targets, target, detail={"id": "4/2", "shop": "s"})).accepted
    signed = msgspec.structs.replace(target, role_arn="arn:aws:iam::1:role/r")
    assert (await send(targets, signed, detail={"id": "4/2", "shop": "s"})).accepted
    plain, with_role = receiver.requests
    for request in (plain, with_role):
        assert (request.method, request.target) == ("PUT", "/prod/orders/4%2F2/b?q=a%20b")
        assert (request.headers["x-shop"], request.body) == ("s", PAYLOAD)
        assert request.headers["user-agent"] == "Amazon/EventBridge/ApiDestinations"
    assert "authorization" not in plain.headers
    assert f"/{REGION}/execute-api/aws4_request" in with_role.headers["authorization"]


async def test_an_operator_s_url_may_name_the_api(receiver: Receiver):
    targets = make(aws_endpoints={"execute-api": f"{receiver.url}/emulated/{{api}}/"})
    assert (await send(targets, a_target(arn("execute-api", "a1/prod/GET/orders")))).accepted
    await targets.close()
    assert [request.target for request in receiver.requests] == ["/emulated/a1/prod/orders"]


async def test_one_service_may_be_called_elsewhere(receiver: Receiver):
    answers(receiver, {"RunId": "1"})
    targets = make(aws_endpoint_url="http://127.0.0.1:1", aws_endpoints={"glue": receiver.url})
    assert (await send(targets, a_target(arn("glue", "workflow/w")))).accepted
    reply = await send(targets, a_target(arn("codepipeline", "p")))
    await targets.close()
    assert (reply.error, reply.retryable) == (ErrorCode.CONNECTION_FAILURE, True)


# -- dynamic paths ---------------------------------------------------------------------------------------

PIPELINE = arn("sagemaker", "pipeline/p")


def pipeline(value: str) -> Target:
    given = PipelineParameter(name="N", value=value)
    return a_target(PIPELINE, sagemaker=SageMakerPipelineParameters(pipeline_parameter_list=(given,)))


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("$.detail.a", "text"),
        ("$.detail.n", "1.50"),
        ("$.detail.o", '{"k":1}'),
        ("a $.detail.a", "a $.detail.a"),
        ("$detail", "$detail"),
    ],
)
async def test_a_string_that_is_wholly_a_path(receiver: Receiver, targets: Targets, value: str, sent: str):
    answers(receiver, {"PipelineExecutionArn": "a"})
    detail = msgspec.Raw(b'{"a":"text","n":1.50,"o":{"k":1}}')
    assert (await send(targets, pipeline(value), b'"transformed"', detail)).accepted
    assert body_of(receiver.requests[0])["PipelineParameters"] == [{"Name": "N", "Value": sent}]


async def test_a_path_to_nothing(receiver: Receiver, targets: Targets):
    reply = await send(targets, pipeline("$.detail.b"))
    assert (reply.error, reply.retryable) == (ErrorCode.INVALID_PARAMETER, False)
    assert "$.detail.b" in reply.message
    assert receiver.requests == []
