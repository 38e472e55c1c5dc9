"""Firehose streams: the input is a record's data as it is; no newline is added (documented)."""

from partnerbus.model.arns import Arn
from partnerbus.targets.aws_kind import Ask, AwsKind
from partnerbus.targets.invoker import Invocation

PREFIX = "deliverystream/"


def _put_record(invocation: Invocation, arn: Arn) -> Ask:
    return Ask(
        operation="PutRecord",
        parameters={
            "DeliveryStreamName": arn.resource.removeprefix(PREFIX),
            "Record": {"Data": invocation.payload},
        },
        expects="RecordId",
    )


FIREHOSE = AwsKind(
    name="firehose",
    service="firehose",
    resource=r"deliverystream/[A-Za-z0-9_.-]{1,64}",
    form="deliverystream/NAME",
    call=_put_record,
)
