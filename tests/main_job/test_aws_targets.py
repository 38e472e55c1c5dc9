"""Each kind of AWS target, from PutPartnerEvents to the service, at moto's emulator or a scripted service.

One server and its accounts serve the whole file; each test has a rule of its own for events of its own kind.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from partnerbus.testing.receiver import Receiver, Respond
from tests.main_job.aws_world import (
    ROLE,
    SOURCE,
    ScriptedAws,
    arn,
    assert_signed,
    aws_client,
    calling,
    is_event,
    moto,
    put,
)
from tests.main_job.story import ACME, REGION, Story, run

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

AT_MOTO = ("codebuild", "firehose", "kinesis", "logs", "sagemaker", "sns", "sqs", "ssm", "stepfunctions")
SCRIPTED = (
    "appsync", "batch", "codepipeline", "ecs", "execute-api", "glue", "lambda", "redshift-data",
)  # fmt: skip


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aws() -> AsyncIterator[ScriptedAws]:
    async with Receiver() as receiver:
        yield ScriptedAws(receiver)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(
    tmp_path_factory: pytest.TempPathFactory, moto_url: str, aws: ScriptedAws
) -> AsyncIterator[Story]:
    urls = dict.fromkeys(AT_MOTO, moto_url) | dict.fromkeys(SCRIPTED, aws.url)
    async with calling(urls, tmp_path_factory.mktemp("aws")) as story:
        yield story


@pytest.fixture
def client(moto_url: str) -> Iterator[Callable[[str], Any]]:
    made: list[Any] = []

    def make(service: str) -> Any:
        made.append(aws_client(service, moto_url))
        return made[-1]

    yield make
    for each in made:
        each.close()


async def until(look: Callable[[], Any]) -> Any:
    """What `look` finds, asked until it finds something."""
    async with asyncio.timeout(60):
        while not (found := await run(look)):
            pass
    return found


# -- at moto -------------------------------------------------------------------------------------------


async def test_an_sns_topic(story: Story, client: Callable[[str], Any]) -> None:
    sns, sqs = client("sns"), client("sqs")
    topic = (await run(sns.create_topic, Name="orders"))["TopicArn"]
    url = (await run(sqs.create_queue, QueueName="heard"))["QueueUrl"]
    await run(sns.subscribe, TopicArn=topic, Protocol="sqs", Endpoint=arn("sqs", "heard"))
    event_id = await put(story, "sns", topic)
    [heard] = await until(lambda: sqs.receive_message(QueueUrl=url).get("Messages"))
    note = msgspec.json.decode(heard["Body"])
    assert is_event(note["Message"], event_id)
    assert "Subject" not in note


async def test_a_crowd_of_events_arrives_once_each(story: Story, client: Callable[[str], Any]) -> None:
    """They share calls to the queue."""
    sqs = client("sqs")
    url = (await run(sqs.create_queue, QueueName="crowd"))["QueueUrl"]
    await story.rule(SOURCE, "crowd", {"detail": {"kind": ["crowd"]}}, arn("sqs", "crowd"))
    detail = json.dumps({"kind": "crowd"})
    ids = await story.put(ACME, *[{"Source": SOURCE, "DetailType": "order", "Detail": detail}] * 100)
    found: list[str] = []
    async with asyncio.timeout(60):
        while len(found) < len(ids):
            answer = await run(sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            found += [msgspec.json.decode(each["Body"])["id"] for each in answer.get("Messages", [])]
    assert sorted(found) == sorted(ids)


async def test_a_kinesis_stream(story: Story, client: Callable[[str], Any]) -> None:
    kinesis = client("kinesis")
    await run(kinesis.create_stream, StreamName="orders", ShardCount=1)
    stream = arn("kinesis", "stream/orders")
    shard = {"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
    start = (await run(kinesis.get_shard_iterator, StreamName="orders", **shard))["ShardIterator"]
    first = await put(story, "kinesis", stream)
    second = await put(story, "kinesis-key", stream, KinesisParameters={"PartitionKeyPath": "$.detail.table"})

    def records() -> Any:
        found = kinesis.get_records(ShardIterator=start)["Records"]
        return found if len(found) == 2 else None

    by_key = {record["PartitionKey"]: record["Data"] for record in await until(records)}
    assert set(by_key) == {first, "orders"}
    assert is_event(by_key[first], first)
    assert is_event(by_key["orders"], second)


async def test_a_firehose_stream(story: Story, client: Callable[[str], Any]) -> None:
    s3, firehose = client("s3"), client("firehose")
    await run(s3.create_bucket, Bucket="lake")
    await run(
        firehose.create_delivery_stream,
        DeliveryStreamName="orders",
        S3DestinationConfiguration={"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::lake"},
    )
    await put(story, "firehose", arn("firehose", "deliverystream/orders"), InputPath="$.detail")
    [written] = await until(lambda: s3.list_objects_v2(Bucket="lake").get("Contents"))
    body = (await run(s3.get_object, Bucket="lake", Key=written["Key"]))["Body"].read()
    assert body.decode() == '{"kind":"firehose","n":1.0,"é":"☃","table":"orders"}'


async def test_a_state_machine(story: Story, client: Callable[[str], Any]) -> None:
    states = client("stepfunctions")
    definition = json.dumps({"StartAt": "a", "States": {"a": {"Type": "Pass", "End": True}}})
    made = await run(states.create_state_machine, name="m", roleArn=ROLE, definition=definition)
    machine = made["stateMachineArn"]
    event_id = await put(story, "states", machine)
    [started] = await until(lambda: states.list_executions(stateMachineArn=machine)["executions"])
    assert started["name"].startswith(event_id)
    described = await run(states.describe_execution, executionArn=started["executionArn"])
    assert is_event(described["input"], event_id)


async def test_a_log_group(story: Story, client: Callable[[str], Any]) -> None:
    logs = client("logs")
    await run(logs.create_log_group, logGroupName="/aws/events/orders")
    group = arn("logs", "log-group:/aws/events/orders")
    event_id = await put(story, "logs", group)
    template = {
        "InputPathsMap": {"time": "$.time", "table": "$.detail.table"},
        "InputTemplate": '{"timestamp": <time>, "message": "table <table>"}',
    }
    await put(story, "logs-template", f"{group}:*", InputTransformer=template)

    def written() -> Any:
        found = logs.filter_log_events(logGroupName="/aws/events/orders")["events"]
        return found if len(found) == 2 else None

    events = {each["logStreamName"].split("/")[0]: each for each in await until(written)}
    assert is_event(events["logs"]["message"], event_id)
    assert events["logs-template"]["message"] == "table orders"
    assert {each["timestamp"] for each in events.values()} == {1_795_600_800_000}


async def test_a_build(story: Story, client: Callable[[str], Any]) -> None:
    builds = client("codebuild")
    await run(
        builds.create_project,
        name="site",
        source={"type": "S3", "location": "lake/source.zip"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={"type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL"},
        serviceRole=ROLE,
    )
    await put(story, "codebuild", arn("codebuild", "project/site"))
    [_] = await until(lambda: builds.list_builds_for_project(projectName="site")["ids"])


async def test_a_command(story: Story, client: Callable[[str], Any]) -> None:
    ssm = client("ssm")
    await put(
        story,
        "ssm",
        f"arn:aws:ssm:{REGION}::document/AWS-RunShellScript",
        RunCommandParameters={"RunCommandTargets": [{"Key": "tag:role", "Values": ["web"]}]},
        Input='{"commands": ["uptime"]}',
    )
    [command] = await until(lambda: ssm.list_commands()["Commands"])
    assert command["DocumentName"] == "AWS-RunShellScript"
    assert command["Parameters"] == {"commands": ["uptime"]}
    assert command["Targets"] == [{"Key": "tag:role", "Values": ["web"]}]


async def test_a_sagemaker_pipeline(story: Story, client: Callable[[str], Any]) -> None:
    sagemaker = client("sagemaker")
    definition = '{"Version": "2020-12-01", "Steps": []}'
    await run(
        sagemaker.create_pipeline,
        PipelineName="train",
        PipelineDefinition=definition,
        ClientRequestToken="x" * 32,
        RoleArn=ROLE,
    )
    parameters = [{"Name": "Table", "Value": "$.detail.table"}, {"Name": "Mode", "Value": "fast"}]
    await put(
        story,
        "sagemaker",
        arn("sagemaker", "pipeline/train"),
        SageMakerPipelineParameters={"PipelineParameterList": parameters},
    )
    [started] = await until(
        lambda: sagemaker.list_pipeline_executions(PipelineName="train")["PipelineExecutionSummaries"]
    )
    found = await run(
        sagemaker.list_pipeline_parameters_for_execution, PipelineExecutionArn=started["PipelineExecutionArn"]
    )
    assert found["PipelineParameters"] == [{"Name": "Table", "Value": "orders"}, parameters[1]]


# -- at a scripted service -----------------------------------------------------------------------------


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
