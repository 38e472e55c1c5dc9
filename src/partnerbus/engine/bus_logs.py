"""The logs of buses: what happened to each event, for buses whose owner wants it written (`LogConfig`).

A bus at OFF costs one look whether any bus writes at all. What is written is encoded here and handed to
`write`, which must neither wait nor fail: these records are best effort (documented), and nothing waits for
them. Rules that a service manages are not told of (documented).
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby

import msgspec

from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.clock import Clock
from partnerbus.model.arns import Arn
from partnerbus.model.bus_log import (
    LEVELS,
    WRITTEN,
    BusLogDetails,
    BusLogError,
    BusLogLevel,
    BusLogRecord,
    BusLogType,
    encode_record,
    event_details,
    target_details,
)
from partnerbus.model.delivery import Claim, DeliveryState, NewRecord, Record, Settlement, delivery_id
from partnerbus.model.event import Event
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.resources import AnyResource, EventBus, Replay, Rule, bus_key
from partnerbus.model.subscription import Subscription

FULL = "FULL"
SERVICE = "events"
SUCCESS = "SUCCESS"
"""What records have as the status of what went well; of what did not, its error's code (assumed)."""

FIRST, RETRY = "FIRST", "RETRY"
"""Types of attempts. The third documented one, THROTTLE, is a RETRY here: nobody knows older replies."""


class _Bus(msgspec.Struct, frozen=True):
    """A bus that writes."""

    key: str
    arn: str
    name: str
    written: frozenset[BusLogType]
    is_full: bool


class BusLogs:
    """Follows which buses write what, and writes it."""

    def __init__(self, catalog: Catalog, clock: Clock, write: Callable[[bytes], None]) -> None:
        self._clock = clock
        self._write = write
        self._by_key: dict[str, _Bus] = {}
        self._by_log: dict[str, _Bus] = {}
        self._replayed: dict[str, str] = {}
        for bus in catalog.list(EventBus, "bus:"):
            self._changed(bus.key, None, bus)
        for replay in catalog.list(Replay, "replay:"):
            self._changed(replay.key, None, replay)
        catalog.listen(self._changed)

    def _changed(self, _: str, before: AnyResource | None, after: AnyResource | None) -> None:
        if isinstance(before, EventBus):
            self._by_log.pop(before.log, None)
            self._by_key.pop(before.key, None)
        found = _writing(after) if isinstance(after, EventBus) else None
        if isinstance(after, EventBus) and found is not None:
            self._by_log[after.log] = self._by_key[found.key] = found
        if isinstance(before, Replay):
            self._replayed.pop(before.log, None)
        if isinstance(after, Replay) and after.is_active:
            self._replayed[after.log] = bus_key(after.account, after.region, after.bus)

    def _of_log(self, log: str) -> _Bus | None:
        """The bus whose events are in a log, its own or that of a replay, if it writes."""
        return self._by_log.get(log) or self._by_key.get(self._replayed.get(log, ""))

    # -- ingestion -------------------------------------------------------------------------------------

    def stored(self, records: Sequence[Record], request_id: str | None) -> None:
        """These are in the logs of their buses."""
        if self._by_log:
            for record in records:
                self._ingestion(record.log, record.event, request_id, None)

    def not_stored(self, records: Sequence[NewRecord], message: str, request_id: str | None) -> None:
        """These were to be stored, and are not."""
        if self._by_log:
            for record in records:
                self._ingestion(record.log, record.event, request_id, message)

    def _ingestion(self, log: str, event: Event, request_id: str | None, failure: str | None) -> None:
        bus = self._of_log(log)
        end = BusLogType.EVENT_INGEST_SUCCESS if failure is None else BusLogType.EVENT_INGEST_FAILURE
        if bus is None or end not in bus.written:
            return
        details = event_details(event, _milliseconds_of(event), is_full=bus.is_full)
        error = BusLogError(error_message=failure, aws_service=SERVICE) if failure is not None else None
        self._tell(bus, BusLogType.EVENT_RECEIPT, event.id, details, request_id=request_id)
        self._tell(bus, end, event.id, details, request_id=request_id, error=error)

    # -- routing ---------------------------------------------------------------------------------------

    def matched(self, record: Record, owed: Iterable[Subscription]) -> None:
        """The router has matched an event, and committed what it is owed to."""
        bus = self._of_log(record.log) if self._by_log else None
        if bus is None:
            return
        event = record.event
        if BusLogType.RULE_MATCH_START in bus.written:
            details = event_details(event, _milliseconds_of(event), is_full=bus.is_full)
            self._tell(bus, BusLogType.RULE_MATCH_START, event.id, details)
        if BusLogType.RULE_MATCH not in bus.written:
            return
        standard = [one for one in owed if one.rule.managed_by is None]
        for _, found in groupby(standard, key=lambda one: one.rule.key):
            self._tell(bus, BusLogType.RULE_MATCH, event.id, _match(record, list(found)))
        if not standard:
            self._tell(bus, BusLogType.NO_STANDARD_RULES_MATCHED, event.id)

    # -- delivery --------------------------------------------------------------------------------------

    def begins(self, claim: Claim, subscription: Subscription, payload: bytes) -> None:
        """An attempt is about to be made."""
        bus = self._bus_of(subscription.rule)
        if bus is None or BusLogType.INVOCATION_START not in bus.written:
            return
        details = msgspec.structs.replace(
            self._target(bus, subscription, payload), attempt_count=claim.attempt
        )
        if claim.attempt == 1:
            self._of_delivery(bus, BusLogType.INVOCATION_START, claim, details)
        self._of_delivery(bus, BusLogType.INVOCATION_ATTEMPT_START, claim, details)

    def ended(
        self, claim: Claim, subscription: Subscription, settlement: Settlement, payload: bytes | None
    ) -> None:
        """An attempt has ended, or none was made; with it perhaps the delivery."""
        bus = self._bus_of(subscription.rule)
        if bus is None or (settlement.error is None and BusLogType.INVOCATION_SUCCESS not in bus.written):
            return
        target = self._target(bus, subscription, payload)
        error = _error(subscription, settlement)
        if settlement.attempt is not None:
            self._attempt(bus, claim, target, settlement, error)
        if settlement.state in (DeliveryState.DELIVERED, DeliveryState.DEAD):
            self._end(bus, claim, target, settlement, error)

    def _attempt(
        self,
        bus: _Bus,
        claim: Claim,
        target: BusLogDetails,
        settlement: Settlement,
        error: BusLogError | None,
    ) -> None:
        attempt = settlement.attempt
        assert attempt is not None
        details = BusLogDetails(
            rule_arn=target.rule_arn,
            role_arn=target.role_arn,
            target_arn=target.target_arn,
            attempt_type=FIRST if claim.attempt == 1 else RETRY,
            attempt_count=claim.attempt,
            invocation_status=_status(settlement),
            target_duration_ms=round(attempt.seconds * 1_000),
            target_response_body=attempt.reply.body_head or None,
        )
        self._of_delivery(bus, _kind_of(attempt.reply), claim, details, error)
        if settlement.state is DeliveryState.OWED and attempt.reply.error is ErrorCode.THROTTLING:
            waiting = msgspec.structs.replace(target, attempt_count=claim.attempt)
            self._of_delivery(bus, BusLogType.INVOCATION_THROTTLE_START, claim, waiting, error)

    def _end(
        self,
        bus: _Bus,
        claim: Claim,
        target: BusLogDetails,
        settlement: Settlement,
        error: BusLogError | None,
    ) -> None:
        details = self._timed(claim, target, settlement)
        if settlement.state is DeliveryState.DELIVERED:
            self._of_delivery(bus, BusLogType.INVOCATION_SUCCESS, claim, details)
            return
        self._of_delivery(bus, BusLogType.INVOCATION_FAILURE, claim, details, error)
        if settlement.sent_to is not None:
            self._of_delivery(bus, BusLogType.INVOCATION_DLQ, claim, details, error)

    def _timed(self, claim: Claim, target: BusLogDetails, settlement: Settlement) -> BusLogDetails:
        """How long it took. When the first attempt began and ended is known to the first attempt alone."""
        attempt, since = settlement.attempt, claim.record.stored_at
        is_first = attempt is not None and claim.attempt == 1
        now = self._clock.now()
        return msgspec.structs.replace(
            target,
            total_attempts=claim.attempt if attempt is not None else claim.attempt - 1,
            final_invocation_status=_status(settlement),
            ingestion_to_start_latency_ms=(
                _milliseconds(attempt.started_at - since) if attempt is not None and is_first else None
            ),
            ingestion_to_complete_latency_ms=_milliseconds(now - since) if is_first else None,
            ingestion_to_success_latency_ms=(
                _milliseconds(now - since) if settlement.state is DeliveryState.DELIVERED else None
            ),
            target_duration_ms=round(attempt.seconds * 1_000) if attempt is not None else None,
            target_response_body=(attempt.reply.body_head or None) if attempt is not None else None,
        )

    # -- writing ---------------------------------------------------------------------------------------

    def _bus_of(self, rule: Rule) -> _Bus | None:
        """The bus of a rule that is told of, if it writes."""
        if not self._by_key or rule.managed_by is not None:
            return None
        return self._by_key.get(bus_key(rule.account, rule.region, rule.bus))

    def _target(self, bus: _Bus, subscription: Subscription, payload: bytes | None) -> BusLogDetails:
        return target_details(subscription.rule, subscription.target, payload, is_full=bus.is_full)

    def _of_delivery(
        self,
        bus: _Bus,
        kind: BusLogType,
        claim: Claim,
        details: BusLogDetails,
        error: BusLogError | None = None,
    ) -> None:
        self._tell(bus, kind, claim.record.event.id, details, invocation_id=claim.delivery_id, error=error)

    def _tell(
        self,
        bus: _Bus,
        kind: BusLogType,
        event_id: str,
        details: BusLogDetails | None = None,
        *,
        request_id: str | None = None,
        invocation_id: str | None = None,
        error: BusLogError | None = None,
    ) -> None:
        if kind not in bus.written:
            return
        record = BusLogRecord(
            resource_arn=bus.arn,
            event_bus_name=bus.name,
            message_timestamp_ms=int(self._clock.now().timestamp() * 1_000),
            message_type=kind,
            log_level=LEVELS[kind],
            request_id=request_id,
            event_id=event_id,
            invocation_id=invocation_id,
            details=details,
            error=error,
        )
        self._write(encode_record(record))


def _writing(bus: EventBus) -> _Bus | None:
    """What a bus writes; None if it is nothing."""
    config = bus.log_config
    level = BusLogLevel(config.level or BusLogLevel.OFF) if config is not None else BusLogLevel.OFF
    if config is None or level is BusLogLevel.OFF:
        return None
    return _Bus(bus.key, bus.arn, bus.name, WRITTEN[level], config.include_detail == FULL)


def _match(record: Record, owed: Sequence[Subscription]) -> BusLogDetails:
    return BusLogDetails(
        rule_arn=owed[0].rule.arn,
        target_arns=tuple(one.target.arn for one in owed),
        invocation_ids=tuple(delivery_id(one.id, record.position) for one in owed),
    )


def _kind_of(reply: Reply) -> BusLogType:
    if reply.accepted:
        return BusLogType.INVOCATION_ATTEMPT_SUCCESS
    if reply.error is ErrorCode.THROTTLING:
        return BusLogType.INVOCATION_ATTEMPT_THROTTLE
    if reply.retryable:
        return BusLogType.INVOCATION_ATTEMPT_RETRYABLE_FAILURE
    return BusLogType.INVOCATION_ATTEMPT_PERMANENT_FAILURE


def _status(settlement: Settlement) -> str:
    return SUCCESS if settlement.error is None else settlement.error.value


def _error(subscription: Subscription, settlement: Settlement) -> BusLogError | None:
    if settlement.error is None:
        return None
    arn = Arn.parse(subscription.target.arn)
    attempt = settlement.attempt
    return BusLogError(
        error_message=settlement.message,
        aws_service=arn.service if arn is not None else SERVICE,
        http_status_code=attempt.reply.status if attempt is not None else None,
    )


def _milliseconds(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1_000)


def _milliseconds_of(event: Event) -> int:
    """The event's own time, in milliseconds since 1970."""
    return int(datetime.fromisoformat(event.time).timestamp()) * 1_000
