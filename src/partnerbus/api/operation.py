"""What an operation is: a typed view of its input, a handler, a typed answer.

The contract (`contract.py`, botocore's model) has checked a request before its handler sees it: types,
required members, lengths, patterns, enums. An `Input` is therefore only a view, naming what the handler
reads; a test holds the names of every view and answer to the model.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TypeVar

import msgspec

from partnerbus.api.room import Room
from partnerbus.engine.catalog import Catalog
from partnerbus.engine.connection_secrets import ConnectionSecrets
from partnerbus.engine.publish import Publisher
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.ids import Ids
from partnerbus.kernel.secrets import SecretBox
from partnerbus.kernel.telemetry import Metrics
from partnerbus.model.quotas import Quotas, quotas_of
from partnerbus.model.resources import Account, account_key
from partnerbus.store.protocol import SharedStore, Store
from partnerbus.targets.registry import Targets


class Input(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The members of a request that a handler reads; instants are epoch seconds."""


class Output(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """An answer. A member at its default (None) is left out; instants are epoch seconds."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls, and where. `any_partner` (only without authentication) may act as every partner.

    `signed_for` are the regions that a signature over several regions is for, `*` standing for any text.
    """

    request_id: str
    operation: str
    account: str
    region: str
    partner: str | None = None
    any_partner: bool = False
    signed_for: tuple[str, ...] = ("*",)

    def is_signed_for(self, region: str) -> bool:
        """Whether a call through a global endpoint may reach a bus in `region`."""
        return any(fnmatchcase(region, each) for each in self.signed_for)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and periods that are the same for every account; what differs are its quotas.

    `partner_regions` are the regions that have partner sources, empty for all.
    """

    entries_bytes: int = 1_048_576
    targets_per_call: int = 10
    pending_source_lifetime: timedelta = timedelta(days=14)
    partner_regions: frozenset[str] = frozenset()


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """What handlers work with. `quotas` are those of accounts for which an operator changed none."""

    catalog: Catalog
    store: Store
    publisher: Publisher
    targets: Targets
    clock: Clock
    secrets: SecretBox
    connection_secrets: ConnectionSecrets
    failpoints: Failpoints
    metrics: Metrics
    limits: Limits = Limits()
    quotas: Quotas = Quotas()
    room: Room = msgspec.field(default_factory=Room)
    ids: Ids = msgspec.field(default_factory=Ids)

    def quotas_of(self, account: str) -> Quotas:
        """The quotas of an account."""
        return quotas_of(self.catalog.get(Account, account_key(account)), self.quotas)

    async def catch_up(self) -> bool:
        """Let this node know of whatever any other has been answered before; False if it is the only one."""
        if not isinstance(self.store, SharedStore):
            return False
        await self.store.catch_up()
        return True


I = TypeVar("I", bound=Input)  # noqa: E741


class Operation(msgspec.Struct, frozen=True):
    """A handler with the view of its input. Those that carry events are called most, and read fastest."""

    input_type: type[Input]
    run: Callable[[Services, Call, Input], Awaitable[Output | None]]
    carries_events: bool = False


def operation(
    input_type: type[I],
    handler: Callable[[Services, Call, I], Awaitable[Output | None]],
    *,
    carries_events: bool = False,
) -> Operation:
    """An operation from its handler. A handler refuses by raising `ApiError`."""

    def run(services: Services, call: Call, request: Input) -> Awaitable[Output | None]:
        assert isinstance(request, input_type)
        return handler(services, call, request)

    return Operation(input_type, run, carries_events)


def epoch_seconds(instant: datetime) -> float:
    """An instant as the wire has it: a number of seconds, whole ones without a fraction."""
    seconds = instant.timestamp()
    return int(seconds) if seconds.is_integer() else seconds


def from_epoch_seconds(seconds: float) -> datetime:
    """The instant a caller sent."""
    return datetime.fromtimestamp(seconds, UTC)
