"""A subscription: one (rule, target), as the engine sees it."""

from functools import lru_cache
from hashlib import blake2b

import msgspec

from partnerbus.model.paths import ANY, EventDocument, Path, PathError, parse_path, string_text
from partnerbus.model.resources import Rule, RuleState, Target

KEY_BYTES = 16


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A rule's target that is owed each matching event of the bus after position `since`."""

    rule: Rule
    target: Target

    @property
    def id(self) -> str:
        return self.target.subscription

    @property
    def since(self) -> int:
        return self.target.since

    @property
    def lane(self) -> str:
        """What its deliveries share with those of other subscriptions: the target itself."""
        return self.target.arn

    def key(self, document: EventDocument) -> bytes | None:
        """What events that must be delivered in order have in common; None for one that needs no order.

        It is made of the value at the target's `ordered_by`: strings are equal if they say the same, other
        values if they are written the same. An event that has nothing there needs no order.
        """
        found = _ordering_json(self.target, document)
        if found is None:
            return None
        same = b'"' + string_text(found).encode() if found[:1] == b'"' else found
        return blake2b(same, digest_size=KEY_BYTES).digest()


def ordering_value(target: Target, document: EventDocument) -> bytes | None:
    """The value that `target` is ordered by: what a string says, any other as it is written."""
    found = _ordering_json(target, document)
    return string_text(found).encode() if found is not None and found[:1] == b'"' else found


def _ordering_json(target: Target, document: EventDocument) -> bytes | None:
    path = None if target.ordered_by is None else ordering_path(target.ordered_by)
    try:
        return None if path is None else document.find(path)
    except PathError:
        return None


@lru_cache(maxsize=1_024)
def ordering_path(text: str) -> Path | None:
    """The path in `text`, if it is one that leads to one value."""
    path = parse_path(text)
    return None if path is None or not path.steps or ANY in path.steps else path


def subscriptions(rule: Rule) -> tuple[Subscription, ...]:
    """Those that matching events are owed to; a rule with only a schedule has none."""
    return () if rule.pattern is None else scheduled_subscriptions(rule)


def scheduled_subscriptions(rule: Rule) -> tuple[Subscription, ...]:
    """Those that the rule's own scheduled events are owed to; a disabled rule has none."""
    if rule.state is RuleState.DISABLED:
        return ()
    return tuple(Subscription(rule=rule, target=target) for target in rule.targets)
