"""Dead-letter queues: what a target's queue is told of an event that could not be delivered."""

from typing import Protocol

import msgspec

from partnerbus.model.arns import Arn
from partnerbus.model.event import Event
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.resources import Rule
from partnerbus.model.retry import MAX_RETRIES

MESSAGE_CHARACTERS = 1_000
"""How much of an error's text goes into an attribute (assumed)."""


ANOTHER_REGION = "The dead-letter queue is in another region than the rule."
"""Text assumed; documented is that it is in the rule's region."""


class DeadLetterNote(msgspec.Struct, frozen=True, kw_only=True):
    """An event that could not be delivered to a target of `account`, and why.

    `exhausted` names the member of the retry policy that ran out; `retry_attempts` counts attempts after
    the first.
    """

    event: Event
    account: str
    rule_arn: str
    target_arn: str
    error: ErrorCode
    message: str = ""
    exhausted: str | None = None
    retry_attempts: int = 0

    def attributes(self) -> dict[str, str]:
        """The message attributes, all String (documented).

        EXHAUSTED_RETRY_CONDITION is left out when the policy had no retry to exhaust (assumed); age is
        exhausted without any.
        """
        is_spent = bool(self.retry_attempts) or self.exhausted != MAX_RETRIES
        exhausted = self.exhausted if is_spent else None
        named = {
            "RULE_ARN": self.rule_arn,
            "TARGET_ARN": self.target_arn,
            "ERROR_CODE": str(self.error),
            "ERROR_MESSAGE": _attribute_text(self.message) or str(self.error),
            "RETRY_ATTEMPTS": str(self.retry_attempts),
        }
        return named if exhausted is None else {**named, "EXHAUSTED_RETRY_CONDITION": exhausted}


class QueueSender(Protocol):
    """Sends to an SQS queue."""

    def refusal(self, queue_arn: str, account: str) -> str | None:
        """Why `account` may not have anything sent to a queue; None if it may."""

    async def send(
        self,
        queue_arn: str,
        body: str,
        *,
        group_id: str | None = None,
        attributes: dict[str, str] | None = None,
    ) -> Reply:
        """Send `body` with String attributes."""


class DeadLetterQueue:
    """Sends notes to the dead-letter queues that targets name."""

    def __init__(self, queues: QueueSender) -> None:
        self._queues = queues

    def refusal(self, queue_arn: str, rule: Rule) -> str | None:
        """Why a target of `rule` cannot have this dead-letter queue, as a sentence; None if it can."""
        return (
            dead_letter_refusal(queue_arn)
            or self._queues.refusal(queue_arn, rule.created_by)
            or _foreign_region(queue_arn, rule.region)
        )

    async def send(self, queue_arn: str, note: DeadLetterNote) -> Reply:
        """Send the event as it was matched, untransformed (assumed), with the note as attributes."""
        refusal = self._queues.refusal(queue_arn, note.account)
        if refusal is not None:
            return Reply(error=ErrorCode.NO_PERMISSIONS, message=refusal)
        return await self._queues.send(queue_arn, note.event.encode().decode(), attributes=note.attributes())


def dead_letter_refusal(queue_arn: str) -> str | None:
    """Why a dead-letter queue cannot be used: it is a standard SQS queue (documented), None if it is one."""
    arn = Arn.parse(queue_arn)
    if arn is None or not arn.is_of_aws or arn.service != "sqs":
        return "The dead-letter queue is not the ARN of an SQS queue."
    if arn.resource.endswith(".fifo"):
        return "The dead-letter queue is a FIFO queue; only standard queues can be used."
    return None


def _foreign_region(queue_arn: str, region: str) -> str | None:
    arn = Arn.parse(queue_arn)
    return None if arn is None or arn.region == region else ANOTHER_REGION


def _attribute_text(text: str) -> str:
    """`text` without what SQS refuses in an attribute: control characters and half surrogate pairs."""
    kept = text[:MESSAGE_CHARACTERS].encode("utf-8", "replace").decode()
    return "".join(char if char >= " " and char not in "\ufffe\uffff" else " " for char in kept)
