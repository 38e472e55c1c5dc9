"""Kinesis streams: the input is a record's data, the partition key comes from the event."""

from collections.abc import Mapping, Sequence
from typing import cast

from partnerbus.model.arns import Arn
from partnerbus.model.paths import PathError, parse_path, string_text
from partnerbus.model.reply import Reply
from partnerbus.targets.aws_errors import Output, entry_reply
from partnerbus.targets.aws_kind import Ask, AwsKind, Batch, document_of
from partnerbus.targets.gathering import CallLimits
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


def _put_records(asks: Sequence[Ask]) -> Ask:
    records = [{name: ask.parameters[name] for name in ("Data", "PartitionKey")} for ask in asks]
    return Ask(
        operation="PutRecords",
        parameters={"StreamARN": asks[0].parameters["StreamARN"], "Records": records},
        expects="Records",
    )


def _size(ask: Ask) -> int:
    return len(cast(bytes, ask.parameters["Data"])) + KEY_CHARACTERS * 4


def _judge_records(output: Output, _: Sequence[Ask]) -> Sequence[Reply]:
    found = cast(Sequence[Mapping[str, object]], output["Records"])
    return [entry_reply(each, "ErrorCode", "ErrorMessage") for each in found]


KINESIS = AwsKind(
    name="kinesis",
    service="kinesis",
    resource=r"stream/[A-Za-z0-9_.-]{1,128}",
    form="stream/NAME",
    call=_put_record,
    names_account=True,
    batch=Batch(
        limits=CallLimits(entries=500, size_bytes=5 * 1024 * 1024),
        size=_size,
        combine=_put_records,
        judge=_judge_records,
    ),
)
