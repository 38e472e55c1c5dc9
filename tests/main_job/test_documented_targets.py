"""The examples of docs/targets.md work as they stand: each makes its call, and that is one the service takes.

Kafka's alone is left to test_kafka, since its broker takes long to start.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from partnerbus.testing.receiver import Receiver, Respond
from tests.docs.test_targets import examples
from tests.main_job.aws_world import SOURCE, ScriptedAws, arn, calling
from tests.main_job.story import ACME, CUSTOMER, REGION, Story, run
from tests.targets.nats_server import nats_server

pytestmark = pytest.mark.slow

ANSWERS: dict[str, object] = {
    "AWSGlue.StartWorkflowRun": {"RunId": "1"},
    "AWSStepFunctions.StartExecution": {"executionArn": "a", "startDate": 1},
    "AmazonEC2ContainerServiceV20141113.RunTask": {"tasks": [{"taskArn": "t"}], "failures": []},
    "AmazonSQS.SendMessage": {"MessageId": "1"},
    "AmazonSSM.CreateOpsItem": {"OpsItemId": "1"},
    "AmazonSSM.SendCommand": {"Command": {"CommandId": "1"}},
    "AmazonSSM.StartAutomationExecution": {"AutomationExecutionId": "1"},
    "CodeBuild_20161006.StartBuild": {"build": {"id": "1"}},
    "CodePipeline_20150709.StartPipelineExecution": {"pipelineExecutionId": "1"},
    "Firehose_20150804.PutRecord": {"RecordId": "1"},
    "Kinesis_20131202.PutRecord": {"ShardId": "s", "SequenceNumber": "1"},
    "Logs_20140328.PutLogEvents": {},
    "RedshiftData.BatchExecuteStatement": {"Id": "1"},
    "RedshiftData.ExecuteStatement": {"Id": "1"},
    "SageMaker.StartPipelineExecution": {"PipelineExecutionArn": "a"},
}
PUBLISHED = (
    b'<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">'
    b"<PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>"
)
SERVICES = (
    "appsync", "batch", "codebuild", "codepipeline", "ecs", "execute-api", "firehose", "glue", "kinesis",
    "lambda", "logs", "redshift-data", "sagemaker", "sqs", "ssm", "stepfunctions",
)  # fmt: skip
DETAIL = {"id": "o-1", "order": 7, "customer": "ann", "table": "orders", "instance-id": "i-1"}
"""What the examples' paths lead to; the order is a number, as it is in the README."""


def script(aws: ScriptedAws) -> dict[str, str]:
    """Let every service take what its model takes; where each is called."""
    for operation, output in ANSWERS.items():
        aws.answer(operation, output)
    aws.answer("AmazonSQS.GetQueueUrl", {"QueueUrl": f"{aws.url}/orders.fifo"})
    function = arn("lambda", "function:load:live")
    aws.receiver.script(f"/2015-03-31/functions/{function}/invocations", Respond(status=202))
    aws.receiver.script("/v1/submitjob", Respond(body=b'{"jobName":"n","jobId":"1"}'))
    aws.receiver.script("/graphql", Respond(body=b'{"data":{"save":{"id":1}}}'))
    aws.receiver.script("/sns/", Respond(body=PUBLISHED))
    return {**dict.fromkeys(SERVICES, aws.url), "sns": f"{aws.url}/sns/"}


async def put_examples(story: Story) -> list[str]:
    """A rule for each example; the targets' ARNs."""
    hook = await story.webhook("hook")
    await story.command("webhook", "create", "orders", "--url", f"{story.receiver.url}/orders", "--json")
    await run(story.client(CUSTOMER).create_event_bus, Name="orders")
    once = {"RetryPolicy": {"MaximumRetryAttempts": 0}}
    put: list[str] = []
    for target in examples(CUSTOMER, REGION):
        named = {name: value for name, value in target.items() if name not in ("Id", "Arn")}
        destination = hook if "…" in target["Arn"] else target["Arn"]
        if ":kafka:" not in destination:
            await story.rule(SOURCE, f"r{len(put)}", {"source": [SOURCE]}, destination, **named, **once)
            put.append(destination)
    return put


async def test_every_example_runs(tmp_path: Path) -> None:
    await run((tmp_path / "files").mkdir)
    options = ["--file-targets", str(tmp_path / "files"), "--stdout-targets", "--nats-servers"]
    async with (
        Receiver() as receiver,
        nats_server(tmp_path) as nats,
        calling(script(ScriptedAws(receiver)), tmp_path, *options, nats.url) as story,
    ):
        put = await put_examples(story)
        await story.put(ACME, {"Source": SOURCE, "DetailType": "order", "Detail": json.dumps(DETAIL)})
        found: list[Any] = []
        async with asyncio.timeout(60):
            while len(found) < len(put) or not all(each["settled_at"] for each in found):
                found = (await story.command("deliveries", "list", "--bus", SOURCE, "--json"))["deliveries"]
        assert [each for each in found if each["state"] != "delivered"] == []
        assert sorted(each["target_arn"] for each in found) == sorted(put)
