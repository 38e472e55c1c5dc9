"""A partner source brought from standing to standing, through the operations of both sides."""

from partnerbus.engine.sources import PartnerSources
from partnerbus.model.partner_source import Standing, Trigger
from partnerbus.model.resources import EventBus, PartnerSource, bus_key, source_key
from tests.api.world import CUSTOMER, REGION, SOURCE, Refused, World

A, P, PB, ON, D = Standing
GONE = "ResourceNotFoundException"

SEEN = {A: (None, None), P: ("PENDING",) * 2, PB: ("PENDING",) * 2, ON: ("ACTIVE",) * 2, D: (None, "DELETED")}
"""What the partner and the customer read in each standing."""


async def pull(world: World, trigger: Trigger) -> None:
    match trigger:
        case Trigger.OFFER:
            await world.partner("CreatePartnerEventSource", Name=SOURCE, Account=CUSTOMER)
        case Trigger.WITHDRAW:
            await world.partner("DeletePartnerEventSource", Name=SOURCE, Account=CUSTOMER)
        case Trigger.ASSOCIATE:
            await world.customer("CreateEventBus", Name=SOURCE, EventSourceName=SOURCE)
        case Trigger.RELEASE:
            await world.customer("DeleteEventBus", Name=SOURCE)
        case Trigger.ACTIVATE:
            await world.customer("ActivateEventSource", Name=SOURCE)
        case Trigger.DEACTIVATE:
            await world.customer("DeactivateEventSource", Name=SOURCE)
        case Trigger.EXPIRE:
            await world.advance(days=14)


async def reach(world: World, wanted: Standing) -> None:
    """Bring the source to a standing by the documented way."""
    ways = {
        A: [],
        P: [Trigger.OFFER],
        ON: [Trigger.OFFER, Trigger.ASSOCIATE],
        PB: [Trigger.OFFER, Trigger.ASSOCIATE, Trigger.DEACTIVATE],
        D: [Trigger.OFFER, Trigger.ASSOCIATE, Trigger.WITHDRAW],
    }
    for trigger in ways[wanted]:
        await pull(world, trigger)


async def seen(world: World) -> tuple[str | None, str | None]:
    """The states that the partner and the customer read."""
    return await partner_sees(world), await customer_sees(world)


def _require_absence(refused: Refused) -> None:
    if refused.code != GONE:
        raise refused


async def partner_sees(world: World) -> str | None:
    try:
        answer = await world.partner("ListPartnerEventSourceAccounts", EventSourceName=SOURCE)
    except Refused as refused:
        _require_absence(refused)
        return None
    (account,) = answer["PartnerEventSourceAccounts"]
    assert account["Account"] == CUSTOMER
    state: str = account["State"]
    return state


async def customer_sees(world: World) -> str | None:
    try:
        answer = await world.customer("DescribeEventSource", Name=SOURCE)
    except Refused as refused:
        _require_absence(refused)
        return None
    assert ("ExpirationTime" in answer) == (answer["State"] == "PENDING")
    state: str = answer["State"]
    return state


def bus_of(world: World) -> EventBus | None:
    return world.services.catalog.get(EventBus, bus_key(CUSTOMER, REGION, SOURCE))


def source_of(world: World) -> PartnerSource | None:
    return world.services.catalog.get(PartnerSource, source_key(REGION, SOURCE))


def sources(world: World) -> PartnerSources:
    services = world.services
    lifetime = services.limits.pending_source_lifetime
    return PartnerSources(services.catalog, services.clock, services.failpoints, lifetime)
