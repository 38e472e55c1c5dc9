"""Step Functions state machines: the input starts an execution.

The execution's name comes from the event and the delivery, so a repeated attempt of a delivery does not start
a second one: that the execution is there already is good news.
"""

from partnerbus.model.arns import Arn
from partnerbus.model.reply import ErrorCode
from partnerbus.targets.aws_kind import Ask, AwsKind
from partnerbus.targets.invoker import Invocation

NAME_CHARACTERS = 80


def _start_execution(invocation: Invocation, arn: Arn) -> Ask:
    return Ask(
        operation="StartExecution",
        parameters={
            "stateMachineArn": str(arn),
            "name": f"{invocation.record.event.id}_{invocation.delivery_id}"[-NAME_CHARACTERS:],
            "input": invocation.payload.decode(),
        },
        expects="executionArn",
    )


STATE_MACHINE = AwsKind(
    name="stepfunctions",
    service="stepfunctions",
    resource=r"stateMachine:[^:\s]{1,80}(:[^:\s]{1,80})?",
    form="stateMachine:NAME",
    call=_start_execution,
    names_account=True,
    repeated=ErrorCode.RESOURCE_ALREADY_EXISTS,
)
