"""AWS targets that cannot work: refused when they are put, or when an event makes no call."""

import pytest

from partnerbus.model.reply import ErrorCode
from partnerbus.model.resources import Target
from partnerbus.model.target_parameters import (
    AppSyncParameters,
    BatchParameters,
    RedshiftDataParameters,
    RunCommandParameters,
)
from partnerbus.targets.registry import Targets
from partnerbus.testing.receiver import Receiver
from tests.targets.aws_calls import make, send
from tests.targets.aws_targets import ECS, GOOD, LOGS, a_target, arn, template
from tests.targets.things import ACCOUNT, a_rule

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_aws_credentials")]


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
        (a_target(arn("ecs", "cluster/c"), ecs=ECS, input='"text"'), "not a JSON object"),
        (
            a_target(arn("ecs", "cluster/c"), ecs=ECS, input_transformer=template('"<t>"')),
            "not a JSON object",
        ),
        (a_target(arn("batch", "job-queue/q")), "BatchParameters is required"),
        (
            a_target(
                arn("batch", "job-queue/q"),
                batch=BatchParameters(job_definition="d", job_name="n"),
                input="[]",
            ),
            "not a JSON object",
        ),
        (a_target(arn("codebuild", "project/p"), input=" 1"), "not a JSON object"),
        (a_target(arn("ssm", "opsitem"), input_transformer=template("[<t>]")), "not a JSON object"),
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
        (
            a_target(
                arn("appsync", "endpoints/graphql-api/a1"),
                app_sync=AppSyncParameters(graph_ql_operation="{ a }"),
                input="null",
            ),
            "not a JSON object",
        ),
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
