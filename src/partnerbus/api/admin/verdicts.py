"""Why a stored event did or did not match a rule, and which rule came nearest.

What is judged is the event as it was stored and the rule as it is now. What an event was owed to when it was
routed is told by its deliveries.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from partnerbus.api.admin.events import WhichBus, find_event
from partnerbus.api.admin.logs import BusFilter
from partnerbus.api.admin.patterns import read_pattern
from partnerbus.api.admin.request import AdminRefused, Request
from partnerbus.api.admin.sight import BusRef, Sight, ViewRoute
from partnerbus.engine.matching import fields_of
from partnerbus.model.delivery import Record
from partnerbus.model.resources import Rule, RuleState
from partnerbus.model.schedule import scheduling_rule
from partnerbus.patterns import EventFields, PatternError, parse_pattern
from partnerbus.patterns.explain import explain
from partnerbus.patterns.explanation import ClauseExplanation, Explanation

RULES_AT_MOST = 300
"""How many rules are explained for one event: as many as a bus may have by default (documented)."""

DISABLED = "The rule is disabled."
NO_TARGETS = "The rule has no targets."
TOO_LATE = "The event was stored before its targets were put."
NO_PATTERN = "The rule has a schedule and no pattern: only its own events are for it."
ANOTHER_SCHEDULE = "The event was put by the schedule of another rule, and is for that one alone."
BROKEN = "What is stored as the rule's pattern does not parse (any more)."


class Miss(msgspec.Struct, frozen=True, kw_only=True):
    """The field that failed first: its path, what the pattern wanted there, and what the event had."""

    path: str
    outcome: str
    reason: str
    wanted: list[str]
    seen: list[str]
    hints: list[str]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an event matches a rule as it is now.

    `miss` says what failed; `failing` how many fields did, in the branch that came nearest. `blocked` is why
    the rule is owed nothing all the same.
    """

    rule: str
    rule_arn: str
    matches: bool
    failing: int
    miss: Miss | None
    blocked: str | None


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """The whole explanation. `verdict` is None for a pattern that was typed in."""

    event_id: str
    bus: str | None
    verdict: Verdict | None
    explanation: Explanation | None


class WhyQuery(BusFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rule that is asked about, by name or ARN."""

    rule: str


class WhyPattern(BusFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pattern that is asked about, as JSON."""

    pattern: str


class Nearest(msgspec.Struct, frozen=True, kw_only=True):
    """Verdicts of the rules of the event's bus: those that match first, then those that came nearest.

    `more` counts rules that were not looked at.
    """

    event_id: str
    bus: str | None
    verdicts: list[Verdict]
    more: int


async def why_rule(sight: Sight, request: Request) -> Why:
    wanted = request.query_as(WhyQuery)
    record = await find_event(sight, request.path["id"], wanted)
    bus = sight.buses_by_log([record.log]).get(record.log)
    rule = _rule(sight, bus, wanted.rule)
    verdict, explanation = await asyncio.to_thread(judge, rule, record)
    arn = bus.arn if bus is not None else None
    return Why(event_id=record.event.id, bus=arn, verdict=verdict, explanation=explanation)


async def why_pattern(sight: Sight, request: Request) -> Why:
    wanted = request.body_as(WhyPattern)
    pattern = read_pattern(wanted.pattern)
    record = await find_event(sight, request.path["id"], wanted)
    bus = sight.buses_by_log([record.log]).get(record.log)
    explanation = await asyncio.to_thread(explain, pattern, fields_of(record.event))
    arn = bus.arn if bus is not None else None
    return Why(event_id=record.event.id, bus=arn, verdict=None, explanation=explanation)


async def nearest_rules(sight: Sight, request: Request) -> Nearest:
    record = await find_event(sight, request.path["id"], request.query_as(WhichBus))
    bus = sight.buses_by_log([record.log]).get(record.log)
    verdicts, more = await verdicts_of(sight, record)
    arn = bus.arn if bus is not None else None
    return Nearest(event_id=record.event.id, bus=arn, verdicts=verdicts, more=more)


async def verdicts_of(sight: Sight, record: Record) -> tuple[list[Verdict], int]:
    """What the rules of its bus say of an event, the nearest first, and how many were not asked."""
    bus = sight.buses_by_log([record.log]).get(record.log)
    rules = sight.rules_of(bus) if bus is not None else []
    asked = rules[:RULES_AT_MOST]
    verdicts = await asyncio.to_thread(_judged, asked, record)
    return sorted(verdicts, key=lambda each: (not each.matches, each.failing)), len(rules) - len(asked)


def _judged(rules: Sequence[Rule], record: Record) -> list[Verdict]:
    fields = fields_of(record.event)
    return [judge(rule, record, fields)[0] for rule in rules]


def judge(
    rule: Rule, record: Record, fields: EventFields | None = None
) -> tuple[Verdict, Explanation | None]:
    """The verdict on an event, and why; nothing more for a rule without a pattern. It takes a while."""
    scheduled_by = scheduling_rule(record)
    explanation = None
    if scheduled_by is not None:
        matches, blocked = scheduled_by == rule.arn, None if scheduled_by == rule.arn else ANOTHER_SCHEDULE
    elif rule.pattern is None:
        matches, blocked = False, NO_PATTERN
    else:
        try:
            explanation = explain(parse_pattern(rule.pattern), fields or fields_of(record.event))
        except PatternError:
            matches, blocked = False, BROKEN
        else:
            matches, blocked = explanation.matched, None
    return (
        Verdict(
            rule=rule.name,
            rule_arn=rule.arn,
            matches=matches,
            failing=_failing(explanation),
            miss=_miss(explanation),
            blocked=blocked or _blocked(rule, record),
        ),
        explanation,
    )


def _blocked(rule: Rule, record: Record) -> str | None:
    if rule.state is RuleState.DISABLED:
        return DISABLED
    if not rule.targets:
        return NO_TARGETS
    is_copy = record.event.replay_name is not None  # its position is not one of the bus's log
    if not is_copy and all(target.since >= record.position for target in rule.targets):
        return TOO_LATE
    return None


def _failing(explanation: Explanation | None) -> int:
    if explanation is None or explanation.matched or not explanation.conjunctions:
        return 0
    return explanation.conjunctions[0].failing


def _miss(explanation: Explanation | None) -> Miss | None:
    if explanation is None or explanation.matched or not explanation.conjunctions:
        return None
    clauses = explanation.conjunctions[0].clauses
    return _shown(clauses[0]) if clauses else None


def _shown(clause: ClauseExplanation) -> Miss:
    return Miss(
        path=clause.path,
        outcome=clause.outcome,
        reason=clause.reason,
        wanted=[each.words for each in clause.alternatives],
        seen=[each.value for each in clause.seen],
        hints=[each.sentence for each in clause.hints],
    )


def _rule(sight: Sight, bus: BusRef | None, wanted: str) -> Rule:
    for rule in sight.rules_of(bus) if bus is not None else ():
        if wanted in (rule.name, rule.arn):
            return rule
    raise AdminRefused(f"there is no rule {wanted} on the bus of the event", 404)


ROUTES = (
    ViewRoute("GET", "/events/{id}/why", why_rule, query=WhyQuery),
    ViewRoute("POST", "/events/{id}/why", why_pattern, body=WhyPattern, asks=True),
    ViewRoute("GET", "/events/{id}/rules", nearest_rules, query=WhichBus),
)
