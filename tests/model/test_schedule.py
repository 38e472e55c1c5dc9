"""Schedules: what is one, and when it falls due."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from partnerbus.model.delivery import Record
from partnerbus.model.event import Event
from partnerbus.model.schedule import Rate, next_due, parse_schedule, scheduling_rule
from tests.model import cron_oracle
from tests.model.cron_oracle import MONTHS, WEEKDAYS

START = datetime(2026, 1, 1, tzinfo=UTC)  # a Thursday


def dues(text: str, count: int = 3, after: datetime = START) -> list[str]:
    """The next due minutes; fewer, if there are no more."""
    schedule = parse_schedule(text)
    assert schedule is not None, text
    found: list[str] = []
    due = next_due(schedule, after, after)
    while due is not None and len(found) < count:
        found.append(f"{due:%Y-%m-%d %H:%M}")
        due = next_due(schedule, due, after)
    return found


def days(text: str) -> list[str]:
    """The next due days of an expression that is due at midnight."""
    found = dues(f"cron(0 0 {text})")
    assert all(due.endswith(" 00:00") for due in found)
    return [due.removesuffix(" 00:00") for due in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("L * ? *", ["2026-01-31", "2026-02-28", "2026-03-31"]),
        ("LW * ? *", ["2026-01-30", "2026-02-27", "2026-03-31"]),
        ("3W * ? *", ["2026-01-02", "2026-02-03", "2026-03-03"]),
        ("1W * ? *", ["2026-02-02", "2026-03-02", "2026-04-01"]),  # a 1st on Saturday is moved to the 3rd
        ("1W 8 ? *", ["2026-08-03", "2027-08-02", "2028-08-01"]),
        ("31W * ? *", ["2026-01-30", "2026-03-31", "2026-05-29"]),  # a month of 30 days has none
        ("15,L * ? *", ["2026-01-15", "2026-01-31", "2026-02-15"]),
        ("1,10-12 * ? *", ["2026-01-10", "2026-01-11", "2026-01-12"]),
        ("20/5 * ? *", ["2026-01-20", "2026-01-25", "2026-01-30"]),
        ("31 * ? *", ["2026-01-31", "2026-03-31", "2026-05-31"]),
        ("? * 6L *", ["2026-01-30", "2026-02-27", "2026-03-27"]),
        ("? * FRIL *", ["2026-01-30", "2026-02-27", "2026-03-27"]),
        ("? * L *", ["2026-01-03", "2026-01-10", "2026-01-17"]),
        ("? * 3#2 *", ["2026-01-13", "2026-02-10", "2026-03-10"]),
        ("? * TUE#2 *", ["2026-01-13", "2026-02-10", "2026-03-10"]),
        ("? * 3#5 *", ["2026-03-31", "2026-06-30", "2026-09-29"]),
        ("? * MON,WED *", ["2026-01-05", "2026-01-07", "2026-01-12"]),
        ("? * 1 *", ["2026-01-04", "2026-01-11", "2026-01-18"]),
        ("? * 6-2 *", ["2026-01-02", "2026-01-03", "2026-01-04"]),  # Friday to Monday
        ("? * fri-mon *", ["2026-01-02", "2026-01-03", "2026-01-04"]),
        ("1 NOV-FEB ? *", ["2026-02-01", "2026-11-01", "2026-12-01"]),
        ("1 */6 ? *", ["2026-07-01", "2027-01-01", "2027-07-01"]),
        ("29 2 ? *", ["2028-02-29", "2032-02-29", "2036-02-29"]),
        ("1 1 ? 2027/2", ["2027-01-01", "2029-01-01", "2031-01-01"]),
        ("1 1 ? 2027,2199", ["2027-01-01", "2199-01-01"]),
        ("1 1 ? 1970-2026", []),
        ("30 2 ? *", []),
    ],
)
def test_days(text: str, expected: list[str]) -> None:
    assert days(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cron(* * * * ? *)", ["01-01 00:01", "01-01 00:02", "01-01 00:03"]),
        ("cron(0/30 20-2 ? * MON-FRI *)", ["01-01 00:30", "01-01 01:00", "01-01 01:30"]),
        ("cron(30 20-2 ? * THU *)", ["01-01 00:30", "01-01 01:30", "01-01 02:30"]),
        ("cron(5/20 * * * ? *)", ["01-01 00:05", "01-01 00:25", "01-01 00:45"]),
        ("cron(*/40 * * * ? *)", ["01-01 00:40", "01-01 01:00", "01-01 01:40"]),
        ("cron(50-10/15 3 * * ? *)", ["01-01 03:05", "01-01 03:50", "01-02 03:05"]),
        ("cron(15  10 \t * * ? *)", ["01-01 10:15", "01-02 10:15", "01-03 10:15"]),
        ("rate(1 minute)", ["01-01 00:01", "01-01 00:02", "01-01 00:03"]),
        ("rate(90 minutes)", ["01-01 01:30", "01-01 03:00", "01-01 04:30"]),
        ("rate(1 hour)", ["01-01 01:00", "01-01 02:00", "01-01 03:00"]),
        ("rate(2 days)", ["01-03 00:00", "01-05 00:00", "01-07 00:00"]),
        ("rate(999999999 days)", []),
    ],
)
def test_minutes(text: str, expected: list[str]) -> None:
    assert dues(text) == [f"2026-{due}" for due in expected]


NO_FIELDS = [
    "0 0 * * * *",
    "0 0 ? * ? *",
    "0 0 1 * 1 *",
    "0 0 1 * * *",
    "0 0 * * 1 *",
    "0 0 L * L *",
    "60 0 * * ? *",
    "-1 0 * * ? *",
    "0 24 * * ? *",
    "0 0 0 * ? *",
    "0 0 32 * ? *",
    "0 0 1 0 ? *",
    "0 0 1 13 ? *",
    "0 0 1 JANUARY ? *",
    "0 0 1 MON ? *",
    "0 0 ? * 0 *",
    "0 0 ? * 8 *",
    "0 0 ? * JAN *",
    "0 0 ? * 2/2 *",
    "0 0 1 1 ? 1969",
    "0 0 1 1 ? 2200",
    "0 0 1 1 ? 2030-2020",
    "0 0 ? * 3#0 *",
    "0 0 ? * 3#6 *",
    "0 0 ? * #2 *",
    "0 0 ? * 3# *",
    "0 0 ? * 3#1,4#1 *",
    "0 0 W * ? *",
    "0 0 32W * ? *",
    "0 0 1-5W * ? *",
    "0 0 L-2 * ? *",
    "0 0 6L * ? *",
    "0 0 ? * 3W *",
    "0 0 1 ? ? *",
    "0 0 1 1 ? ?",
    "? 0 1 1 ? *",
    "0 ? 1 1 ? *",
    "0 L 1 1 ? *",
    "a 0 1 * ? *",
    "*/0 * * * ? *",
    "/5 * * * ? *",
    "5/ * * * ? *",
    "1/2/3 * * * ? *",
    "1-2-3 * * * ? *",
    "1, * * * ? *",
    ",1 * * * ? *",
    "0 0 1 * ?",
    "0 0 1 * ? * *",
    " 0 0 1 * ? *",
    "0 0 1 * ? * ",
    "\u0663 0 1 * ? *",
    "0 0 \u0663W * ? *",
    "",
]


@pytest.mark.parametrize(
    "text",
    [
        *(f"cron({fields})" for fields in NO_FIELDS),
        "cron(0 0 1 * ? *) ",
        " cron(0 0 1 * ? *)",
        "Cron(0 0 1 * ? *)",
        "cron 0 0 1 * ? *",
        "rate(1 minutes)",
        "rate(10 minute)",
        "rate(1 hours)",
        "rate(2 day)",
        "rate(0 minutes)",
        "rate(-1 minutes)",
        "rate(1.5 hours)",
        "rate(10 seconds)",
        "rate(2 years)",
        "rate(2 weeks)",
        "Rate(1 minute)",
        "rate(1 MINUTE)",
        "rate(5  minutes)",
        "rate( 5 minutes)",
        "rate(5 minutes )",
        " rate(5 minutes)",
        "rate(5 minutes)\n",
        "rate(5minutes)",
        "rate(\u0665 minutes)",
        "rate(9999999999 days)",
        "rate()",
        "at(2026-01-01T00:00:00)",
        "",
    ],
)
def test_what_is_no_schedule(text: str) -> None:
    assert parse_schedule(text) is None


def test_what_is_due_at_an_instant_is_not_after_it() -> None:
    schedule = parse_schedule("cron(0 12 * * ? *)")
    noon = START.replace(hour=12)
    assert schedule is not None
    assert next_due(schedule, noon - timedelta(microseconds=1), START) == noon
    assert next_due(schedule, noon, START) == noon + timedelta(days=1)
    assert next_due(schedule, START, noon) == noon + timedelta(days=1)


@given(
    st.integers(1, 5_000),
    st.datetimes(START.replace(tzinfo=None), datetime(2027, 1, 1), timezones=st.just(UTC)),
    st.integers(-100, 100_000),
)
def test_a_rate_counts_from_the_minute_it_was_put_in(every: int, since: datetime, seconds: int) -> None:
    after = since + timedelta(seconds=seconds)
    due = next_due(Rate(timedelta(minutes=every)), after, since)
    assert due is not None
    whole = since.replace(second=0, microsecond=0)
    assert due > after
    assert (due - whole) % timedelta(minutes=every) == timedelta(0)
    assert due - timedelta(minutes=every) <= max(after, whole)


# -- against the oracle ------------------------------------------------------------------------------------


def items(
    first: int, last: int, names: list[str] | None = None, *, steps: bool = True
) -> st.SearchStrategy[str]:
    number = st.integers(first, last).map(str)
    value = number | st.sampled_from(names) if names else number
    span = st.tuples(value, value).map("-".join)
    step = st.integers(1, last).map(lambda step: f"/{step}")
    stepped = st.tuples(value | span | st.just("*"), step).map("".join)
    one = value | span | stepped if steps else value | span
    return st.lists(one, min_size=1, max_size=3).map(",".join) | st.just("*")


def fields_of_days() -> st.SearchStrategy[tuple[str, str]]:
    nearest = st.integers(1, 31).map(lambda day: f"{day}W")
    of_month = items(1, 31) | st.sampled_from(["L", "LW", "L,1", "10,LW"]) | nearest
    weekday = st.integers(1, 7).map(str) | st.sampled_from(WEEKDAYS)
    nth = st.tuples(weekday, st.integers(1, 5).map(lambda nth: f"#{nth}")).map("".join)
    of_week = items(1, 7, WEEKDAYS, steps=False) | st.just("L") | weekday.map(lambda day: day + "L") | nth
    return st.tuples(of_month, st.just("?")) | st.tuples(st.just("?"), of_week)


years = st.sampled_from(["*", "2026", "2026-2027", "2026/2", "2027", "2025"])
expressions = st.builds(
    lambda minutes, hours, days, months, years: f"{minutes} {hours} {days[0]} {months} {days[1]} {years}",
    items(0, 59),
    items(0, 23),
    fields_of_days(),
    items(1, 12, MONTHS) | st.just("*"),
    years,
)
YEAR_AND_A_BIT = 400


@given(expressions, st.datetimes(datetime(2026, 1, 1), datetime(2027, 6, 1), timezones=st.just(UTC)))
@example("0/30 20-2 ? * MON-FRI *", datetime(2026, 1, 3, 2, 31, tzinfo=UTC))
@example("0 0 29 2 ? *", datetime(2027, 3, 1, tzinfo=UTC))
def test_the_next_due_minute_is_the_first_that_is_due(text: str, after: datetime) -> None:
    schedule = parse_schedule(f"cron({text})")
    assert schedule is not None
    found = next_due(schedule, after, START)
    expected = cron_oracle.next_due(text, after, YEAR_AND_A_BIT)
    if expected is None:
        assert found is None or found > after + timedelta(days=YEAR_AND_A_BIT - 1)
    else:
        assert found == expected


@given(st.text(max_size=30) | st.text("cronate()0123456789*?,-/LW# MSUN", max_size=40))
def test_no_text_is_too_much(text: str) -> None:
    for candidate in (text, f"cron({text})", f"rate({text})"):
        schedule = parse_schedule(candidate)
        if schedule is not None:
            due = next_due(schedule, START, START)
            assert due is None or due > START


# -- the event ---------------------------------------------------------------------------------------------


def record(source: str = "aws.events", via: str | None = None, replay: str | None = None) -> Record:
    event = Event(
        id="e",
        detail_type="Scheduled Event",
        source=source,
        account="1",
        time="t",
        region="r",
        resources=("arn",),
        replay_name=replay,
    )
    return Record(log="l", position=1, stored_at=START, event=event, via=via)


def test_whose_schedule_put_a_record() -> None:
    assert scheduling_rule(record()) == "arn"
    assert scheduling_rule(record(source="shop")) is None
    assert scheduling_rule(record(via="arn:bus")) is None
    assert scheduling_rule(record(replay="again")) is None
