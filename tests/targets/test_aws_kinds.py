"""What is particular to each kind of AWS target, over real sockets and a scripted service."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from partnerbus.kernel.clock import Clock, ManualClock, SystemClock
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.resources import HttpParameters, Target
from partnerbus.model.target_parameters import (
    AppSyncParameters,
    KinesisParameters,
    PipelineParameter,
    RedshiftDataParameters,
    RunCommandParameters,
    SageMakerPipelineParameters,
)
from partnerbus.targets.outbound import CONNECTIONS_PER_HOST
from partnerbus.targets.registry import Targets, TargetSettings, make_targets
from partnerbus.testing.receiver import Hang, Received, Receiver, Respond
from tests.targets.aws_targets import ECS, GOOD, LOGS, RUN, a_target, arn, template
from tests.targets.things import ACCOUNT, REGION, SECRETS, Resources, a_rule, an_invocation

pytestmark = pytest.mark.slow

PAYLOAD = b'{"n":1.0}'


async def _forward(invocation, bus) -> None:
    raise AssertionError


def make(clock: Clock | None = None, **settings: Any) -> Targets:
    return make_targets(TargetSettings(**settings), Resources(), SECRETS, clock or SystemClock(), _forward)


@pytest.fixture(autouse=True)
def no_credentials(no_aws_credentials: None) -> None:
    """A machine without AWS credentials."""


@pytest.fixture
async def targets(receiver: Receiver) -> AsyncIterator[Targets]:
    targets = make(aws_endpoint_url=receiver.url)
    yield targets
    await targets.close()


async def send(targets: Targets, target: Target, payload: bytes = PAYLOAD, detail: object = None) -> Reply:
    assert targets.refusal(target, a_rule()) is None
    invoker = targets.invoker(target.arn)
    assert invoker is not None
    return await invoker.invoke(an_invocation(target, payload, detail))


def answers(receiver: Receiver, *outputs: object, status: int = 200, path: str = "/") -> None:
    receiver.script(path, *(Respond(status=status, body=msgspec.json.encode(output)) for output in outputs))


def body_of(request: Received) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(request.body)
    return found


def operations(receiver: Receiver) -> list[str]:
    return [request.headers["x-amz-target"].partition(".")[2] for request in receiver.requests]


# -- what is refused when it is put ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (a_target(arn("lambda", "layer:l")), "function:NAME"),
        (a_target("arn:aws:lambda::1:function:f"), "function:NAME"),
        (a_target(arn("sns", "orders.fifo")), "FIFO topics cannot be targets"),
        (a_target(arn("sqs", "a/b")), "no ARN of an SQS queue"),
        (a_target("arn:aws:sqs::1:q"), "no ARN of an SQS queue"),
        (a_target(arn("kinesis", "orders")), "stream/NAME"),
        (a_target(arn("firehose", "stream/orders")), "deliverystream/NAME"),
        (a_target(arn("states", "activity:a")), "stateMachine:NAME"),
        (a_target(arn("logs", "g")), "log-group:NAME"),
        (a_target(LOGS, input="{}"), "InputTransformer"),
        (a_target(LOGS, input_path="$.detail"), "InputTransformer"),
        (a_target(LOGS, input_transformer=template('{"message": <m>}')), '"timestamp"'),
        (a_target(LOGS, input_transformer=template('"<t> <m>"')), '"timestamp"'),
        (a_target(arn("ecs", "cluster/c")), "EcsParameters is required"),
        (a_target(arn("ecs", "service/c/s"), ecs=ECS), "cluster/NAME"),
        (a_target(arn("batch", "job-queue/q")), "BatchParameters is required"),
        (a_target(arn("codebuild", "site")), "project/NAME"),
        (a_target(arn("codepipeline", "pipeline/release")), "the pipeline's name"),
        (a_target(arn("ssm", "document/AWS-RunShellScript")), "RunCommandParameters is required"),
        (a_target(arn("ssm", "parameter/p")), "opsitem"),
        (
            a_target(arn("ssm", "opsitem"), run_command=RunCommandParameters(run_command_targets=())),
            "with a document only",
        ),
        (a_target(arn("redshift", "cluster:c")), "RedshiftDataParameters is required"),
        (
            a_target(arn("redshift", "cluster:c"), redshift_data=RedshiftDataParameters(database="d")),
            "either Sql or Sqls",
        ),
        (
            a_target(
                arn("redshift-serverless", "cluster:c"),
                redshift_data=RedshiftDataParameters(database="d", sql="s"),
            ),
            "workgroup/ID",
        ),
        (a_target(arn("glue", "job/j")), "workflow/NAME"),
        (a_target(arn("appsync", "apis/a1")), "endpoints/graphql-api/ID"),
        (a_target(arn("appsync", "endpoints/graphql-api/a1")), "GraphQLOperation is required"),
        (a_target(arn("execute-api", "a1/prod/ANY/orders")), "API/STAGE/METHOD/path"),
        (a_target(arn("execute-api", "a1/prod")), "API/STAGE/METHOD/path"),
        (a_target(arn("execute-api", "a.evil.example/prod/GET/")), "API/STAGE/METHOD/path"),
        (a_target(arn("execute-api", "a1/prod/GET/../x")), "API/STAGE/METHOD/path"),
        (a_target(arn("execute-api", "a1/prod/GET/%2e%2e/x")), "API/STAGE/METHOD/path"),
        (a_target("arn:aws:execute-api:evil.example:1:a1/prod/GET/"), "API/STAGE/METHOD/path"),
        (a_target(arn("execute-api", "a1/prod/GET/orders/*")), "more * than"),
    ],
    ids=lambda value: value.arn if isinstance(value, Target) else "",
)
def test_what_cannot_work_is_refused_in_a_sentence(target: Target, sentence: str):
    refusal = make(aws_endpoint_url="http://127.0.0.1:1").refusal(target, a_rule())
    assert refusal is not None
    assert sentence in refusal


@pytest.mark.parametrize("target", GOOD, ids=lambda target: target.arn)
def test_only_resources_of_the_rule_s_own_account_at_aws(target: Target):
    at_aws, emulated = make(), make(aws_endpoint_url="http://127.0.0.1:1")
    assert at_aws.refusal(target, a_rule()) is None
    if f":{ACCOUNT}:" in target.arn:
        assert at_aws.refusal(target, a_rule("999988887777")) is not None
        assert emulated.refusal(target, a_rule("999988887777")) is None


# -- what is sent ----------------------------------------------------------------------------------------


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


# -- what cannot be sent ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "payload", "why"),
    [
        (a_target(arn("ecs", "cluster/c"), ecs=ECS, input_path="$.id"), b'"e-1"', "not a JSON object"),
        (
            a_target(arn("ecs", "cluster/c"), ecs=ECS, input="{}"),
            b'{"containerOverrides":[{"name":1}]}',
            "RunTask does not take this",
        ),
        (a_target(arn("codebuild", "project/p"), input="{}"), b'{"sourceVersion":{}}', "sourceVersion"),
        (a_target(arn("codebuild", "project/p"), input="{}"), b"[" * 5_000 + b"]" * 5_000, "not a JSON"),
        (
            a_target(arn("ssm", "automation-definition/Own"), input="{}"),
            b'{"Parameters":"x"}',
            "Parameters",
        ),
    ],
)
async def test_an_input_that_the_operation_does_not_take(
    receiver: Receiver, targets: Targets, target: Target, payload: bytes, why: str
):
    reply = await send(targets, target, payload)
    assert (reply.error, reply.retryable) == (ErrorCode.INVALID_PARAMETER, False)
    assert why in reply.message
    assert receiver.requests == []


async def test_many_that_hang_at_one_host_hold_up_no_other(receiver: Receiver):
    """All of a service's resources, and at an emulator all services, are behind one host."""
    targets = make(ManualClock(), aws_endpoint_url=receiver.url)  # so that they hang for ever
    function = arn("lambda", "function:f")
    receiver.script(f"/2015-03-31/functions/{function}/invocations", Hang())
    answers(receiver, {"RunId": "1"})
    count = CONNECTIONS_PER_HOST + 1
    hanging = [asyncio.create_task(send(targets, a_target(function))) for _ in range(count)]
    async with asyncio.timeout(60):
        await receiver.received(count)
    assert (await send(targets, a_target(arn("glue", "workflow/w")))).accepted
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    await targets.close()


# -- how it ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "output", "error", "retryable"),
    [
        (
            a_target(arn("ecs", "cluster/c"), ecs=ECS),
            {"tasks": [], "failures": [{"reason": "RESOURCE:MEMORY", "detail": None}]},
            ErrorCode.RESOURCE_LIMIT_EXCEEDED,
            True,
        ),
        (a_target(arn("ecs", "cluster/c"), ecs=ECS), {}, ErrorCode.ERROR_FROM_TARGET, True),
        (
            a_target(LOGS),
            {"rejectedLogEventsInfo": {"tooOldLogEventEndIndex": 1}},
            ErrorCode.EVENTS_IN_BATCH_REQUEST_REJECTED,
            False,
        ),
        (a_target(arn("glue", "workflow/w")), {}, ErrorCode.ERROR_FROM_TARGET, True),
    ],
)
async def test_an_answer_that_went_well_and_did_not(
    receiver: Receiver, targets: Targets, target: Target, output: object, error: ErrorCode, retryable: bool
):
    answers(receiver, output)
    reply = await send(targets, target)
    assert (reply.error, reply.retryable) == (error, retryable)


@pytest.mark.parametrize(
    ("status", "name", "error", "retryable"),
    [
        (400, "ClusterNotFoundException", ErrorCode.NO_RESOURCE, False),
        (400, "AccessDeniedException", ErrorCode.NO_PERMISSIONS, False),
        (400, "ConflictException", ErrorCode.RESOURCE_MODIFICATION_COLLISION, True),
        (400, "ServiceQuotaExceededException", ErrorCode.RESOURCE_LIMIT_EXCEEDED, True),
        (400, "ThrottlingException", ErrorCode.THROTTLING, True),
        (400, "KMSDisabledException", ErrorCode.ERROR_FROM_TARGET, False),
        (400, "KmsAccessDeniedException", ErrorCode.NO_PERMISSIONS, False),
        (400, "KmsThrottlingException", ErrorCode.THROTTLING, True),
        (502, "KMSInvalidStateException", ErrorCode.ERROR_FROM_TARGET, False),
        (400, "ServerException", ErrorCode.ERROR_FROM_TARGET, True),
        (400, "OperationTimeoutException", ErrorCode.TIMEOUT, True),
        (400, "InvalidParameterException", ErrorCode.SDK_CLIENT_ERROR, False),
        (503, "Whatever", ErrorCode.ERROR_FROM_TARGET, True),
    ],
)
async def test_families_of_errors(receiver: Receiver, targets: Targets, status, name, error, retryable):
    answers(receiver, {"__type": name, "message": "the reason"}, status=status)
    reply = await send(targets, a_target(arn("ecs", "cluster/c"), ecs=ECS))
    assert (reply.error, reply.retryable, reply.status) == (error, retryable, status)
    assert "the reason" in reply.message


SNS_ERROR = """<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>
<Code>NotFound</Code><Message>Topic does not exist</Message></Error></ErrorResponse>"""


async def test_errors_of_other_protocols(receiver: Receiver, targets: Targets):
    receiver.script("/", Respond(status=404, body=SNS_ERROR.encode()))
    reply = await send(targets, a_target(arn("sns", "gone")))
    assert (reply.error, reply.retryable) == (ErrorCode.NO_RESOURCE, False)
    function = arn("lambda", "function:f")
    path = f"/2015-03-31/functions/{function}/invocations"
    too_many = Respond(
        status=429, headers={"x-amzn-ErrorType": "TooManyRequestsException"}, body=b'{"Message":"Rate"}'
    )
    receiver.script(path, too_many, Respond(status=200, body=b"<html>gateway</html>"))
    reply = await send(targets, a_target(function))
    assert (reply.error, reply.retryable) == (ErrorCode.THROTTLING, True)
    reply = await send(targets, a_target(function))
    assert (reply.error, reply.retryable) == (ErrorCode.ERROR_FROM_TARGET, True)


# An API of API Gateway may answer what it likes; the other log group takes another input.
JUDGED = [target for target in GOOD if "execute-api" not in target.arn and not target.input_transformer]


@pytest.mark.parametrize("target", JUDGED, ids=lambda target: target.arn)
async def test_an_answer_of_somebody_else(receiver: Receiver, targets: Targets, target: Target):
    paths = ("/", "/v1/submitjob", "/graphql", f"/2015-03-31/functions/{target.arn}/invocations")
    for body in (b"<html>gateway</html>", b"[]", b'"x"', b"\xff\xfe", b"{", b"<a><b></a>", b"[" * 20_000):
        for status in (200, 502):
            for path in paths:
                receiver.script(path, Respond(status=status, body=body))
            reply = await send(targets, target)
            assert (reply.accepted, reply.retryable) == (False, True), (status, body)


@pytest.mark.parametrize(
    ("body", "error", "retryable"),
    [
        (
            {"data": {"a": None}, "errors": [{"errorType": "MappingTemplate", "message": "m"}]},
            ErrorCode.ERROR_FROM_TARGET,
            False,
        ),
        ({"errors": [{"message": "m"}]}, ErrorCode.ERROR_FROM_TARGET, False),
        (
            {"data": None, "errors": [{"errorType": "ThrottlingException"}]},
            ErrorCode.THROTTLING,
            True,
        ),
        (
            {"errors": [{"errorType": "UnauthorizedException", "message": "m"}]},
            ErrorCode.NO_PERMISSIONS,
            False,
        ),
    ],
)
async def test_errors_of_graph_ql(receiver: Receiver, targets: Targets, body, error, retryable):
    answers(receiver, body, path="/graphql")
    target = a_target(
        arn("appsync", "endpoints/graphql-api/a1"), app_sync=AppSyncParameters(graph_ql_operation="{ a }")
    )
    reply = await send(targets, target)
    assert (reply.error, reply.retryable) == (error, retryable)


async def test_an_answer_with_a_lot_of_data(receiver: Receiver, targets: Targets):
    receiver.script("/graphql", Respond(body=b'{"data":"' + b"x" * 1_000_000 + b'"}'))
    target = a_target(
        arn("appsync", "endpoints/graphql-api/a1"), app_sync=AppSyncParameters(graph_ql_operation="{ a }")
    )
    assert (await send(targets, target)).accepted


@pytest.mark.parametrize(("status", "retryable"), [(401, True), (429, True), (500, True), (404, False)])
async def test_an_api_s_refusals(receiver: Receiver, targets: Targets, status: int, retryable: bool):
    receiver.script("/prod/", Respond(status=status))
    reply = await send(targets, a_target(arn("execute-api", "a1/prod/GET/")))
    assert (reply.accepted, reply.status, reply.retryable) == (False, status, retryable)
