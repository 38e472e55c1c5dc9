"""What needs somebody: events that are not routed, targets that fail, sources that are about to go."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from partnerbus.api.admin.health_views import BusHealth, Fault, TargetHealth
from partnerbus.api.admin.sight import BusRef
from partnerbus.model.resources import DamagedEvent, PartnerSource

EXPIRES_SOON = timedelta(days=3)

LATE = timedelta(minutes=1)
"""An event that was stored so long ago and is not routed is a fault."""


def faults(
    buses: Sequence[BusHealth],
    targets: Sequence[TargetHealth],
    sources: Sequence[PartnerSource],
    damaged: Iterable[tuple[BusRef, DamagedEvent]],
    now: datetime,
) -> Iterator[Fault]:
    """Every fault: of the node's first, then of targets, then of sources."""
    for bus in buses:
        if bus.counts.lag_seconds >= LATE.total_seconds():
            sentence = f"Events have waited {bus.counts.lag_seconds:.0f} seconds to be routed."
            yield Fault(subject=bus.arn, account=bus.account, sentence=sentence, since=None)
    for on, event in damaged:
        name = f"The event {event.event_id}" if event.event_id is not None else "An event"
        sentence = (
            f"{name} (position {event.position}) was changed by the disk before any rule was asked: "
            "it reaches nobody, and has to be put again."
        )
        yield Fault(subject=on.arn, account=on.account, sentence=sentence, since=event.found_at)
    for target in targets:
        if (ailment := _ailment(target)) is not None:
            since = target.disabled_at or target.failing_since or target.owed.failed_at
            yield Fault(subject=target.arn, account=target.account, sentence=ailment, since=since)
    for source in sources:
        if source.expires_at is not None and source.expires_at - now <= EXPIRES_SOON:
            sentence = (
                f"The source is pending, and will be deleted at {source.expires_at:%Y-%m-%d %H:%M} UTC."
            )
            yield Fault(
                subject=source.arn, account=source.account, sentence=sentence, since=source.created_at
            )


def _ailment(target: TargetHealth) -> str | None:
    """What is wrong with a target, as sentences; None if it is well."""
    owed = target.owed
    why = f" The last error was {owed.error}: {owed.message}" if owed.error is not None else ""
    if target.disabled_at is not None:
        return f"The target is disabled: nothing is sent to it.{why}"
    if target.failing_since is not None or target.held_until is not None:
        return f"The target keeps failing.{why}"
    if owed.dead:
        return f"Dead letters: {owed.dead}.{why}"
    if owed.retrying:
        return f"Deliveries that wait for another attempt: {owed.retrying}.{why}"
    return None
