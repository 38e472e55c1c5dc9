"""The policy of a bus: statements that are put and removed one by one, or the whole document at once."""

import msgspec

from partnerbus.api.errors import ApiError, invalid, not_found
from partnerbus.api.operation import Call, Input, Operation, Services, operation
from partnerbus.api.v1.buses import find_bus, replace_bus
from partnerbus.api.v1.shapes import Shape, retried
from partnerbus.model.bus_policy import Permission, with_permission, without_permission
from partnerbus.model.policy import MalformedPolicy, parse_policy
from partnerbus.model.resources import EventBus

# Texts assumed, save that of an unknown statement, which is recorded.
WHAT_TO_PUT = "Either Policy, or Action, Principal and StatementId must be specified."
WHAT_TO_REMOVE = "Either StatementId or RemoveAllPermissions must be specified."
ONE_CONDITION = "Parameter Condition is not valid. Reason: It is StringEquals of aws:PrincipalOrgID."
MALFORMED = "Parameter Policy is not valid. Reason: {}"
TOO_LONG = "The policy is longer than {} characters."
NO_SUCH_STATEMENT = "Statement with the provided id does not exist."


class Condition(Shape, frozen=True, kw_only=True):
    type: str
    key: str
    value: str


class PutInput(Input, frozen=True, kw_only=True):
    event_bus_name: str | None = None
    action: str | None = None
    principal: str | None = None
    statement_id: str | None = None
    condition: Condition | None = None
    policy: str | None = None


class RemoveInput(Input, frozen=True, kw_only=True):
    event_bus_name: str | None = None
    statement_id: str | None = None
    remove_all_permissions: bool = False


async def put_permission(services: Services, call: Call, given: PutInput) -> None:
    permission = _permission(given)
    await retried(lambda: _put(services, call, given, permission))


def _permission(given: PutInput) -> Permission | None:
    """The one statement that is put; None if it is a whole policy."""
    members = (given.action, given.principal, given.statement_id, given.condition)
    if given.policy is not None:
        if any(member is not None for member in members):
            raise invalid(WHAT_TO_PUT)
        return None
    if given.action is None or given.principal is None or given.statement_id is None:
        raise invalid(WHAT_TO_PUT)
    return Permission(
        sid=given.statement_id,
        principal=given.principal,
        action=given.action,
        condition=_condition(given.condition),
    )


def _condition(condition: Condition | None) -> tuple[str, str, str] | None:
    """The only one that is documented; other ones go into a whole policy."""
    if condition is None:
        return None
    if (condition.type, condition.key) != ("StringEquals", "aws:PrincipalOrgID"):
        raise invalid(ONE_CONDITION)
    return condition.type, condition.key, condition.value


async def _put(services: Services, call: Call, given: PutInput, permission: Permission | None) -> None:
    bus = find_bus(services, call, given.event_bus_name)
    text = given.policy or ""
    if permission is not None:
        text = with_permission(bus.policy, bus.arn, permission)
    if len(text) > (most := services.quotas_of(bus.account).policy_characters):
        raise ApiError("PolicyLengthExceededException", TOO_LONG.format(most))
    if isinstance(found := parse_policy(text), MalformedPolicy):
        raise invalid(MALFORMED.format(found.message))
    await _set_policy(services, bus, text)


async def remove_permission(services: Services, call: Call, given: RemoveInput) -> None:
    await retried(lambda: _remove(services, call, given))


async def _remove(services: Services, call: Call, given: RemoveInput) -> None:
    bus = find_bus(services, call, given.event_bus_name)
    if given.remove_all_permissions:
        await _set_policy(services, bus, None)
        return
    if given.statement_id is None:
        raise invalid(WHAT_TO_REMOVE)
    left = without_permission(bus.policy, given.statement_id) if bus.policy is not None else None
    if left is None:
        raise not_found(NO_SUCH_STATEMENT)
    await _set_policy(services, bus, left or None)


async def _set_policy(services: Services, bus: EventBus, policy: str | None) -> None:
    if bus.policy != policy:
        changed = msgspec.structs.replace(bus, policy=policy, modified_at=services.clock.now())
        await replace_bus(services, bus, changed)


OPERATIONS: dict[str, Operation] = {
    "PutPermission": operation(PutInput, put_permission),
    "RemovePermission": operation(RemoveInput, remove_permission),
}
