"""Targets that keep failing: their owners are told, and may have them disabled.

Of each target of an account's rules (in a region) it is remembered since when it has failed without a
success. Once that is `FAILING_AFTER` attempts and `FAILING_FOR`, an episode begins: it is written to the
registry (`FailingTarget`), so that it goes on after a restart, and ends with the first success. At both ends,
and when a target is disabled, the account is told: a line in the log, a count, and an event on its default
bus that rules can match, once per episode.

These events can be delivered to the very target that they are about. Attempts to deliver them are therefore
not judged here: no alert can bring about the next one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

import msgspec

from partnerbus.engine.attempts import Ended
from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.ids import derived_id, id_text
from partnerbus.kernel.telemetry import Log, Metrics
from partnerbus.model import arns
from partnerbus.model.delivery import Claim, NewRecord, Record
from partnerbus.model.event import Event, event_time
from partnerbus.model.resources import AnyResource, FailingTarget, Rule, failing_target_key
from partnerbus.model.subscription import Subscription

SOURCE = "partnerbus"
"""The source of the events that this node puts itself."""

FAILING_AFTER = 10
FAILING_FOR = timedelta(minutes=1)

SWEEP_EVERY = timedelta(hours=1)

Key: TypeAlias = tuple[str, str, str]
"""Account, region, and ARN of a target."""

Publish: TypeAlias = Callable[[Sequence[NewRecord]], Awaitable[Sequence[Record]]]


class Alert(StrEnum):
    """What an account is told; the detail-type of the event."""

    FAILING = "Target Failing"
    RECOVERED = "Target Recovered"
    DISABLED = "Target Disabled"


class _Streak(msgspec.Struct):
    """Failures without a success, and what the last one was."""

    since: datetime
    failures: int = 0
    rule_arn: str = ""
    error: str = ""
    message: str = ""
    asked: Alert | None = None


class _Detail(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """The detail of an alert."""

    target_arn: str
    rule_arn: str
    since: str
    failures: int
    error: str
    message: str


class TargetHealth:
    """Who fails, since when. With `disable_after`, a target that has failed for so long is disabled.

    `changed` is called when it may have become quiet.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        clock: Clock,
        metrics: Metrics,
        log: Log,
        disable_after: timedelta | None,
        changed: Callable[[], None],
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._disable_after = disable_after
        self._tell_changed = changed
        self._is_running = False
        self._is_telling = False
        self._disabled: set[Key] = set()
        self._streaks: dict[Key, _Streak] = {}
        self._news: asyncio.Queue[tuple[Key, Alert]] = asyncio.Queue()
        for found in failing_targets(catalog):
            self._note(found)
        catalog.listen(self._changed)

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to tell, or nobody to tell it just now."""
        return not self._is_telling

    # -- what the dispatcher asks and tells ------------------------------------------------------------

    def is_disabled(self, subscription: Subscription) -> bool:
        """Whether nothing is to be sent to its target."""
        return bool(self._disabled) and _key(subscription) in self._disabled

    def judged(self, claim: Claim, ended: Ended) -> None:
        """Learn from an attempt."""
        made, subscription = ended.settlement.attempt, ended.subscription
        if made is None or subscription is None or claim.record.event.source == SOURCE:
            return
        if not made.reply.accepted:
            self._failed(_key(subscription), subscription, ended)
        elif self._streaks:
            self._succeeded(_key(subscription))

    def _succeeded(self, key: Key) -> None:
        streak = self._streaks.pop(key, None)
        if streak is not None and streak.asked is not None:
            self._ask(key, Alert.RECOVERED)

    def _failed(self, key: Key, subscription: Subscription, ended: Ended) -> None:
        now = self._clock.now()
        streak = self._streaks.setdefault(key, _Streak(now))
        streak.failures += 1
        streak.rule_arn = subscription.rule.arn
        streak.error, streak.message = str(ended.settlement.error or ""), ended.settlement.message
        if streak.asked is None and streak.failures >= FAILING_AFTER and now - streak.since >= FAILING_FOR:
            streak.asked = Alert.FAILING
            self._ask(key, Alert.FAILING)
        is_long = self._disable_after is not None and now - streak.since >= self._disable_after
        if is_long and streak.asked is Alert.FAILING:
            streak.asked = Alert.DISABLED
            self._ask(key, Alert.DISABLED)

    def _ask(self, key: Key, alert: Alert) -> None:
        self._is_telling = self._is_running
        self._news.put_nowait((key, alert))

    # -- following the catalog -------------------------------------------------------------------------

    def _changed(self, _: str, before: AnyResource | None, after: AnyResource | None) -> None:
        if isinstance(after, FailingTarget):
            self._note(after)
        elif isinstance(before, FailingTarget):
            self._disabled.discard(_key_of(before))
            streak = self._streaks.get(_key_of(before))
            if streak is not None and streak.asked is not None:  # enabled again, or another node saw it well
                del self._streaks[_key_of(before)]

    def _note(self, found: FailingTarget) -> None:
        """An episode goes on after a restart, and on another node."""
        self._streaks.setdefault(
            _key_of(found),
            _Streak(found.since, found.failures, found.rule_arn, found.error, found.message, Alert.FAILING),
        )
        if found.disabled_at is not None:
            self._disabled.add(_key_of(found))

    # -- telling ---------------------------------------------------------------------------------------

    async def run(self, publish: Publish) -> None:
        """Tell accounts, until cancelled. What a process that died or a crash has left is told first."""
        self._is_running = True
        for found in failing_targets(self._catalog):
            if _key_of(found) not in self._streaks:
                self._ask(_key_of(found), Alert.RECOVERED)
        for key, streak in self._streaks.items():
            if streak.asked is not None:
                self._ask(key, streak.asked)
        try:
            while True:
                await self._tell_next(publish)
        finally:
            self._is_running = self._is_telling = False
            self._tell_changed()

    async def _tell_next(self, publish: Publish) -> None:
        if self._news.empty():
            self._is_telling = False
            self._tell_changed()
        key, alert = await self._news.get()
        if alert is Alert.RECOVERED:
            await self._end(key, publish)
        elif (failing := self._streaks.get(key)) is not None and failing.asked is alert:
            await self._begin(key, failing, alert, publish)

    async def _begin(self, key: Key, streak: _Streak, alert: Alert, publish: Publish) -> None:
        """Write the episode down, tell of it, write down that it was told. Each step may be repeated."""
        found = self._found(key) or await self._create(key, streak)
        if found.told_at is None:
            await self._tell(found, Alert.FAILING, publish)
            found = await self._replace(found, told_at=self._clock.now())
        if alert is Alert.DISABLED and found.disabled_at is None:
            latest = msgspec.structs.replace(
                found, failures=streak.failures, error=streak.error, message=streak.message
            )
            await self._tell(latest, Alert.DISABLED, publish)
            await self._replace(found, disabled_at=self._clock.now(), failures=streak.failures)

    async def _end(self, key: Key, publish: Publish) -> None:
        found = self._found(key)
        if found is None or found.disabled_at is not None:
            return
        await self._tell(found, Alert.RECOVERED, publish)
        await self._catalog.remove(found)

    async def sweep(self) -> None:
        """Forget targets that no rule of their account has any more."""
        for found in list(failing_targets(self._catalog)):
            if not self._has_rule(found):
                await self._catalog.remove(found)
                self._streaks.pop(_key_of(found), None)

    def _has_rule(self, found: FailingTarget) -> bool:
        rules = self._catalog.list(Rule, f"rule:{found.account}:{found.region}:")
        return any(target.arn == found.arn for rule in rules for target in rule.targets)

    def _found(self, key: Key) -> FailingTarget | None:
        return self._catalog.get(FailingTarget, failing_target_key(*key))

    async def _create(self, key: Key, streak: _Streak) -> FailingTarget:
        account, region, arn = key
        made = FailingTarget(
            account=account,
            region=region,
            arn=arn,
            rule_arn=streak.rule_arn,
            since=streak.since,
            failures=streak.failures,
            error=streak.error,
            message=streak.message,
        )
        await self._catalog.create(made)
        return made

    async def _replace(self, before: FailingTarget, **changes: datetime | int) -> FailingTarget:
        after = msgspec.structs.replace(before, **changes)
        await self._catalog.replace(before, after)
        return after

    async def _tell(self, found: FailingTarget, alert: Alert, publish: Publish) -> None:
        """A line, a count, and an event with a derived id, so that telling it again changes nothing."""
        bus = self._catalog.bus(found.account, found.region, arns.DEFAULT_BUS)
        assert bus is not None
        dedup_id = derived_id(found.since, alert, *_key_of(found), found.since.isoformat())
        event = Event(
            id=id_text(dedup_id),
            detail_type=alert,
            source=SOURCE,
            account=found.account,
            time=event_time(self._clock.now()),
            region=found.region,
            resources=(found.arn, found.rule_arn),
            detail=msgspec.json.encode(_detail(found)),
        )
        await publish([NewRecord(log=bus.log, dedup_id=dedup_id, event=event)])
        self._metrics.target_alerts.labels(alert).inc()
        write = self._log.info if alert is Alert.RECOVERED else self._log.warning
        write(
            alert.lower(),
            account=found.account,
            region=found.region,
            target_arn=found.arn,
            rule_arn=found.rule_arn,
            since=found.since,
            failures=found.failures,
            error=found.error,
            message=found.message,
        )


def failing_targets(catalog: Catalog) -> Iterator[FailingTarget]:
    """Every target that keeps failing, or was disabled for it."""
    return catalog.list(FailingTarget, "failing-target:")


def _detail(found: FailingTarget) -> _Detail:
    return _Detail(
        target_arn=found.arn,
        rule_arn=found.rule_arn,
        since=event_time(found.since),
        failures=found.failures,
        error=found.error,
        message=found.message,
    )


def _key(subscription: Subscription) -> Key:
    return subscription.rule.created_by, subscription.rule.region, subscription.target.arn


def _key_of(found: FailingTarget) -> Key:
    return found.account, found.region, found.arn
