"""Which Kafka topics a rule may publish to."""

import re

from partnerbus.model.arns import Arn
from partnerbus.model.resources import Rule
from partnerbus.targets.own_arns import foreign

LONGEST_TOPIC = 249
TOPIC = re.compile(rf"[A-Za-z0-9-][A-Za-z0-9._-]{{0,{LONGEST_TOPIC - 1}}}")
"""Kafka's names, less those that begin with a dot or with `_` (its internal topics, and those of tools)."""

FORM = (
    "The ARN must end with a topic: letters, digits, '.', '_' and '-', a letter, digit or '-' first, up to "
    f"{LONGEST_TOPIC} characters."
)


class AllowedTopics:
    """The topics that `pattern` matches: `{account}` is the rule's account, `*` any characters."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def refusal(self, arn: Arn | None, rule: Rule) -> str | None:
        """Why the rule may not publish to the topic of `arn`; None if it may."""
        if arn is None or not TOPIC.fullmatch(arn.resource):
            return FORM
        wanted = self._pattern.replace("{account}", rule.created_by)
        if not _matches(wanted, arn.resource):
            return f"This node publishes to topics like {wanted} only."
        return foreign(arn, rule)


def _matches(pattern: str, topic: str) -> bool:
    first, *others = pattern.split("*")
    if not others:
        return topic == first
    *between, last = others
    if len(topic) < len(first) + len(last) or not (topic.startswith(first) and topic.endswith(last)):
        return False
    at, end = len(first), len(topic) - len(last)
    for part in between:  # the first place that fits leaves the most room for the rest
        found = topic.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
