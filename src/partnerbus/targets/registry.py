"""Which invoker serves which target ARN."""

from partnerbus.targets.invoker import Invoker


class Targets:
    """The invokers of a node."""

    def invoker(self, arn: str) -> Invoker | None:
        """The invoker for a target's ARN; None if this node has none of that kind."""
