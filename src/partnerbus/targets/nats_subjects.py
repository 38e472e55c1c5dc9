"""Which NATS subjects a rule may publish to."""

import re

from partnerbus.model.arns import Arn
from partnerbus.model.resources import Rule
from partnerbus.targets.own_arns import foreign

_TOKEN = r"[A-Za-z0-9-][A-Za-z0-9_-]*"  # noqa: S105
SUBJECT = re.compile(rf"{_TOKEN}(?:\.{_TOKEN})*")
"""Plain words with dots between them: no wildcards, and nothing that is the server's own (`$…`, `_…`)."""

LONGEST_SUBJECT = 256

FORM = (
    "The ARN must end with a subject: words of letters, digits, '_' and '-' with dots between them, up to "
    f"{LONGEST_SUBJECT} characters."
)


class AllowedSubjects:
    """The subjects that `pattern` matches, in which `{account}` stands for the rule's account.

    `*` stands for one word, a last `>` for one or more, as in NATS.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def refusal(self, arn: Arn | None, rule: Rule) -> str | None:
        """Why the rule may not publish to the subject of `arn`; None if it may."""
        if arn is None or len(arn.resource) > LONGEST_SUBJECT or not SUBJECT.fullmatch(arn.resource):
            return FORM
        wanted = self._pattern.replace("{account}", rule.created_by)
        if not _matches(wanted.split("."), arn.resource.split(".")):
            return f"This node publishes to subjects like {wanted} only."
        return foreign(arn, rule)


def _matches(pattern: list[str], subject: list[str]) -> bool:
    if pattern[-1] == ">":
        pattern = pattern[:-1]
        if len(subject) <= len(pattern):
            return False
        subject = subject[: len(pattern)]
    return len(pattern) == len(subject) and all(
        want in ("*", have) for want, have in zip(pattern, subject, strict=True)
    )
