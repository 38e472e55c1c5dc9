"""When the rules with a schedule fall due, and the event that they then send. UTC, whole minutes."""

import re
from datetime import datetime, timedelta

import msgspec

from partnerbus.model.cron import Cron, NotCron, parse_cron
from partnerbus.model.delivery import Record
from partnerbus.model.event import Event, event_time
from partnerbus.model.resources import Rule

SOURCE = "aws.events"
"""The source of scheduled events. Callers cannot use it: sources with `aws.` are reserved."""

DETAIL_TYPE = "Scheduled Event"

_RATE = re.compile(r"rate\((?:(1) (minute|hour|day)|([1-9][0-9]{0,8}) (minutes|hours|days))\)")
_CRON = re.compile(r"cron\((.*)\)")


class Rate(msgspec.Struct, frozen=True):
    """Every so often since the schedule was put in force."""

    every: timedelta

    def next_after(self, instant: datetime, since: datetime) -> datetime | None:
        """The first due minute after `instant`, counted from the minute of `since`."""
        start = since.replace(second=0, microsecond=0)
        count = max(0, (instant - start) // self.every) + 1
        try:
            return start + count * self.every
        except OverflowError:
            return None


Schedule = Rate | Cron


def parse_schedule(text: str) -> Schedule | None:
    """The schedule in `text`, exactly as documented; None if it is none."""
    rate, cron = _RATE.fullmatch(text), _CRON.fullmatch(text)
    if rate is not None:
        one, unit, several, units = rate.groups()
        number = int(one or several)
        return None if several == "1" else Rate(timedelta(**{units or f"{unit}s": number}))
    try:
        return parse_cron(cron[1]) if cron is not None else None
    except NotCron:
        return None


def next_due(schedule: Schedule, after: datetime, since: datetime) -> datetime | None:
    """The first due minute after both instants; `since` is when the schedule was put in force."""
    if isinstance(schedule, Rate):
        return schedule.next_after(after, since)
    return schedule.next_after(max(after, since))


def scheduled_event(rule: Rule, due: datetime, event_id: str) -> Event:
    """What a rule sends its targets at a due minute (recorded; that `time` is that minute is documented)."""
    return Event(
        id=event_id,
        detail_type=DETAIL_TYPE,
        source=SOURCE,
        account=rule.account,
        time=event_time(due),
        region=rule.region,
        resources=(rule.arn,),
    )


def scheduling_rule(record: Record) -> str | None:
    """The ARN of the rule whose schedule put the record, to whose targets alone it goes; None for any other.

    On the bus of another rule that it was forwarded to, it is an event like any other.
    """
    event = record.event
    is_scheduled = record.via is None and event.source == SOURCE and event.replay_name is None
    return event.resources[0] if is_scheduled else None
