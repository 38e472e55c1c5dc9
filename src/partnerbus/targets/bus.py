"""Another bus of this node as a target."""

from partnerbus.kernel.errors import StoreError, StoreOverloaded
from partnerbus.model.arns import Arn
from partnerbus.model.reply import ACCEPTED, ErrorCode, Reply
from partnerbus.model.resources import Rule, Target
from partnerbus.targets.invoker import Forward, Invocation, Lookup


class BusInvoker:
    """Forwards whole events to a bus of the same account, in any region; one hop only (documented).

    Buses of other accounts are refused until bus policies are enforced.
    """

    kind = "bus"

    def __init__(self, lookup: Lookup, forward: Forward) -> None:
        self._lookup = lookup
        self._forward = forward

    def refusal(self, target: Target, _: Rule) -> str | None:
        """A bus need not exist when it is put; it may be created later."""
        arn = Arn.parse(target.arn)
        name = arn.resource.partition("/")[2] if arn else ""
        return None if name else "The target's ARN does not name an event bus."

    async def invoke(self, invocation: Invocation) -> Reply:
        """Put the event into the other bus."""
        if invocation.record.via is not None:
            return Reply(
                error=ErrorCode.THIRD_ACCOUNT_HOP_DETECTED,
                message="The event came from another event bus; it is not forwarded a second time.",
            )
        arn = Arn.parse(invocation.target.arn)
        if arn is None or arn.account != invocation.rule.account:
            return Reply(
                error=ErrorCode.NO_PERMISSIONS,
                message="The event bus belongs to another account, which has not allowed this.",
            )
        return await self._put(invocation)

    async def _put(self, invocation: Invocation) -> Reply:
        bus = self._lookup.bus_by_arn(invocation.target.arn)
        if bus is None:
            return Reply(error=ErrorCode.NO_RESOURCE, message="The event bus does not exist.")
        if bus.source is not None:
            return Reply(
                error=ErrorCode.NO_PERMISSIONS, message="Only its partner may put events on a partner bus."
            )
        try:
            await self._forward(invocation, bus)
        except StoreOverloaded as error:
            return Reply(error=ErrorCode.THROTTLING, message=str(error), retryable=True)
        except StoreError as error:
            return Reply(error=ErrorCode.INTERNAL_ERROR, message=str(error), retryable=True)
        return ACCEPTED
