"""Cron expressions of the service: six fields, UTC, a grain of one minute.

minutes, hours, day of month, month, day of week (1 is Sunday), year. Beside lists, ranges and steps there are
`L`, `W`, `#` and `?` (documented; the grammar is in `docs/compatibility.md`). A field is compiled to the
values it allows, and the two fields of days to what gives the days of a month, so the next due minute is
found by walking years, months and days, and not by trying minutes.
"""

import re
from calendar import monthrange
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from itertools import product

import msgspec

MINUTE = timedelta(minutes=1)
SATURDAY = 7

Days = Callable[[int, int], set[int]]
"""The days of a month, given its year and number."""


class Cron(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled expression; all values are in ascending order."""

    minutes: Sequence[int]
    hours: Sequence[int]
    days: Days
    months: Sequence[int]
    years: Sequence[int]

    def next_after(self, instant: datetime) -> datetime | None:
        """The first due minute after `instant` (aware, UTC); None if there is none any more."""
        first = instant.replace(second=0, microsecond=0) + MINUTE
        for day in self._days_from(first.date()):
            for hour, minute in product(self.hours, self.minutes):
                due = datetime.combine(day, time(hour, minute), first.tzinfo)
                if due >= first:
                    return due
        return None

    def _days_from(self, first: date) -> Iterator[date]:
        for year, month in product(self.years, self.months):
            if (year, month) >= (first.year, first.month):
                days = (date(year, month, day) for day in sorted(self.days(year, month)))
                yield from (day for day in days if day >= first)


class NotCron(ValueError):
    """A field that is none."""


def parse_cron(text: str) -> Cron:
    """The expression in `text`, six fields with white space between them; `NotCron` if it is none."""
    fields = re.split(r"[ \t]+", text)
    if len(fields) != 6:
        raise NotCron
    minutes, hours, days, months, weekdays, years = fields
    return Cron(
        minutes=_MINUTES.values(minutes),
        hours=_HOURS.values(hours),
        days=_days(days, weekdays),
        months=_MONTHS.values(months),
        years=_YEARS.values(years),
    )


# -- fields of values --------------------------------------------------------------------------------------

_ITEM = re.compile(r"(?:\*|([0-9A-Za-z]+)(?:-([0-9A-Za-z]+))?)(?:/([0-9]{1,4}))?")


class _Field(msgspec.Struct, frozen=True, kw_only=True):
    """What a field may hold: numbers from `first` to `last`, or names, the first of which is `first`."""

    first: int
    last: int
    names: tuple[str, ...] = ()
    may_wrap: bool = True
    may_step: bool = True

    def values(self, text: str) -> Sequence[int]:
        """The values that a list of items allows."""
        return sorted({value for item in text.split(",") for value in self.item(item)})

    def item(self, text: str) -> Sequence[int]:
        """Those of `*`, `a`, `a-b`, or one of them with `/n`: every n-th; `a/n` goes on to the last value."""
        parts = _ITEM.fullmatch(text)
        if parts is None:
            raise NotCron
        start, end, step = parts.groups()
        if step is not None and not self.may_step:
            raise NotCron
        low = self.first if start is None else self.number(start)
        is_open = start is None or (end is None and step is not None)
        high = self.last if is_open else self.number(end or start)
        return self._range(low, high)[:: self._step(step)]

    def number(self, text: str) -> int:
        """A value, by number or by name."""
        if text.upper() in self.names:
            return self.first + self.names.index(text.upper())
        if not (text.isascii() and text.isdecimal()) or not self.first <= int(text) <= self.last:
            raise NotCron
        return int(text)

    def _range(self, low: int, high: int) -> Sequence[int]:
        """From `low` to `high`, over the end of the field if need be (`20-2` hours, documented)."""
        if low <= high:
            return range(low, high + 1)
        if not self.may_wrap:
            raise NotCron
        return [*range(low, self.last + 1), *range(self.first, high + 1)]

    def _step(self, text: str | None) -> int:
        step = 1 if text is None else int(text)
        if step == 0:
            raise NotCron
        return step


_MINUTES = _Field(first=0, last=59)
_HOURS = _Field(first=0, last=23)
_DAYS = _Field(first=1, last=31)
_MONTHS = _Field(
    first=1,
    last=12,
    names=("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
)
_WEEKDAYS = _Field(first=1, last=7, names=("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), may_step=False)
_YEARS = _Field(first=1970, last=2199, may_wrap=False)


# -- the two fields of days --------------------------------------------------------------------------------


def _days(days: str, weekdays: str) -> Days:
    """Exactly one of the two fields is `?`, and the other one decides (documented)."""
    if (days == "?") is (weekdays == "?"):
        raise NotCron
    if weekdays == "?":
        return _together([_day_of_month(item) for item in days.split(",")])
    items = weekdays.split(",")
    if sum("#" in item for item in items) > 1:
        raise NotCron
    return _together([_day_of_week(item) for item in items])


def _together(parts: Sequence[Days]) -> Days:
    return lambda year, month: {day for part in parts for day in part(year, month)}


def _day_of_month(item: str) -> Days:
    if item == "L":
        return lambda year, month: {_last_day(year, month)}
    if item == "LW":
        return lambda year, month: {_nearest_weekday(year, month, _last_day(year, month))}
    if item.endswith("W"):
        wanted = _DAYS.number(item[:-1])
        return lambda year, month: (
            {_nearest_weekday(year, month, wanted)} if wanted <= _last_day(year, month) else set()
        )
    values = _DAYS.item(item)
    return lambda year, month: {day for day in values if day <= _last_day(year, month)}


def _day_of_week(item: str) -> Days:
    if item == "L":
        return lambda year, month: set(_on(year, month, SATURDAY))
    if item.endswith("L"):
        last = _WEEKDAYS.number(item[:-1])
        return lambda year, month: {_on(year, month, last)[-1]}
    if "#" in item:
        name, _, which = item.partition("#")
        weekday, nth = _WEEKDAYS.number(name), _NTH.number(which)
        return lambda year, month: set(_on(year, month, weekday)[nth - 1 : nth])
    values = _WEEKDAYS.item(item)
    return lambda year, month: {day for weekday in values for day in _on(year, month, weekday)}


_NTH = _Field(first=1, last=5)


def _last_day(year: int, month: int) -> int:
    return monthrange(year, month)[1]


def _weekday(year: int, month: int, day: int) -> int:
    """From 1, which is Sunday."""
    return date(year, month, day).isoweekday() % 7 + 1


def _on(year: int, month: int, weekday: int) -> Sequence[int]:
    """The days of a month that are a certain weekday."""
    first = 1 + (weekday - _weekday(year, month, 1)) % 7
    return range(first, _last_day(year, month) + 1, 7)


def _nearest_weekday(year: int, month: int, day: int) -> int:
    """The day from Monday to Friday that is nearest, within the month."""
    weekday = _weekday(year, month, day)
    if weekday == SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == 1:
        return day + 1 if day < _last_day(year, month) else day - 2
    return day
