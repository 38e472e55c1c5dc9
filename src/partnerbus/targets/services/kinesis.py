"""Kinesis streams: the input is a record's data, the partition key comes from the event."""

from partnerbus.model.arns import Arn
from partnerbus.model.paths import PathError, parse_path, string_text
from partnerbus.targets.aws_kind import Ask, AwsKind, document_of
from partnerbus.targets.invoker import Invocation

KEY_CHARACTERS = 256
"""How long a partition key may be; a longer one is cut, which keeps equal keys together (assumed)."""


def _put_record(invocation: Invocation, arn: Arn) -> Ask:
    return Ask(
        operation="PutRecord",
        parameters={
            "StreamARN": str(arn),
            "Data": invocation.payload,
            "PartitionKey": partition_key(invocation)[:KEY_CHARACTERS],
        },
        expects="SequenceNumber",
    )


def partition_key(invocation: Invocation) -> str:
    """What is at PartitionKeyPath; the event's id by default (documented) and for nothing there (assumed)."""
    event_id = invocation.record.event.id
    kinesis = invocation.target.kinesis
    path = parse_path(kinesis.partition_key_path) if kinesis is not None else None
    if path is None:
        return event_id
    try:
        found = document_of(invocation).find(path)
    except PathError:
        found = None
    if found is None:
        return event_id
    return (string_text(found) if found[:1] == b'"' else found.decode()) or event_id


KINESIS = AwsKind(
    name="kinesis",
    service="kinesis",
    resource=r"stream/[A-Za-z0-9_.-]{1,128}",
    form="stream/NAME",
    call=_put_record,
    names_account=True,
)
