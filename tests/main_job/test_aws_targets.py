"""Kinds of AWS target that moto emulates, from PutPartnerEvents to the service.

One server and its accounts serve the whole file; each test has a rule of its own for events of its own kind.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from tests.main_job.aws_world import (
    ROLE,
    SOURCE,
    arn,
    aws_client,
    calling,
    is_event,
    moto,
    put,
)
from tests.main_job.story import ACME, REGION, Story, run

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SERVICES = ("codebuild", "firehose", "kinesis", "logs", "sagemaker", "sns", "sqs", "ssm", "stepfunctions")


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory, moto_url: str) -> AsyncIterator[Story]:
    urls = dict.fromkeys(SERVICES, moto_url)
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
