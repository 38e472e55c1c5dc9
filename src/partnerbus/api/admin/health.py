"""Is anything failing, and whose fault is it? Health per bus, rule, target and partner source.

What is owed now comes from the store and is exact; the counts of a bus are its ledger's, since ever. What was
attempted lately by a rule or at a target is counted in memory since `counted_since`, when the server started.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Annotated

import msgspec

from partnerbus.api.admin.faults import faults
from partnerbus.api.admin.health_views import (
    BusHealth,
    BusHealthList,
    Counts,
    Health,
    Owed,
    RuleHealth,
    RuleHealthList,
    SourceError,
    SourceHealth,
    SourceHealthList,
    TargetHealth,
    TargetHealthList,
)
from partnerbus.api.admin.logs import BusFilter
from partnerbus.api.admin.paging import page_by_arn
from partnerbus.api.admin.request import Request
from partnerbus.api.admin.sight import BusRef, Sight, ViewRoute
from partnerbus.engine.tallies import Minute
from partnerbus.model.resources import PartnerSource, Rule
from partnerbus.store.protocol import Backlog, Ledger

FAULTS_AT_MOST = 100


class HealthPage(BusFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of a list, after the one with the ARN `after`; with `minutes`, the last hour of each too."""

    after: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100
    minutes: bool = False


class RulePage(HealthPage, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of rules, or the one with the ARN `rule`."""

    rule: str | None = None


class TargetPage(HealthPage, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of targets, or the one with the ARN `target`."""

    target: str | None = None


async def show_health(sight: Sight, _request: Request) -> Health:
    doctor = await Doctor.of(sight)
    buses = [await doctor.bus(bus, log, ledger) for bus, log, ledger in await _buses(sight, BusFilter())]
    rules = list(sight.rules())
    found = faults(buses, doctor.targets(rules), list(sight.sources()), sight.damaged_events(), sight.now())
    return Health(
        now=sight.now(),
        counted_since=sight.counted_since,
        counts=_sum([each.counts for each in buses]),
        faults=list(islice(found, FAULTS_AT_MOST)),
        minutes=sight.minutes([target.subscription for rule in rules for target in rule.targets]),
    )


async def bus_health(sight: Sight, request: Request) -> BusHealthList:
    wanted = request.query_as(HealthPage)
    found, following = page_by_arn(
        await _buses(sight, wanted), wanted.after, wanted.limit, lambda each: each[0].arn
    )
    doctor = await Doctor.of(sight, wanted)
    return BusHealthList(buses=[await doctor.bus(*each) for each in found], next=following)


async def rule_health(sight: Sight, request: Request) -> RuleHealthList:
    wanted = request.query_as(RulePage)
    every = [each for each in _rules(sight, wanted) if wanted.rule in (None, each.arn)]
    found, following = page_by_arn(every, wanted.after, wanted.limit, lambda each: each.arn)
    doctor = await Doctor.of(sight, wanted)
    rules = [doctor.rule(each) for each in found]
    return RuleHealthList(rules=rules, counted_since=sight.counted_since, next=following)


async def target_health(sight: Sight, request: Request) -> TargetHealthList:
    wanted = request.query_as(TargetPage)
    doctor = await Doctor.of(sight, wanted)
    every = doctor.targets(_rules(sight, wanted), wanted.target)
    found, following = page_by_arn(every, wanted.after, wanted.limit, lambda each: each.arn)
    return TargetHealthList(targets=found, counted_since=sight.counted_since, next=following)


async def source_health(sight: Sight, request: Request) -> SourceHealthList:
    wanted = request.query_as(HealthPage)
    sources = [
        each
        for each in sight.sources()
        if wanted.account in (None, each.account) and wanted.region in (None, each.region)
        if wanted.bus in (None, each.name, each.arn)
    ]
    found, following = page_by_arn(sources, wanted.after, wanted.limit, lambda each: each.arn)
    doctor = await Doctor.of(sight, wanted)
    return SourceHealthList(sources=[await doctor.source(each) for each in found], next=following)


class Doctor:
    """Puts numbers to buses, rules, targets and sources, all of one look at the backlog."""

    def __init__(self, sight: Sight, backlog: Sequence[Backlog], wanted: HealthPage) -> None:
        self._sight = sight
        self._tells_minutes = wanted.minutes
        self._now = sight.now()
        self._backlog = {each.subscription: each for each in backlog}
        self._on_bus: dict[tuple[str, str, str], list[str]] = {}
        for rule in sight.rules():
            on_bus = self._on_bus.setdefault((rule.account, rule.region, rule.bus), [])
            on_bus += [target.subscription for target in rule.targets]

    @classmethod
    async def of(cls, sight: Sight, wanted: HealthPage | None = None) -> "Doctor":
        return cls(sight, await sight.backlog(), wanted or HealthPage())

    async def bus(self, bus: BusRef, log: str, ledger: Ledger) -> BusHealth:
        subscriptions = self._on_bus.get((bus.account, bus.region, bus.name), [])
        return BusHealth(
            arn=bus.arn,
            account=bus.account,
            region=bus.region,
            name=bus.name,
            counts=await self._counts(log, ledger, subscriptions),
            minutes=self._minutes(subscriptions),
        )

    def rule(self, rule: Rule) -> RuleHealth:
        subscriptions = [target.subscription for target in rule.targets]
        return RuleHealth(
            arn=rule.arn,
            account=rule.account,
            region=rule.region,
            bus=rule.bus,
            name=rule.name,
            state=rule.state,
            managed_by=rule.managed_by,
            targets=[target.arn for target in rule.targets],
            owed=self._owed(subscriptions),
            minutes=self._minutes(subscriptions),
        )

    def targets(self, rules: Iterable[Rule], arn: str | None = None) -> list[TargetHealth]:
        """The targets of these rules, or that with an ARN, each account's own, by ARN."""
        of_target: dict[tuple[str, str, str], list[tuple[Rule, str]]] = {}
        for rule in rules:
            for target in rule.targets:
                if arn not in (None, target.arn):
                    continue
                key = (target.arn, rule.created_by, rule.region)
                of_target.setdefault(key, []).append((rule, target.subscription))
        failing = {(each.arn, each.account, each.region): each for each in self._sight.failing_targets()}
        held = self._sight.held()
        return [
            TargetHealth(
                arn=key[0],
                account=key[1],
                region=key[2],
                rules=[rule.arn for rule, _ in users],
                failing_since=failing[key].since if key in failing else None,
                disabled_at=failing[key].disabled_at if key in failing else None,
                held_until=held.get(key[0]),
                owed=self._owed([subscription for _, subscription in users]),
                minutes=self._minutes([subscription for _, subscription in users]),
            )
            for key, users in sorted(of_target.items())
        ]

    async def source(self, source: PartnerSource) -> SourceHealth:
        found = await self._sight.bus_of_source(source)
        counts = None
        if found is not None:
            counts = await self._counts(found.log, found.ledger, found.subscriptions)
        may_see = found is not None and (self._sight.is_customer(source) or source.shares_errors)
        return SourceHealth(
            arn=source.arn,
            name=source.name,
            region=source.region,
            partner=source.partner,
            account=source.account,
            state=source.state,
            created_at=source.created_at,
            expires_at=source.expires_at,
            shares_errors=source.shares_errors,
            counts=counts,
            errors=self._errors(found.subscriptions) if found is not None and may_see else [],
            minutes=self._minutes(found.subscriptions) if found is not None else None,
        )

    async def _counts(self, log: str, ledger: Ledger, subscriptions: Sequence[str]) -> Counts:
        owed = self._owed(subscriptions)
        return Counts(
            accepted=ledger.accepted,
            unmatched=ledger.unmatched,
            delivered=ledger.delivered,
            retrying=owed.retrying,
            dead=ledger.dead,
            dropped=ledger.dropped,
            cancelled=ledger.cancelled,
            pending=ledger.pending,
            oldest_pending_seconds=owed.oldest_pending_seconds,
            lag_seconds=await self._sight.lag_seconds(log) if ledger.unrouted else 0.0,
        )

    def _owed(self, subscriptions: Sequence[str]) -> Owed:
        nothing = Backlog(subscription="")
        backlog = [self._backlog.get(each, nothing) for each in subscriptions]
        tallies = [self._sight.tally(each) for each in subscriptions]
        oldest = min((each.oldest_stored_at for each in backlog if each.oldest_stored_at), default=None)
        failed = [each for each in tallies if each.failed_at is not None]
        last = max(failed, key=lambda each: each.failed_at or self._now, default=None)
        return Owed(
            pending=sum(each.pending for each in backlog),
            retrying=sum(each.retrying for each in backlog),
            dead=sum(each.dead for each in backlog),
            oldest_pending_seconds=(self._now - oldest).total_seconds() if oldest is not None else None,
            delivered=sum(each.delivered for each in tallies),
            failed=sum(each.retried + each.dead for each in tallies),
            delivered_at=max((each.delivered_at for each in tallies if each.delivered_at), default=None),
            failed_at=last.failed_at if last is not None else None,
            error=last.error if last is not None else None,
            message=last.message if last is not None else "",
        )

    def _minutes(self, subscriptions: Sequence[str]) -> list[Minute] | None:
        return self._sight.minutes(subscriptions) if self._tells_minutes else None

    def _errors(self, subscriptions: Iterable[str]) -> list[SourceError]:
        tallies = [self._sight.tally(each) for each in subscriptions]
        found = [
            SourceError(error=each.error or "", message=each.message, at=each.failed_at)
            for each in tallies
            if each.failed_at is not None
        ]
        return sorted(found, key=lambda each: each.at, reverse=True)


async def _buses(sight: Sight, wanted: BusFilter) -> list[tuple[BusRef, str, Ledger]]:
    """The buses that had events, and those that were made and had none yet."""
    found = {info.log: (bus, ledger) for info, bus, ledger in await sight.ledgers() if bus is not None}
    for log, bus in sight.registered_buses().items():
        found.setdefault(log, (bus, Ledger(log=log)))
    return [(bus, log, ledger) for log, (bus, ledger) in found.items() if wanted.picks(bus)]


def _rules(sight: Sight, wanted: BusFilter) -> list[Rule]:
    return [
        rule
        for rule in sight.rules()
        if wanted.picks(BusRef(account=rule.account, region=rule.region, name=rule.bus))
    ]


def _sum(counts: Sequence[Counts]) -> Counts:
    oldest = [each.oldest_pending_seconds for each in counts if each.oldest_pending_seconds is not None]
    return Counts(
        accepted=sum(each.accepted for each in counts),
        unmatched=sum(each.unmatched for each in counts),
        delivered=sum(each.delivered for each in counts),
        retrying=sum(each.retrying for each in counts),
        dead=sum(each.dead for each in counts),
        dropped=sum(each.dropped for each in counts),
        cancelled=sum(each.cancelled for each in counts),
        pending=sum(each.pending for each in counts),
        oldest_pending_seconds=max(oldest, default=None),
        lag_seconds=max((each.lag_seconds for each in counts), default=0.0),
    )


ROUTES = (
    ViewRoute("GET", "/health", show_health),
    ViewRoute("GET", "/health/buses", bus_health, query=HealthPage),
    ViewRoute("GET", "/health/rules", rule_health, query=RulePage),
    ViewRoute("GET", "/health/targets", target_health, query=TargetPage),
    ViewRoute("GET", "/health/sources", source_health, query=HealthPage),
)
