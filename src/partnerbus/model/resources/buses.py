"""Partner sources and event buses."""

from datetime import datetime
from enum import StrEnum

import msgspec

from partnerbus.model import arns
from partnerbus.model.resources.resource import Resource


class SourceState(StrEnum):
    """As the customer sees it; a source that does not exist has no state."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    DELETED = "DELETED"


class PartnerSource(Resource, frozen=True, kw_only=True, tag="source"):
    """A source offered by a partner to one customer account; names are unique in a region.

    With `shares_errors`, which is the customer's to set, the partner may read what errors the customer's
    targets give for its events.
    """

    region: str
    name: str
    partner: str
    account: str
    state: SourceState
    created_at: datetime
    expires_at: datetime | None = None
    shares_errors: bool = False

    @property
    def key(self) -> str:
        return source_key(self.region, self.name)

    @property
    def arn(self) -> str:
        return arns.event_source_arn(self.region, self.name)


class LogConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a bus writes to its log."""

    level: str | None = None
    include_detail: str | None = None


class EventBus(Resource, frozen=True, kw_only=True, tag="bus"):
    """A bus: a name, and a log of its own. A bus made anew under an old name gets a new log."""

    account: str
    region: str
    name: str
    log: str
    created_at: datetime
    modified_at: datetime
    source: str | None = None
    description: str | None = None
    kms_key: str | None = None
    dead_letter_arn: str | None = None
    log_config: LogConfig | None = None
    policy: str | None = None
    managed_by: str | None = None
    tags: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def key(self) -> str:
        return bus_key(self.account, self.region, self.name)

    @property
    def arn(self) -> str:
        return arns.bus_arn(self.region, self.account, self.name)


def default_log(account: str, region: str) -> str:
    """The log of a default bus, which need not be in the registry."""
    return f"{arns.DEFAULT_BUS}:{account}:{region}"


def source_key(region: str, name: str) -> str:
    return f"source:{region}:{name}"


def bus_key(account: str, region: str, name: str) -> str:
    return f"bus:{account}:{region}:{name}"
