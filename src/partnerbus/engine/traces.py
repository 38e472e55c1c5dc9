"""What is recorded of events for those who trace them: exchanges with targets, and when events were routed.

What it is made of is handed to `write`, which must neither wait nor fail: records are best effort. Lines are
made of it later (`spell_traces`). What the store has is not recorded once more.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from partnerbus.engine.catalog import Catalog
from partnerbus.model import arns
from partnerbus.model.delivery import Attempt, Claim, NewDelivery, Record, Settlement, delivery_id
from partnerbus.model.exchange import Exchange, RoutedEvent, TraceLevel, TraceLine, encode_lines
from partnerbus.model.resources import AnyResource, EventBus, Replay
from partnerbus.model.subscription import Subscription
from partnerbus.targets.wire import Describer, Wire


class RoutedDraft(msgspec.Struct, frozen=True, gc=False):
    """The router has matched an event, and committed what it is owed to; `account` has the bus."""

    record: Record
    account: str
    routed_at: datetime
    rules: int
    owed: Sequence[NewDelivery]


class ExchangeDraft(msgspec.Struct, frozen=True, gc=False):
    """An attempt was made and judged."""

    claim: Claim
    subscription: Subscription
    attempt: Attempt
    kind: str
    payload: bytes
    wire: Wire


TraceDraft = RoutedDraft | ExchangeDraft


class Traces:
    """Writes what `level` says."""

    def __init__(self, catalog: Catalog, level: TraceLevel, write: Callable[[TraceDraft, int], None]) -> None:
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

    def routed(self, record: Record, rules: int, owed: Sequence[NewDelivery], routed_at: datetime) -> None:
        """The router has matched an event, and committed what it is owed to."""
        if self._level is TraceLevel.FULL:
            draft = RoutedDraft(record, self._owner(record.log), routed_at, rules, owed)
            self._write(draft, len(record.event.detail))

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
        if attempt is not None and self._wants(settlement):
            draft = ExchangeDraft(claim, subscription, attempt, kind, payload, wire)
            held = len(claim.record.event.detail) + len(payload) + wire.size_bytes
            self._write(draft, held)

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


def spell_traces(drafts: Sequence[TraceDraft]) -> bytes:
    """The lines, each with its end; every secret is hidden."""
    describer = Describer()
    return encode_lines([_line(draft, describer) for draft in drafts])


def _line(draft: TraceDraft, describer: Describer) -> TraceLine:
    return _routed(draft) if isinstance(draft, RoutedDraft) else _exchange(draft, describer)


def _routed(draft: RoutedDraft) -> RoutedEvent:
    record, event = draft.record, draft.record.event
    return RoutedEvent(
        event_id=event.id,
        account=draft.account,
        log=record.log,
        position=record.position,
        source=event.source,
        detail_type=event.detail_type,
        stored_at=record.stored_at,
        routed_at=draft.routed_at,
        rules=draft.rules,
        deliveries=tuple(delivery_id(each.subscription, each.position) for each in draft.owed),
    )


def _exchange(draft: ExchangeDraft, describer: Describer) -> Exchange:
    claim, rule, attempt = draft.claim, draft.subscription.rule, draft.attempt
    return Exchange(
        event_id=claim.record.event.id,
        delivery=claim.delivery_id,
        account=rule.created_by,
        rule_arn=rule.arn,
        target_arn=draft.subscription.target.arn,
        kind=draft.kind,
        number=attempt.number,
        started_at=attempt.started_at,
        seconds=attempt.seconds,
        sent=describer.sent(draft.wire, draft.payload),
        answered=describer.answered(draft.wire, attempt.reply),
        error=attempt.reply.error,
        message=attempt.reply.message,
    )
