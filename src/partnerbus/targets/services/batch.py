"""Batch queues: each event submits what BatchParameters say.

Of the input three members count: ContainerOverrides, DependsOn and Parameters (documented).
"""

import msgspec

from partnerbus.model.arns import Arn
from partnerbus.targets.aws_kind import Ask, AwsKind, input_object
from partnerbus.targets.invoker import Invocation

TAKEN = frozenset({"containeroverrides", "dependson", "parameters"})


def _submit(invocation: Invocation, arn: Arn) -> Ask:
    batch = invocation.target.batch
    assert batch is not None
    taken = {name: value for name, value in input_object(invocation).items() if name.lower() in TAKEN}
    return Ask(
        operation="SubmitJob",
        parameters={
            "jobQueue": str(arn),
            "jobDefinition": batch.job_definition,
            "jobName": batch.job_name,
        },
        to_fit={**msgspec.to_builtins(batch), **taken},
        expects="jobId",
    )


BATCH = AwsKind(
    name="batch",
    service="batch",
    resource=r"job-queue/[A-Za-z0-9_-]{1,128}",
    form="job-queue/NAME",
    needs="BatchParameters",
    takes_object=True,
    call=_submit,
)
