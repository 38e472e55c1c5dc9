"""Global endpoints: one name for two buses in two regions, and which of them takes the events now."""

from datetime import datetime
from enum import StrEnum

import msgspec

from partnerbus.model import arns
from partnerbus.model.resources.resource import Resource


class EndpointHealth(StrEnum):
    """What the health check of a global endpoint says; an operator sets it."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class FailoverPair(msgspec.Struct, frozen=True, kw_only=True):
    """The two buses, by ARN, in the order of the request, and the region of the second one.

    The names of both are the same, and so are their accounts. The primary bus is in the endpoint's region.
    """

    buses: tuple[str, str]
    secondary_region: str

    @property
    def primary(self) -> str:
        """The bus that takes the events while all is well."""
        first, second = self.buses
        return second if arns.region_of(first) == self.secondary_region else first

    @property
    def secondary(self) -> str:
        """The bus that takes them while it is not."""
        first, second = self.buses
        return first if arns.region_of(first) == self.secondary_region else second


class GlobalEndpoint(Resource, frozen=True, kw_only=True, tag="global-endpoint"):
    """What PutEvents names by its `id`. With `replicates`, what one bus takes the other one gets too.

    `region` is where it was made: its primary region. `health_check` and `role_arn` are kept and shown only.
    """

    account: str
    region: str
    name: str
    id: str
    health_check: str
    pair: FailoverPair
    created_at: datetime
    modified_at: datetime
    replicates: bool = True
    role_arn: str | None = None
    description: str | None = None
    health: EndpointHealth = EndpointHealth.HEALTHY

    @property
    def key(self) -> str:
        return endpoint_key(self.account, self.region, self.name)

    @property
    def arn(self) -> str:
        return arns.endpoint_arn(self.region, self.account, self.name)

    @property
    def bus_name(self) -> str:
        """The name of both buses."""
        return self.pair.buses[0].rpartition("/")[2]

    @property
    def taking(self) -> str:
        """The bus that takes the events now."""
        return self.pair.primary if self.health is EndpointHealth.HEALTHY else self.pair.secondary

    @property
    def standing_by(self) -> str:
        """The other one."""
        return self.pair.secondary if self.health is EndpointHealth.HEALTHY else self.pair.primary


def endpoint_key(account: str, region: str, name: str) -> str:
    return f"endpoint:{account}:{region}:{name}"
