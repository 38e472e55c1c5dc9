"""Kinds of AWS target that nothing emulates, from PutPartnerEvents to a scripted service.

One server and its accounts serve the whole file; each test has a rule of its own for events of its own kind.
"""

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from partnerbus.testing.receiver import Receiver, Respond
from tests.main_job.aws_world import (
    ScriptedAws,
    arn,
    assert_signed,
    calling,
    is_event,
    put,
)
from tests.main_job.story import Story

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SERVICES = (
    "appsync", "batch", "codepipeline", "ecs", "execute-api", "glue", "lambda", "redshift-data",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aws() -> AsyncIterator[ScriptedAws]:
    async with Receiver() as receiver:
        yield ScriptedAws(receiver)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory, aws: ScriptedAws) -> AsyncIterator[Story]:
    urls = dict.fromkeys(SERVICES, aws.url)
    async with calling(urls, tmp_path_factory.mktemp("aws")) as story:
        yield story


async def test_a_lambda_function(story: Story, aws: ScriptedAws) -> None:
    function = arn("lambda", "function:f:live")
    path = f"/2015-03-31/functions/{function}/invocations"
    aws.receiver.script(path, Respond(status=202))
    event_id = await put(story, "lambda", function)
    [request] = await aws.receiver.received(1, path)
    assert_signed(request, "lambda")
    assert (request.method, request.headers["x-amz-invocation-type"]) == ("POST", "Event")
    assert is_event(request.body, event_id)


async def test_an_ecs_cluster(story: Story, aws: ScriptedAws) -> None:
    operation = "AmazonEC2ContainerServiceV20141113.RunTask"
    aws.answer(operation, {"tasks": [{"taskArn": "t"}], "failures": []})
    definition = arn("ecs", "task-definition/t")
    await put(
        story,
        "ecs",
        arn("ecs", "cluster/c"),
        EcsParameters={
            "TaskDefinitionArn": definition,
            "TaskCount": 2,
            "LaunchType": "FARGATE",
            "Group": "$.detail.table",
            "NetworkConfiguration": {
                "awsvpcConfiguration": {
                    "Subnets": ["s-1"],
                    "SecurityGroups": ["g-1"],
                    "AssignPublicIp": "ENABLED",
                }
            },
            "EnableECSManagedTags": True,
            "PlacementConstraints": [{"type": "memberOf", "expression": "e"}],
            "PlacementStrategy": [{"type": "spread", "field": "f"}],
            "Tags": [{"Key": "k", "Value": "v"}],
        },
        InputTransformer={
            "InputPathsMap": {"table": "$.detail.table"},
            "InputTemplate": '{"containerOverrides": [{"name": "app", "command": ["load", <table>]}]}',
        },
    )
    assert await aws.asked(operation, "ecs") == {
        "cluster": arn("ecs", "cluster/c"),
        "taskDefinition": definition,
        "count": 2,
        "launchType": "FARGATE",
        "group": "orders",
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": ["s-1"],
                "securityGroups": ["g-1"],
                "assignPublicIp": "ENABLED",
            }
        },
        "enableECSManagedTags": True,
        "placementConstraints": [{"type": "memberOf", "expression": "e"}],
        "placementStrategy": [{"type": "spread", "field": "f"}],
        "tags": [{"key": "k", "value": "v"}],
        "startedBy": "events-rule/ecs",
        "overrides": {"containerOverrides": [{"name": "app", "command": ["load", "orders"]}]},
    }


async def test_a_batch_queue(story: Story, aws: ScriptedAws) -> None:
    aws.receiver.script("/v1/submitjob", Respond(body=b'{"jobName":"n","jobId":"1"}'))
    queue, definition = arn("batch", "job-queue/q"), arn("batch", "job-definition/d:1")
    await put(
        story,
        "batch",
        queue,
        BatchParameters={
            "JobDefinition": definition,
            "JobName": "nightly",
            "ArrayProperties": {"Size": 10},
            "RetryStrategy": {"Attempts": 3},
        },
        Input='{"ContainerOverrides": {"Command": ["load"], "Environment": [{"Name": "A", "Value": "b"}]},'
        ' "Parameters": {"Key": "value"}, "jobQueue": "another"}',
    )
    [request] = await aws.receiver.received(1, "/v1/submitjob")
    assert_signed(request, "batch")
    assert msgspec.json.decode(request.body) == {
        "jobQueue": queue,
        "jobDefinition": definition,
        "jobName": "nightly",
        "arrayProperties": {"size": 10},
        "retryStrategy": {"attempts": 3},
        "containerOverrides": {"command": ["load"], "environment": [{"name": "A", "value": "b"}]},
        "parameters": {"Key": "value"},
    }


async def test_a_code_pipeline(story: Story, aws: ScriptedAws) -> None:
    operation = "CodePipeline_20150709.StartPipelineExecution"
    aws.answer(operation, {"pipelineExecutionId": "1"})
    await put(story, "codepipeline", arn("codepipeline", "release"))
    asked = await aws.asked(operation, "codepipeline")
    assert asked.pop("clientRequestToken")
    assert asked == {"name": "release"}


async def test_redshift(story: Story, aws: ScriptedAws) -> None:
    one, many = "RedshiftData.ExecuteStatement", "RedshiftData.BatchExecuteStatement"
    for operation in (one, many):
        aws.answer(operation, {"Id": "1"})
    workgroup = arn("redshift-serverless", "workgroup/01234567-89ab-cdef-0123-456789abcdef")
    await put(
        story,
        "redshift",
        arn("redshift", "cluster:wh"),
        RedshiftDataParameters={
            "Database": "db",
            "DbUser": "u",
            "Sql": "$.detail.table",
            "StatementName": "s",
            "WithEvent": True,
        },
    )
    await put(
        story,
        "redshift-serverless",
        workgroup,
        RedshiftDataParameters={
            "Database": "db",
            "SecretManagerArn": arn("secretsmanager", "secret:s"),
            "Sqls": ["a", "b"],
        },
    )
    first, second = await aws.asked(one, "redshift-data"), await aws.asked(many, "redshift-data")
    assert first.pop("ClientToken") != second.pop("ClientToken")
    assert first == {
        "ClusterIdentifier": "wh",
        "Database": "db",
        "DbUser": "u",
        "Sql": "orders",
        "StatementName": "s",
        "WithEvent": True,
    }
    assert second == {
        "WorkgroupName": workgroup,
        "Database": "db",
        "SecretArn": arn("secretsmanager", "secret:s"),
        "Sqls": ["a", "b"],
    }


async def test_a_glue_workflow(story: Story, aws: ScriptedAws) -> None:
    operation = "AWSGlue.StartWorkflowRun"
    aws.answer(operation, {"RunId": "1"})
    event_id = await put(story, "glue", arn("glue", "workflow/load"))
    assert await aws.asked(operation, "glue") == {
        "Name": "load",
        "RunProperties": {"aws:eventIds": f'["{event_id}"]'},
    }


async def test_an_app_sync_api(story: Story, aws: ScriptedAws) -> None:
    aws.receiver.script("/graphql", Respond(body=b'{"data":{"save":{"id":1}}}'))
    operation = "mutation Save($n: Float, $table: String) { save(n: $n, table: $table) { id } }"
    await put(
        story,
        "appsync",
        arn("appsync", "endpoints/graphql-api/a1b2"),
        AppSyncParameters={"GraphQLOperation": operation},
        InputTransformer={
            "InputPathsMap": {"n": "$.detail.n", "table": "$.detail.table"},
            "InputTemplate": '{"n": <n>, "table": <table>}',
        },
    )
    [request] = await aws.receiver.received(1, "/graphql")
    assert_signed(request, "appsync")
    assert msgspec.json.decode(request.body) == {
        "query": operation,
        "variables": {"n": 1.0, "table": "orders"},
    }


async def test_an_api_gateway(story: Story, aws: ScriptedAws) -> None:
    event_id = await put(
        story,
        "execute-api",
        arn("execute-api", "a1b2/prod/PUT/tables/*"),
        HttpParameters={
            "PathParameterValues": ["$.detail.table"],
            "HeaderParameters": {"X-N": "$.detail.n"},
            "QueryStringParameters": {"q": "1"},
        },
    )
    [request] = await aws.receiver.received(1, "/prod/tables/orders")
    assert_signed(request, "execute-api")
    assert (request.method, request.query, request.headers["x-n"]) == ("PUT", (("q", "1"),), "1.0")
    assert is_event(request.body, event_id)
