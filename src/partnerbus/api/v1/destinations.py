"""Where an entry goes: the bus that it names, or the buses of a global endpoint."""

from typing import Protocol

import msgspec

from partnerbus.api.errors import invalid
from partnerbus.api.operation import Call, Services
from partnerbus.model.arns import Arn
from partnerbus.model.bus_policy import Put, may_put
from partnerbus.model.resources import EventBus, GlobalEndpoint

# Codes of entries. Those of PutPartnerEvents for a source are assumed: its guide describes them in prose.
INVALID_ARGUMENT = "InvalidArgument"
MALFORMED_DETAIL = "MalformedDetail"
NOT_AUTHORIZED_FOR_SOURCE = "NotAuthorizedForSource"
ACCESS_DENIED = "AccessDeniedException"
NO_SUCH_SOURCE = "ResourceNotFoundException"
THROTTLED = "ThrottlingException"  # documented of both calls, among the codes to try again

# Texts assumed.
NO_ENDPOINT = "Parameter EndpointId is not valid. Reason: Endpoint {} does not exist."
NOT_ITS_BUS = "The event bus is not that of the endpoint."
NOT_SIGNED_FOR = "The request was not signed for Region {}."


class Named(Protocol):
    """An entry as far as it says where it goes."""

    @property
    def source(self) -> str: ...
    @property
    def detail_type(self) -> str: ...
    @property
    def event_bus_name(self) -> str: ...


class EntryRefusal(msgspec.Struct, frozen=True):
    """Why one entry is not taken."""

    code: str
    message: str


class Drop(msgspec.Struct, frozen=True):
    """The entry gets an id, and nobody gets the event."""


class Replica(msgspec.Struct, frozen=True):
    """A second bus that gets the event, and the ARN of the global endpoint that says so."""

    bus: EventBus
    endpoint_arn: str


class Into(msgspec.Struct, frozen=True):
    """The event goes to a bus, and is `account`'s; a global endpoint may give it to another one too."""

    bus: EventBus
    account: str
    replica: Replica | None = None


Destination = Into | Drop | EntryRefusal


def invalid_argument(name: str, reason: str) -> EntryRefusal:
    return EntryRefusal(INVALID_ARGUMENT, f"Parameter {name} is not valid. Reason: {reason}")


def named_bus(services: Services, call: Call, entry: Named) -> Destination:
    """A bus by name or ARN. One of the caller's that does not exist swallows what is put to it (recorded).

    Whether another account has such a bus is told only to those who may put on it.
    """
    account, region, name = call.account, call.region, entry.event_bus_name
    parsed = Arn.parse(name)
    if parsed is not None:
        account, region = parsed.account, parsed.region
        name = parsed.resource.removeprefix("event-bus/")
    bus = services.catalog.bus(account, region, name)
    if account != call.account if bus is None else not may_put(bus, _put_of(call, entry)):
        return _denied(str(parsed or name))
    if region != call.region:
        return invalid_argument("EventBusName", f"The event bus is not in {call.region}.")
    return Drop() if bus is None else Into(bus, call.account)


def find_endpoint(services: Services, call: Call, endpoint_id: str) -> GlobalEndpoint:
    """The caller's global endpoint, whatever its region; those of others do not exist for it."""
    for endpoint in services.catalog.list(GlobalEndpoint, f"endpoint:{call.account}:"):
        if endpoint.id == endpoint_id:
            return endpoint
    raise invalid(NO_ENDPOINT.format(endpoint_id))


def through_endpoint(services: Services, call: Call, endpoint: GlobalEndpoint, entry: Named) -> Destination:
    """The bus of a global endpoint that takes the events now; its other bus too, if it replicates.

    An entry names the bus of the endpoint, by the name that both have or by the ARN of either (documented).
    """
    buses = endpoint.pair.buses
    if entry.event_bus_name not in (endpoint.bus_name, *buses):
        return invalid_argument("EventBusName", NOT_ITS_BUS)
    bus, other = (services.catalog.bus_by_arn(arn) for arn in (endpoint.taking, endpoint.standing_by))
    if bus is None:
        return Drop()
    if not call.is_signed_for(bus.region):
        return EntryRefusal(ACCESS_DENIED, NOT_SIGNED_FOR.format(bus.region))
    put = _put_of(call, entry)
    if not may_put(bus, put):
        return _denied(bus.arn)
    if other is None or not endpoint.replicates or not may_put(other, put):
        return Into(bus, call.account)
    return Into(bus, call.account, Replica(other, endpoint.arn))


def _put_of(call: Call, entry: Named) -> Put:
    return Put(account=call.account, source=entry.source, detail_type=entry.detail_type)


def _denied(bus: str) -> EntryRefusal:
    return EntryRefusal(ACCESS_DENIED, f"Not authorized to put events to event bus {bus}.")
