"""Another bus of this node as a target."""

import re

from partnerbus.kernel.errors import StoreError, StoreOverloaded
from partnerbus.model.arns import Arn, bus_arn
from partnerbus.model.bus_policy import Put, may_put
from partnerbus.model.reply import ACCEPTED, ErrorCode, Reply
from partnerbus.model.resources import Rule, Target
from partnerbus.targets.invoker import Forward, Invocation, Lookup

# Texts assumed; that a role is required and an input is not possible across accounts is documented. Of an
# input for a bus of the rule's own account nothing is said: it could have no effect, so it is refused too.
ROLE_REQUIRED = "RoleArn is required for target {}."
WHOLE_EVENTS_ONLY = (
    "Input, InputPath and InputTransformer cannot be used with an event bus: it takes whole events."
)
SECOND_HOP = "The event came from another event bus and is not forwarded a second time: {}."
DENIED = "The policy of the event bus denies this."
NOT_ALLOWED = "The event bus belongs to another account, which has not allowed this."
PARTNER_BUS = "Only its partner may put events on a partner bus."

_BUS = "event-bus/"
_NAME = re.compile(r"[/.\-_A-Za-z0-9]{1,256}")
"""Only the name of a partner bus has a slash (documented)."""

_ACCOUNT = re.compile(r"[0-9]{12}")


class BusInvoker:
    """Forwards whole events to a bus of any account, in any region, if its policy allows it; one hop only.

    All of it is documented. An event that comes back to its bus is on its second hop, so none goes round.
    """

    kind = "bus"

    def __init__(self, lookup: Lookup, forward: Forward) -> None:
        self._lookup = lookup
        self._forward = forward

    def refusal(self, target: Target, rule: Rule) -> str | None:
        """A bus need not exist when it is put; it may be created later."""
        arn = Arn.parse(target.arn)
        if arn is None or not _names_bus(arn):
            return "The target's ARN does not name an event bus."
        if "/" in arn.resource.removeprefix(_BUS):
            return PARTNER_BUS
        if arn.account != rule.created_by and target.role_arn is None:
            return ROLE_REQUIRED.format(target.arn)
        has_input = (target.input, target.input_path, target.input_transformer) != (None, None, None)
        return WHOLE_EVENTS_ONLY if has_input else None

    async def invoke(self, invocation: Invocation) -> Reply:
        """Put the event into the other bus."""
        if invocation.record.via is not None:
            return Reply(
                error=ErrorCode.THIRD_ACCOUNT_HOP_DETECTED,
                message=SECOND_HOP.format(_path(invocation, invocation.record.via)),
            )
        return await self._put(invocation)

    async def _put(self, invocation: Invocation) -> Reply:
        bus = self._lookup.bus_by_arn(invocation.target.arn)
        is_own = _account(invocation.target.arn) == invocation.rule.created_by
        if bus is None and is_own:
            return Reply(error=ErrorCode.NO_RESOURCE, message="The event bus does not exist.")
        if bus is None or not may_put(bus, _put_of(invocation)):
            return Reply(error=ErrorCode.NO_PERMISSIONS, message=DENIED if is_own else NOT_ALLOWED)
        if bus.source is not None:
            return Reply(error=ErrorCode.NO_PERMISSIONS, message=PARTNER_BUS)
        try:
            await self._forward(invocation, bus)
        except StoreOverloaded as error:
            return Reply(error=ErrorCode.THROTTLING, message=str(error), retryable=True)
        except StoreError as error:
            return Reply(error=ErrorCode.INTERNAL_ERROR, message=str(error), retryable=True)
        return ACCEPTED


def _names_bus(arn: Arn) -> bool:
    is_somewhere = arn.region and _ACCOUNT.fullmatch(arn.account)
    return bool(is_somewhere and _NAME.fullmatch(arn.resource.removeprefix(_BUS)))


def _account(arn: str) -> str:
    parsed = Arn.parse(arn)
    return parsed.account if parsed is not None else ""


def _put_of(invocation: Invocation) -> Put:
    event, rule = invocation.record.event, invocation.rule
    return Put(account=rule.created_by, source=event.source, detail_type=event.detail_type, rule_arn=rule.arn)


def _path(invocation: Invocation, via: str) -> str:
    """The buses that the event would have gone through, as ARNs."""
    rule = invocation.rule
    return " -> ".join((via, bus_arn(rule.region, rule.account, rule.bus), invocation.target.arn))
