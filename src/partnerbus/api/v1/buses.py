"""Which bus a caller means: members that take a bus name or a bus ARN."""

from partnerbus.api.errors import ApiError, access_denied, not_found
from partnerbus.api.operation import Call, Services
from partnerbus.model.arns import DEFAULT_BUS, Arn
from partnerbus.model.resources import EventBus


def find_bus(services: Services, call: Call, name_or_arn: str | None) -> EventBus:
    """The caller's bus; the default one if it names none. Refused if there is no such bus (recorded).

    Bus policies open a bus of another account to events and rules (`rule_access`), and to nothing else here.
    """
    account, name = owner_and_name(call, name_or_arn)
    if account != call.account:
        raise not_authorized(call, name_or_arn or name)
    bus = services.catalog.bus(account, call.region, name)
    if bus is None:
        raise no_such_bus(name)
    return bus


def owner_and_name(call: Call, name_or_arn: str | None) -> tuple[str, str]:
    """Whose bus is meant, and its name. Other regions are other services, so nothing is there."""
    arn = Arn.parse(name_or_arn or DEFAULT_BUS)
    if arn is None:
        return call.account, name_or_arn or DEFAULT_BUS
    if arn.region != call.region:
        raise no_such_bus(str(arn))
    return arn.account, arn.resource.removeprefix("event-bus/")


async def replace_bus(services: Services, before: EventBus, after: EventBus) -> None:
    """Store the change of a bus; a default bus is stored for the first time when it is changed."""
    stored = services.catalog.get(EventBus, before.key) is not None
    await (services.catalog.replace(before, after) if stored else services.catalog.create(after))


def no_such_bus(name: str) -> ApiError:
    return not_found(f"Event bus {name} does not exist.")


def not_authorized(call: Call, arn: str) -> ApiError:
    """No policy of the other account's resource lets the caller in."""
    return access_denied(
        f"User: arn:aws:iam::{call.account}:root is not authorized to perform: events:{call.operation} "
        f"on resource: {arn} because no resource-based policy allows the events:{call.operation} action"
    )
