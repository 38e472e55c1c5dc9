"""SNS topics: the input is published as the message, without a subject."""

from collections.abc import Sequence
from typing import cast

from partnerbus.model.arns import Arn
from partnerbus.model.reply import Reply
from partnerbus.targets.aws_errors import Output, entry_replies
from partnerbus.targets.aws_kind import Ask, AwsKind, Batch
from partnerbus.targets.gathering import CallLimits
from partnerbus.targets.invoker import Invocation


def _publish(invocation: Invocation, arn: Arn) -> Ask:
    return Ask(
        operation="Publish",
        parameters={"TopicArn": str(arn), "Message": invocation.payload.decode()},
        expects="MessageId",
    )


def _publish_batch(asks: Sequence[Ask]) -> Ask:
    entries = [{"Id": str(at), "Message": ask.parameters["Message"]} for at, ask in enumerate(asks)]
    return Ask(
        operation="PublishBatch",
        parameters={"TopicArn": asks[0].parameters["TopicArn"], "PublishBatchRequestEntries": entries},
        expects=("Successful", "Failed"),
    )


def _size(ask: Ask) -> int:
    return len(cast(str, ask.parameters["Message"]).encode())


def _judge_entries(output: Output, asks: Sequence[Ask]) -> Sequence[Reply]:
    return entry_replies(output, len(asks))


SNS = AwsKind(
    name="sns",
    service="sns",
    resource=r"[A-Za-z0-9_-]{1,256}",
    form="the name of a standard topic (FIFO topics cannot be targets)",
    call=_publish,
    names_account=True,
    batch=Batch(
        limits=CallLimits(entries=10, size_bytes=262_144),
        size=_size,
        combine=_publish_batch,
        judge=_judge_entries,
    ),
)
