"""Lambda functions: invoked asynchronously, with the input as the payload.

What the function then does with it, and whether it fails, is Lambda's own affair.
"""

from partnerbus.model.arns import Arn
from partnerbus.model.reply import ACCEPTED, Reply
from partnerbus.targets.aws_errors import Output, unreadable
from partnerbus.targets.aws_kind import Ask, AwsKind
from partnerbus.targets.invoker import Invocation

QUEUED = 202
"""The status of an asynchronous invocation that Lambda took."""


def _invoke(invocation: Invocation, arn: Arn) -> Ask:
    return Ask(
        operation="Invoke",
        parameters={"FunctionName": str(arn), "InvocationType": "Event", "Payload": invocation.payload},
        expects="StatusCode",
    )


def _judge(output: Output) -> Reply:
    status = output["StatusCode"]
    assert isinstance(status, int)
    return ACCEPTED if status == QUEUED else unreadable(status)


LAMBDA = AwsKind(
    name="lambda",
    service="lambda",
    resource=r"function:[A-Za-z0-9_-]+(:[A-Za-z0-9$_-]+)?",
    form="function:NAME or function:NAME:QUALIFIER",
    call=_invoke,
    names_account=True,
    judge=_judge,
)
