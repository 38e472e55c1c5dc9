"""Firehose streams: the input is a record's data as it is; no newline is added (documented)."""

from partnerbus.model.arns import Arn
from partnerbus.targets.aws_kind import AwsKind, account_of
from partnerbus.targets.aws_service import AwsCall
from partnerbus.targets.invoker import Invocation

PREFIX = "deliverystream/"


def _put_record(invocation: Invocation, arn: Arn) -> AwsCall:
    return AwsCall(
        service="firehose",
        operation="PutRecord",
        region=arn.region,
        account=account_of(invocation, arn),
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
