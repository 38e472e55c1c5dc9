"""What is recorded of events for those who trace them: exchanges with targets, and when events were routed.

It is encoded here and handed to `write`, which must neither wait nor fail: records are best effort. What the
store has is not recorded once more.
"""

from collections.abc import Callable, Sequence

from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.clock import Clock
from partnerbus.model import arns
from partnerbus.model.delivery import Claim, NewDelivery, Record, Settlement, delivery_id
from partnerbus.model.exchange import Exchange, RoutedEvent, TraceLevel, encode_line
from partnerbus.model.resources import AnyResource, EventBus, Replay
from partnerbus.model.subscription import Subscription
from partnerbus.targets.wire import Wire


class Traces:
    """Writes what `level` says."""

    def __init__(
        self, catalog: Catalog, clock: Clock, level: TraceLevel, write: Callable[[bytes], None]
    ) -> None:
        self._clock = clock
        self._level = level
        self._write = write
        self._owners: dict[str, str] = {}
        if level is TraceLevel.FULL:
            for bus in catalog.list(EventBus, "bus:"):
                self._owners[bus.log] = bus.account
            for replay in catalog.list(Replay, "replay:"):
                self._owners[replay.log] = replay.account
            catalog.listen(self._changed)

    def _changed(self, _: str, before: AnyResource | None, after: AnyResource | None) -> None:
        if isinstance(before, (EventBus, Replay)):
            self._owners.pop(before.log, None)
        if isinstance(after, (EventBus, Replay)):
            self._owners[after.log] = after.account

    def routed(self, record: Record, rules: int, owed: Sequence[NewDelivery]) -> None:
        """The router has matched an event, and committed what it is owed to."""
        if self._level is not TraceLevel.FULL:
            return
        event = record.event
        line = RoutedEvent(
            event_id=event.id,
            account=self._owner(record.log),
            log=record.log,
            position=record.position,
            source=event.source,
            detail_type=event.detail_type,
            stored_at=record.stored_at,
            routed_at=self._clock.now(),
            rules=rules,
            deliveries=tuple(delivery_id(each.subscription, each.position) for each in owed),
        )
        self._write(encode_line(line))

    def attempted(
        self,
        claim: Claim,
        subscription: Subscription,
        settlement: Settlement,
        kind: str,
        payload: bytes,
        wire: Wire,
    ) -> None:
        """An attempt was made and judged."""
        attempt = settlement.attempt
        if attempt is None or not self._wants(settlement):
            return
        line = Exchange(
            event_id=claim.record.event.id,
            delivery=claim.delivery_id,
            account=subscription.rule.created_by,
            rule_arn=subscription.rule.arn,
            target_arn=subscription.target.arn,
            kind=kind,
            number=attempt.number,
            started_at=attempt.started_at,
            seconds=attempt.seconds,
            sent=wire.sent(payload),
            answered=wire.answered(attempt.reply),
            error=attempt.reply.error,
            message=attempt.reply.message,
        )
        self._write(encode_line(line))

    def _wants(self, settlement: Settlement) -> bool:
        if self._level is TraceLevel.FAILURES:
            return settlement.error is not None
        return self._level is TraceLevel.FULL

    def _owner(self, log: str) -> str:
        """Whose bus a log is of; that of a default bus, which need not be registered, says so itself."""
        found = self._owners.get(log)
        if found is None:
            kind, _, rest = log.partition(":")
            found = rest.partition(":")[0] if kind == arns.DEFAULT_BUS else ""
        return found
