"""Targets of every AWS kind, as they are stored."""

from typing import Any

from partnerbus.model.resources import InputTransformer, Target
from partnerbus.model.target_parameters import (
    AppSyncParameters,
    BatchParameters,
    EcsParameters,
    KinesisParameters,
    RedshiftDataParameters,
    RunCommandParameters,
    RunCommandTarget,
)
from tests.targets.things import ACCOUNT, REGION


def arn(service: str, resource: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:{service}:{REGION}:{account}:{resource}"


def a_target(target_arn: str, **members: Any) -> Target:
    """A target as it is stored: what it has of structures stands in `parameters` too."""
    wire = {
        "ecs": "EcsParameters",
        "batch": "BatchParameters",
        "run_command": "RunCommandParameters",
        "redshift_data": "RedshiftDataParameters",
    }
    parameters = {wire[name]: "{}" for name in members if name in wire}
    return Target(id="t", arn=target_arn, subscription="s", since=0, parameters=parameters, **members)


def template(text: str) -> InputTransformer:
    return InputTransformer(template=text, paths={"t": "$.time", "m": "$.detail"})


ECS = EcsParameters(task_definition_arn="t")
LOGS = arn("logs", "log-group:g")
RUN = RunCommandParameters(run_command_targets=(RunCommandTarget(key="tag:a", values=("b",)),))

GOOD = [
    a_target(arn("lambda", "function:f")),
    a_target(arn("lambda", "function:f:$LATEST")),
    a_target(arn("sns", "orders")),
    a_target(arn("kinesis", "stream/orders"), kinesis=KinesisParameters(partition_key_path="$.id")),
    a_target(arn("firehose", "deliverystream/orders")),
    a_target(arn("states", "stateMachine:m")),
    a_target(arn("states", "stateMachine:m:live")),
    a_target(arn("logs", "log-group:/aws/events/g:*")),
    a_target(LOGS, input_transformer=template('{"timestamp": <t>, "message": <m>}')),
    a_target(arn("ecs", "cluster/c"), ecs=ECS),
    a_target(arn("ecs", "cluster/c"), ecs=ECS, input_transformer=template("<m>")),
    a_target(arn("ecs", "cluster/c"), ecs=ECS, input_path="$.detail"),
    a_target(arn("batch", "job-queue/q"), batch=BatchParameters(job_definition="d", job_name="n")),
    a_target(arn("codebuild", "project/p")),
    a_target(arn("codepipeline", "release")),
    a_target(f"arn:aws:ssm:{REGION}::document/AWS-RunShellScript", run_command=RUN),
    a_target(arn("ssm", "automation-definition/AWS-StopEC2Instance:$DEFAULT")),
    a_target(arn("ssm", "opsitem")),
    a_target(arn("sagemaker", "pipeline/p")),
    a_target(arn("redshift", "cluster:c"), redshift_data=RedshiftDataParameters(database="d", sql="s")),
    a_target(
        arn("redshift-serverless", "workgroup/01234567-89ab-cdef-0123-456789abcdef"),
        redshift_data=RedshiftDataParameters(database="d", sqls=("s",)),
    ),
    a_target(arn("glue", "workflow/w")),
    a_target(
        arn("appsync", "endpoints/graphql-api/a1"), app_sync=AppSyncParameters(graph_ql_operation="{ a }")
    ),
    a_target(arn("execute-api", "a1/prod/GET/")),
]
