"""Schedules: each due minute of a rule puts one event into the log of its bus, for the targets of that rule.

At-least-once comes from the registry, at-most-once from the store. How far all schedules have come is written
down (`ScheduleProgress`) *after* the events were stored, so whoever starts, or starts again after a failure,
begins there; an event that is stored once more has the id that is derived from its rule and minute, so the
store has it already.

What fell due while nobody looked (the node was down, a test clock was moved) is made up for: of each rule the
first due minute, and all of the last `MADE_UP_FOR`. The events say in `time` when they were due.
"""

import heapq
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec

from partnerbus.engine.agenda import Agenda
from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.ids import derived_id, id_text
from partnerbus.kernel.telemetry import Log
from partnerbus.model import arns
from partnerbus.model.cron import MINUTE
from partnerbus.model.delivery import NewRecord, Record
from partnerbus.model.resources import (
    SCHEDULE_PROGRESS_KEY,
    AnyResource,
    Rule,
    RuleState,
    ScheduleProgress,
)
from partnerbus.model.schedule import Schedule, next_due, parse_schedule, scheduled_event

MADE_UP_FOR = timedelta(days=1)

EVENTS_AT_ONCE = 256
"""So many events at most are stored together, so that what was missed needs little memory."""

WAKE = "wake"

Publish: TypeAlias = Callable[[Sequence[NewRecord]], Awaitable[Sequence[Record]]]


class _Timer(msgspec.Struct):
    """An enabled rule, and when it is due next."""

    rule: Rule
    schedule: Schedule
    since: datetime
    due_at: datetime


class Schedules:
    """The timers of all rules with schedules. `changed` is called when it may have become quiet."""

    def __init__(self, catalog: Catalog, clock: Clock, log: Log, changed: Callable[[], None]) -> None:
        self._catalog = catalog
        self._clock = clock
        self._log = log
        self._tell_changed = changed
        self._is_running = False
        self._is_firing = False
        self._timers: dict[str, _Timer] = {}
        self._agenda: Agenda[str] = Agenda(clock)
        catalog.listen(self._changed)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is due, or nobody is there to look just now."""
        return not self._is_running or not (self._is_firing or self._agenda.anything_due)

    # -- following the catalog -------------------------------------------------------------------------

    def _changed(self, key: str, _: AnyResource | None, after: AnyResource | None) -> None:
        if isinstance(after, Rule) and after.schedule is not None:
            self._set(after, after=None)
        else:
            self._timers.pop(key, None)

    def _set(self, rule: Rule, after: datetime | None) -> None:
        """Let a rule have the timer it should have; one that counts already goes on."""
        known = self._timers.pop(rule.key, None)
        if rule.state is RuleState.DISABLED or rule.schedule is None or rule.scheduled_at is None:
            return
        since = rule.scheduled_at
        if known is not None and (known.rule.schedule, known.since) == (rule.schedule, since):
            self._timers[rule.key] = msgspec.structs.replace(known, rule=rule)
            return
        schedule = parse_schedule(rule.schedule)
        if schedule is None:
            self._log.error("stored schedule does not parse", rule_arn=rule.arn)
            return
        due_at = next_due(schedule, max(since, after or since), since)
        if due_at is not None:
            self._timers[rule.key] = _Timer(rule, schedule, since, due_at)
            self._agenda.put(WAKE, due_at)

    # -- firing ----------------------------------------------------------------------------------------

    async def run(self, publish: Publish) -> None:
        """Store what is due when it is due, until cancelled."""
        self._is_running = True
        try:
            self._load()
            while True:
                await self._agenda.next()
                self._is_firing = True
                await self._fire(publish)
                self._is_firing = False
                self._tell_changed()
        finally:
            self._is_running = self._is_firing = False
            self._tell_changed()

    def _load(self) -> None:
        """Begin where the progress says: after a start, and after a failure, which may have lost timers.

        A progress in the future is of a clock that went wrong and was put right: nobody waits for it.
        """
        progress = self._catalog.get(ScheduleProgress, SCHEDULE_PROGRESS_KEY)
        until = None if progress is None else min(progress.fired_until, self._clock.now())
        self._timers.clear()
        for rule in self._catalog.list(Rule, "rule:"):
            self._set(rule, after=until)

    async def _fire(self, publish: Publish) -> None:
        """Store everything that is due, the earliest first, and note the progress."""
        now = self._clock.now()
        due = [(timer.due_at, key) for key, timer in self._timers.items() if timer.due_at <= now]
        heapq.heapify(due)
        while due:
            fired_until, records = self._take(due, now)
            if records:
                await publish(records)
            await self._note(fired_until)
        self._put_wake()

    def _take(self, due: list[tuple[datetime, str]], now: datetime) -> tuple[datetime, Sequence[NewRecord]]:
        """The next records, and up to when everything is among them or stored; timers move on."""
        records: list[NewRecord] = []
        at = due[0][0]
        while due and len(records) < EVENTS_AT_ONCE:
            at, key = heapq.heappop(due)
            timer = self._timers.get(key)
            if timer is None or timer.due_at != at:  # it was removed, or put anew, in the meantime
                continue
            records.append(self._record(timer.rule, at))
            if self._move_on(key, timer, now) and timer.due_at <= now:
                heapq.heappush(due, (timer.due_at, key))
        is_whole = not due or due[0][0] > at
        return at if is_whole else at - MINUTE, records

    def _move_on(self, key: str, timer: _Timer, now: datetime) -> bool:
        """Set the timer to its next due minute; False, and it is gone, if there is none."""
        due_at = next_due(timer.schedule, max(timer.due_at, now - MADE_UP_FOR), timer.since)
        if due_at is None:
            del self._timers[key]
            return False
        timer.due_at = due_at
        return True

    def _record(self, rule: Rule, due_at: datetime) -> NewRecord:
        bus = self._catalog.bus(rule.account, rule.region, arns.DEFAULT_BUS)
        assert bus is not None
        dedup_id = derived_id(due_at, "schedule", rule.arn, due_at.isoformat())
        event = scheduled_event(rule, due_at, id_text(dedup_id))
        return NewRecord(log=bus.log, dedup_id=dedup_id, event=event)

    async def _note(self, fired_until: datetime) -> None:
        before = self._catalog.get(ScheduleProgress, SCHEDULE_PROGRESS_KEY)
        after = ScheduleProgress(fired_until=fired_until)
        if before is None:
            await self._catalog.create(after)
        elif before != after:
            await self._catalog.replace(before, after)

    def _put_wake(self) -> None:
        if self._timers:
            self._agenda.put(WAKE, min(timer.due_at for timer in self._timers.values()))
