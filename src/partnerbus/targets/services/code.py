"""CodeBuild projects and CodePipeline pipelines: each event starts one."""

from partnerbus.model.arns import Arn
from partnerbus.targets.aws_kind import Ask, AwsKind, input_object
from partnerbus.targets.invoker import Invocation

BUILD_TYPE = "buildType"
BATCH = "BATCH"
"""The member of the input that asks for a batch of builds, and how (documented)."""


def _start_build(invocation: Invocation, arn: Arn) -> Ask:
    """The input's members are those of the operation (documented); others are left out."""
    given = input_object(invocation)
    in_batch = given.get(BUILD_TYPE) == BATCH
    return Ask(
        operation="StartBuildBatch" if in_batch else "StartBuild",
        parameters={"projectName": arn.resource.removeprefix("project/")},
        to_fit=given,
        expects="buildBatch" if in_batch else "build",
    )


def _start_pipeline(_: Invocation, arn: Arn) -> Ask:
    return Ask(
        operation="StartPipelineExecution",
        parameters={"name": arn.resource},
        expects="pipelineExecutionId",
    )


CODE_BUILD = AwsKind(
    name="codebuild",
    service="codebuild",
    resource=r"project/[A-Za-z0-9_-]{1,255}",
    form="project/NAME",
    takes_object=True,
    call=_start_build,
    token="idempotencyToken",  # noqa: S106 - the name of a member
)

CODE_PIPELINE = AwsKind(
    name="codepipeline",
    service="codepipeline",
    resource=r"[A-Za-z0-9.@_-]{1,100}",
    form="the pipeline's name",
    call=_start_pipeline,
    token="clientRequestToken",  # noqa: S106 - the name of a member
)
