"""Which bus a caller means: members that take a bus name or a bus ARN."""

from partnerbus.api.errors import ApiError, access_denied, not_found
from partnerbus.api.operation import Call, Services
from partnerbus.model.arns import DEFAULT_BUS, Arn
from partnerbus.model.resources import EventBus


def find_bus(services: Services, call: Call, name_or_arn: str | None) -> EventBus:
    """The caller's bus; the default one if it names none. Refused if there is no such bus (recorded).

    Bus policies open a bus of another account to events, and to nothing else here.
    """
    name = name_or_arn or DEFAULT_BUS
    arn = Arn.parse(name)
    if arn is not None:
        if arn.region != call.region:
            raise no_such_bus(name)
        if arn.account != call.account:
            raise not_authorized(call, name)
        name = arn.resource.removeprefix("event-bus/")
    bus = services.catalog.bus(call.account, call.region, name)
    if bus is None:
        raise no_such_bus(name)
    return bus


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
