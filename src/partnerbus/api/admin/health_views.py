"""The health of things, as values to answer with."""

from datetime import datetime

import msgspec

from partnerbus.engine.tallies import Minute
from partnerbus.model.resources import RuleState, SourceState


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of events (accepted, unmatched) and of what they were owed to (the rest), since ever.

    `pending` are owed and not settled, of which `retrying` wait for their next attempt. The oldest of them
    was stored `oldest_pending_seconds` ago; the oldest event that no rule was asked about yet `lag_seconds`.
    """

    accepted: int = 0
    unmatched: int = 0
    delivered: int = 0
    retrying: int = 0
    dead: int = 0
    dropped: int = 0
    cancelled: int = 0
    pending: int = 0
    oldest_pending_seconds: float | None = None
    lag_seconds: float = 0.0


class Owed(msgspec.Struct, frozen=True, kw_only=True):
    """What is owed now to a rule or target, and what was attempted since `counted_since`.

    `failed` counts attempts; the last failure's `error` and `message` stay until there is another one.
    """

    pending: int
    retrying: int
    dead: int
    oldest_pending_seconds: float | None
    delivered: int
    failed: int
    delivered_at: datetime | None
    failed_at: datetime | None
    error: str | None
    message: str


class BusHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A bus with its ledger. `minutes`, here and below: the last hour's attempts, if they were asked for."""

    arn: str
    account: str
    region: str
    name: str
    counts: Counts
    minutes: list[Minute] | None = None


class RuleHealth(msgspec.Struct, frozen=True, kw_only=True):
    arn: str
    account: str
    region: str
    bus: str
    name: str
    state: RuleState
    managed_by: str | None
    targets: list[str]
    owed: Owed
    minutes: list[Minute] | None = None


class TargetHealth(msgspec.Struct, frozen=True, kw_only=True):
    """It fails without a success since `failing_since`, and a circuit breaker holds it until `held_until`."""

    arn: str
    account: str
    region: str
    rules: list[str]
    failing_since: datetime | None
    disabled_at: datetime | None
    held_until: datetime | None
    owed: Owed
    minutes: list[Minute] | None = None


class SourceError(msgspec.Struct, frozen=True, kw_only=True):
    """What the last failure of one of the customer's rules was."""

    error: str
    message: str
    at: datetime


class SourceHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A partner source with what became of its events; no counts while it has no bus.

    `shares_errors` is what the customer decided; a partner gets `errors` only then.
    """

    arn: str
    name: str
    region: str
    partner: str
    account: str
    state: SourceState
    created_at: datetime
    expires_at: datetime | None
    shares_errors: bool
    counts: Counts | None
    errors: list[SourceError]
    minutes: list[Minute] | None = None


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Something that needs somebody: what (an ARN), whose, and why, as a sentence."""

    subject: str
    account: str
    sentence: str
    since: datetime | None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """All of what the viewer may see, and what is wrong, the newest minute last."""

    now: datetime
    counted_since: datetime | None
    counts: Counts
    faults: list[Fault]
    minutes: list[Minute]


class BusHealthList(msgspec.Struct, frozen=True, kw_only=True):
    buses: list[BusHealth]
    next: str | None


class RuleHealthList(msgspec.Struct, frozen=True, kw_only=True):
    rules: list[RuleHealth]
    counted_since: datetime | None
    next: str | None


class TargetHealthList(msgspec.Struct, frozen=True, kw_only=True):
    targets: list[TargetHealth]
    counted_since: datetime | None
    next: str | None


class SourceHealthList(msgspec.Struct, frozen=True, kw_only=True):
    sources: list[SourceHealth]
    next: str | None
