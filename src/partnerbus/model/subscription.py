"""A subscription: one (rule, target), as the engine sees it."""

import msgspec

from partnerbus.model.resources import Rule, RuleState, Target


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


def subscriptions(rule: Rule) -> tuple[Subscription, ...]:
    """Those of a rule; a disabled one has none, and one with only a schedule is owed no events."""
    if rule.state is RuleState.DISABLED or rule.pattern is None:
        return ()
    return tuple(Subscription(rule=rule, target=target) for target in rule.targets)
