"""SageMaker pipelines: each event starts one with the target's parameters; its input is not sent."""

import msgspec

from partnerbus.model.arns import Arn
from partnerbus.model.target_parameters import resolved
from partnerbus.targets.aws_kind import Ask, AwsKind, document_of
from partnerbus.targets.invoker import Invocation


def _start(invocation: Invocation, arn: Arn) -> Ask:
    given = invocation.target.sagemaker
    listed = None if given is None else resolved(given, document_of(invocation)).pipeline_parameter_list
    return Ask(
        operation="StartPipelineExecution",
        parameters={"PipelineName": arn.resource.removeprefix("pipeline/")},
        to_fit={"PipelineParameters": msgspec.to_builtins(listed)} if listed else {},
        expects="PipelineExecutionArn",
    )


SAGEMAKER = AwsKind(
    name="sagemaker",
    service="sagemaker",
    resource=r"pipeline/[A-Za-z0-9-]{1,256}",
    form="pipeline/NAME",
    call=_start,
    token="ClientRequestToken",  # noqa: S106 - the name of a member
)
