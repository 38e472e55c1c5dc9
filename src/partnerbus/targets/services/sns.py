"""SNS topics: the input is published as the message, without a subject."""

from partnerbus.model.arns import Arn
from partnerbus.targets.aws_kind import AwsKind, account_of
from partnerbus.targets.aws_service import AwsCall
from partnerbus.targets.invoker import Invocation


def _publish(invocation: Invocation, arn: Arn) -> AwsCall:
    return AwsCall(
        service="sns",
        operation="Publish",
        region=arn.region,
        account=account_of(invocation, arn),
        parameters={"TopicArn": str(arn), "Message": invocation.payload.decode()},
        expects="MessageId",
        names_account=True,
    )


SNS = AwsKind(
    name="sns",
    service="sns",
    resource=r"[A-Za-z0-9_-]{1,256}",
    form="the name of a standard topic (FIFO topics cannot be targets)",
    call=_publish,
)
