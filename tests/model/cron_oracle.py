"""Cron expressions, slowly: whether a minute is due, read from the text each time."""

from calendar import monthrange
from datetime import date, datetime, timedelta

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


def next_due(text: str, after: datetime, days: int) -> datetime | None:
    """The first minute after `after` that is due, within so many days; found by trying every one."""
    minutes, hours, *of_days = text.split()
    first = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    for number in range(days):
        day = (first + timedelta(days=number)).replace(hour=0, minute=0)
        if not _is_day(day.date(), *of_days):
            continue
        for minute in range(24 * 60):
            due = day + timedelta(minutes=minute)
            if due >= first and _in(minutes, due.minute, 0, 59) and _in(hours, due.hour, 0, 23):
                return due
    return None


def _is_day(day: date, of_month: str, months: str, of_week: str, years: str) -> bool:
    return (
        _in(years, day.year, 1970, 2199)
        and _in(months, day.month, 1, 12, MONTHS)
        and (
            of_month == "?" or any(_is_day_of_month(item, day, _days_of(day)) for item in of_month.split(","))
        )
        and (of_week == "?" or any(_is_day_of_week(item, day) for item in of_week.split(",")))
    )


def _days_of(day: date) -> list[date]:
    return [day.replace(day=number) for number in range(1, monthrange(day.year, day.month)[1] + 1)]


def _is_day_of_month(item: str, day: date, month: list[date]) -> bool:
    if item == "L":
        return day == month[-1]
    if item.endswith("W"):
        wanted = len(month) if item == "LW" else int(item[:-1])
        working = [one for one in month if one.isoweekday() < 6]
        return wanted <= len(month) and day == min(working, key=lambda one: abs(one.day - wanted))
    return _in(item, day.day, 1, 31)


def _is_day_of_week(item: str, day: date) -> bool:
    if item == "L":
        return day.isoweekday() == 6
    if item.endswith("L"):
        return _is_day_of_week(item[:-1], day) and day.day + 7 > len(_days_of(day))
    if "#" in item:
        name, _, nth = item.partition("#")
        return _is_day_of_week(name, day) and (day.day - 1) // 7 + 1 == int(nth)
    return _in(item, day.isoweekday() % 7 + 1, 1, 7, WEEKDAYS)


def _in(items: str, value: int, first: int, last: int, names: list[str] | None = None) -> bool:
    return any(_in_item(item, value, first, last, names or []) for item in items.split(","))


def _in_item(item: str, value: int, first: int, last: int, names: list[str]) -> bool:
    """Walk from the start of the item to its end, round the clock if need be."""

    def number(text: str) -> int:
        return names.index(text) + first if text in names else int(text)

    span, slash, step = item.partition("/")
    start, dash, end = span.partition("-")
    at = first if span == "*" else number(start)
    until = number(end) if dash else last if slash or span == "*" else at
    steps = 0
    while True:
        if at == value:
            return steps % int(step or 1) == 0
        if at == until:
            return False
        at = at + 1 if at < last else first
        steps += 1
