"""SQS queues: as targets, and as what dead letters are sent to."""

import re
from collections.abc import Mapping, Sequence

from partnerbus.model.arns import Arn
from partnerbus.model.paths import EventDocument, resolve
from partnerbus.model.reply import ACCEPTED, ErrorCode, Reply
from partnerbus.model.resources import Rule, Target
from partnerbus.targets.aws import AwsCaller
from partnerbus.targets.aws_errors import Output, entry_replies
from partnerbus.targets.aws_service import AwsCall, Expected
from partnerbus.targets.gathering import CallLimits, Gatherer
from partnerbus.targets.invoker import Invocation

QUEUE = r"[A-Za-z0-9_-]{1,80}(\.fifo)?"
"""What a queue is called."""

LIMITS = CallLimits(entries=10, size_bytes=262_144)
"""What one SendMessageBatch takes. The service takes more bytes by now, emulators do not."""

URLS_KEPT = 10_000
"""How many queue URLs are remembered."""


class SqsQueues:
    """Sends to queues by their ARN.

    At AWS a queue's URL follows from its ARN. Emulators write it in ways of their own, so they are asked
    (GetQueueUrl) once for each queue.
    """

    def __init__(self, aws: AwsCaller) -> None:
        self._aws = aws
        self._urls: dict[str, str] = {}
        self._gatherer = Gatherer(LIMITS, self._send_one, self._send_many)

    def refusal(self, queue_arn: str, account: str) -> str | None:
        """Why `account` may not have anything sent to a queue; None if it may."""
        arn = Arn.parse(queue_arn)
        if arn is None or arn.service != "sqs" or not arn.region or not re.fullmatch(QUEUE, arn.resource):
            return "That is no ARN of an SQS queue."
        return self._aws.refusal("sqs", arn, account)

    async def send(
        self,
        queue_arn: str,
        body: str,
        *,
        group_id: str | None = None,
        attributes: dict[str, str] | None = None,
    ) -> Reply:
        """Send `body` with String attributes; the deduplication is the queue's own, by content."""
        arn = Arn.parse(queue_arn)
        if arn is None or arn.service != "sqs":
            return Reply(error=ErrorCode.INVALID_PARAMETER, message="That is no ARN of an SQS queue.")
        parameters: dict[str, object] = {"MessageBody": body}
        if group_id is not None:
            parameters["MessageGroupId"] = group_id
        if attributes:
            parameters["MessageAttributes"] = {
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            }
        texts = (body, *(attributes or {}).keys(), *(attributes or {}).values())
        size = sum(len(text.encode()) for text in texts)
        return await self._gatherer.send(arn, parameters, size)

    async def close(self) -> None:
        """End the calls that deliveries share."""
        await self._gatherer.close()

    async def _send_one(self, arn: Arn, parameters: Mapping[str, object]) -> Reply:
        answer = await self._call_queue(arn, "SendMessage", parameters, "MessageId")
        return answer if isinstance(answer, Reply) else ACCEPTED

    async def _send_many(self, arn: Arn, entries: Sequence[Mapping[str, object]]) -> Sequence[Reply] | Reply:
        given = {"Entries": [{"Id": str(at), **parameters} for at, parameters in enumerate(entries)]}
        answer = await self._call_queue(arn, "SendMessageBatch", given, ("Successful", "Failed"))
        return answer if isinstance(answer, Reply) else entry_replies(answer, len(entries))

    async def _call_queue(
        self, arn: Arn, operation: str, parameters: Mapping[str, object], expects: Expected
    ) -> Output | Reply:
        url = await self._url(arn)
        if isinstance(url, Reply):
            return url
        answer = await self._aws.call(_call(arn, operation, {"QueueUrl": url, **parameters}, expects))
        if isinstance(answer, Reply) and answer.error is ErrorCode.NO_RESOURCE:
            self._urls.pop(str(arn), None)
        return answer

    async def _url(self, arn: Arn) -> str | Reply:
        if self._aws.emulator("sqs") is None:
            suffix = "amazonaws.com.cn" if arn.partition == "aws-cn" else "amazonaws.com"
            return f"https://sqs.{arn.region}.{suffix}/{arn.account}/{arn.resource}"
        known = self._urls.get(str(arn))
        return known or await self._ask(arn)

    async def _ask(self, arn: Arn) -> str | Reply:
        named = {"QueueName": arn.resource, "QueueOwnerAWSAccountId": arn.account}
        answer = await self._aws.call(_call(arn, "GetQueueUrl", named, "QueueUrl"))
        if isinstance(answer, Reply):
            return answer
        if len(self._urls) >= URLS_KEPT:
            self._urls.clear()
        self._urls[str(arn)] = str(answer["QueueUrl"])
        return self._urls[str(arn)]


class SqsInvoker:
    """A queue as a target: the input is the message's body."""

    kind = "sqs"

    def __init__(self, queues: SqsQueues) -> None:
        self._queues = queues

    def refusal(self, target: Target, rule: Rule) -> str | None:
        """A FIFO queue needs a message group (documented); whether the queue exists shows later."""
        if _is_fifo(target.arn) and not target.message_group_id:
            return "A FIFO queue needs a message group id."
        return self._queues.refusal(target.arn, rule.created_by)

    async def invoke(self, invocation: Invocation) -> Reply:
        """Send the input to the queue."""
        target = invocation.target
        refusal = self._queues.refusal(target.arn, invocation.rule.created_by)
        if refusal is not None:
            return Reply(error=ErrorCode.NO_PERMISSIONS, message=refusal)
        group_id = None
        if target.message_group_id is not None:
            group_id = resolve(target.message_group_id, EventDocument(invocation.record.event))
            if not group_id:
                return Reply(
                    error=ErrorCode.INVALID_PARAMETER,
                    message="The path of the message group id leads to nothing in the event.",
                )
        return await self._queues.send(target.arn, invocation.payload.decode(), group_id=group_id)


def _is_fifo(queue_arn: str) -> bool:
    return queue_arn.endswith(".fifo")


def _call(arn: Arn, operation: str, parameters: Mapping[str, object], expects: Expected) -> AwsCall:
    return AwsCall(
        service="sqs",
        operation=operation,
        region=arn.region,
        account=arn.account,
        parameters=parameters,
        expects=expects,
        names_account=True,
    )
