"""SNS topics: the input is published as the message, without a subject."""

from partnerbus.model.arns import Arn
from partnerbus.targets.aws_kind import Ask, AwsKind
from partnerbus.targets.invoker import Invocation


def _publish(invocation: Invocation, arn: Arn) -> Ask:
    return Ask(
        operation="Publish",
        parameters={"TopicArn": str(arn), "Message": invocation.payload.decode()},
        expects="MessageId",
    )


SNS = AwsKind(
    name="sns",
    service="sns",
    resource=r"[A-Za-z0-9_-]{1,256}",
    form="the name of a standard topic (FIFO topics cannot be targets)",
    call=_publish,
    names_account=True,
)
