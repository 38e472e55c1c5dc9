"""What several families of operations share: structures of the wire, and the checks of them."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from partnerbus.api.errors import ApiError, invalid
from partnerbus.api.operation import epoch_seconds
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.targets.dead_letter import dead_letter_refusal

TAGS_PER_RESOURCE = 50
TRIES = 16
"""How often an upsert is tried against others before it is refused as a concurrent modification. In each
round one of those who change a resource at once gets through; deployment tools change ten things at once."""

T = TypeVar("T")


class Shape(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """A structure inside of inputs and answers; a member at None is left out."""


class Tag(Shape, frozen=True, kw_only=True):
    key: str
    value: str


class DeadLetterConfig(Shape, frozen=True, kw_only=True):
    arn: str | None = None


def tags_by_key(tags: Sequence[Tag]) -> dict[str, str]:
    """The tags to store; refused if there are too many or a key is reserved (documented, texts assumed)."""
    if any(tag.key.lower().startswith("aws:") for tag in tags):
        raise invalid("Tag keys starting with 'aws:' are reserved.")
    found = {tag.key: tag.value for tag in tags}
    if len(found) != len(tags):
        raise invalid("Tag keys must be unique.")
    return within_tag_limit(found)


def within_tag_limit(tags: dict[str, str]) -> dict[str, str]:
    """The tags; refused if one resource would have too many (documented, text assumed)."""
    if len(tags) > TAGS_PER_RESOURCE:
        raise invalid(f"A resource can have at most {TAGS_PER_RESOURCE} tags.")
    return tags


def bus_dead_letter_arn(config: DeadLetterConfig | None) -> str | None:
    """The queue's ARN; refused unless it is a standard SQS queue (documented, text assumed)."""
    arn = config.arn if config is not None else None
    sentence = None if arn is None else dead_letter_refusal(arn)
    if sentence is not None:
        raise invalid(f"Parameter DeadLetterConfig.Arn is not valid. Reason: {sentence}")
    return arn


def seconds(instant: datetime | None) -> float | None:
    """An instant for an answer, if there is one."""
    return None if instant is None else epoch_seconds(instant)


def managed(name: str) -> ApiError:
    """The refusal to change a rule that a service manages (text assumed)."""
    return ApiError("ManagedRuleException", f"Rule {name} is managed by a service and can't be changed.")


async def retried(change: Callable[[], Awaitable[T]]) -> T:
    """The result of `change`, a read-modify-write that starts over when somebody else was faster."""
    for _ in range(TRIES - 1):
        try:
            return await change()
        except RevisionConflict:
            continue
    return await change()
