"""Firehose streams: the input is a record's data as it is; no newline is added (documented)."""

from collections.abc import Mapping, Sequence
from typing import cast

from partnerbus.model.arns import Arn
from partnerbus.model.reply import Reply
from partnerbus.targets.aws_errors import Output, entry_reply
from partnerbus.targets.aws_kind import Ask, AwsKind, Batch
from partnerbus.targets.gathering import CallLimits
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


def _put_record_batch(asks: Sequence[Ask]) -> Ask:
    return Ask(
        operation="PutRecordBatch",
        parameters={
            "DeliveryStreamName": asks[0].parameters["DeliveryStreamName"],
            "Records": [ask.parameters["Record"] for ask in asks],
        },
        expects="RequestResponses",
    )


def _size(ask: Ask) -> int:
    record = cast(Mapping[str, bytes], ask.parameters["Record"])
    return len(record["Data"])


def _judge_records(output: Output, _: Sequence[Ask]) -> Sequence[Reply]:
    found = cast(Sequence[Mapping[str, object]], output["RequestResponses"])
    return [entry_reply(each, "ErrorCode", "ErrorMessage") for each in found]


FIREHOSE = AwsKind(
    name="firehose",
    service="firehose",
    resource=r"deliverystream/[A-Za-z0-9_.-]{1,64}",
    form="deliverystream/NAME",
    call=_put_record,
    batch=Batch(
        limits=CallLimits(entries=500, size_bytes=4 * 1024 * 1024),
        size=_size,
        combine=_put_record_batch,
        judge=_judge_records,
    ),
)
