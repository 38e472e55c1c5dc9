"""Targets that keep failing, those that were disabled for it, enabling them again; and targets' order."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from partnerbus.api.admin.logs import BusFilter
from partnerbus.api.admin.request import AdminRefused, AdminServices, Request, Route
from partnerbus.api.admin.sight import BusRef, Sight, ViewRoute
from partnerbus.engine.target_health import failing_targets
from partnerbus.model.resources import FailingTarget, Rule
from partnerbus.model.subscription import ordering_path


class TargetFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which targets: what is not given counts as every."""

    account: str | None = None
    region: str | None = None

    def picks(self, found: FailingTarget) -> bool:
        return self.account in (None, found.account) and self.region in (None, found.region)


class Enable(TargetFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    arn: str


class OrderedTarget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which target of which rule, and the path by which it is ordered; None for no order."""

    rule: str
    target: str
    by: str | None
    account: str | None = None
    region: str | None = None
    bus: str | None = None


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    rule_arn: str
    target: str
    ordered_by: str | None


class OrderedTargets(msgspec.Struct, frozen=True, kw_only=True):
    targets: list[OrderView]


class TargetView(msgspec.Struct, frozen=True, kw_only=True):
    """A target that keeps failing: since when, and what was said when that was found out.

    `held_until` is when its circuit breaker lets the next attempt through, None if nothing holds it;
    `ordered_by` the path by which that rule's deliveries to it are ordered, None for no order.
    """

    account: str
    region: str
    target_arn: str
    rule_arn: str
    since: datetime
    failures: int
    error: str
    message: str
    disabled_at: datetime | None
    held_until: datetime | None
    ordered_by: str | None


class TargetList(msgspec.Struct, frozen=True, kw_only=True):
    targets: list[TargetView]


class Enabled(msgspec.Struct, frozen=True, kw_only=True):
    enabled: int


async def list_failing(sight: Sight, request: Request) -> TargetList:
    wanted = request.query_as(TargetFilter)
    held = sight.held()
    found = [each for each in sight.failing_targets() if wanted.picks(each)]
    order = _orders(sight, {each.rule_arn for each in found})
    return TargetList(
        targets=[_view(each, held.get(each.arn), order.get((each.rule_arn, each.arn))) for each in found]
    )


def _orders(sight: Sight, rule_arns: Collection[str]) -> Mapping[tuple[str, str], str]:
    """By what the targets of these rules are ordered, by the ARNs of rule and target."""
    return {
        (rule.arn, target.arn): target.ordered_by
        for rule in sight.rules()
        if rule.arn in rule_arns
        for target in rule.targets
        if target.ordered_by is not None
    }


async def list_ordered(sight: Sight, request: Request) -> OrderedTargets:
    """Every target that is ordered, and by what."""
    wanted = request.query_as(BusFilter)
    return OrderedTargets(
        targets=[
            OrderView(rule_arn=rule.arn, target=target.id, ordered_by=target.ordered_by)
            for rule in sight.rules()
            if wanted.picks(BusRef(account=rule.account, region=rule.region, name=rule.bus))
            for target in rule.targets
            if target.ordered_by is not None
        ]
    )


async def enable(services: AdminServices, request: Request) -> Enabled:
    """Send to a disabled target again. Its dead letters are redriven by whoever wants them to be."""
    wanted = request.body_as(Enable)
    disabled = _disabled(services, wanted)
    if not disabled:
        raise AdminRefused(f"{wanted.arn} is not a target that was disabled", 404)
    for each in disabled:
        await services.catalog.remove(each)
    return Enabled(enabled=len(disabled))


async def order(services: AdminServices, request: Request) -> OrderView:
    """Deliver what is routed from now on in order, by what stands at a path, or in no order."""
    wanted = request.body_as(OrderedTarget)
    if wanted.by is not None and ordering_path(wanted.by) is None:
        raise AdminRefused(f"{wanted.by!r} is no path to one value, like $.detail.customer")
    rule = _rule(services, wanted)
    before = next(target for target in rule.targets if target.id == wanted.target)
    after = msgspec.structs.replace(before, ordered_by=wanted.by)
    targets = tuple(after if target is before else target for target in rule.targets)
    await services.catalog.replace(rule, msgspec.structs.replace(rule, targets=targets))
    return OrderView(rule_arn=rule.arn, target=after.id, ordered_by=after.ordered_by)


def _rule(services: AdminServices, wanted: OrderedTarget) -> Rule:
    """The one rule of that name with such a target."""
    buses = BusFilter(account=wanted.account, region=wanted.region, bus=wanted.bus)
    found = [
        rule
        for rule in services.catalog.list(Rule, "rule:")
        if rule.name == wanted.rule and wanted.target in {target.id for target in rule.targets}
        if buses.picks(BusRef(account=rule.account, region=rule.region, name=rule.bus))
    ]
    if not found:
        raise AdminRefused(f"there is no rule {wanted.rule} with a target {wanted.target}", 404)
    if len(found) > 1:
        raise AdminRefused(
            f"there are {len(found)} rules {wanted.rule}; say whose, in which region, on which bus"
        )
    return found[0]


def _disabled(services: AdminServices, wanted: Enable) -> Sequence[FailingTarget]:
    return [
        each
        for each in failing_targets(services.catalog)
        if each.arn == wanted.arn and each.disabled_at is not None and wanted.picks(each)
    ]


def _view(found: FailingTarget, held_until: datetime | None, ordered_by: str | None) -> TargetView:
    return TargetView(
        account=found.account,
        region=found.region,
        target_arn=found.arn,
        rule_arn=found.rule_arn,
        since=found.since,
        failures=found.failures,
        error=found.error,
        message=found.message,
        disabled_at=found.disabled_at,
        held_until=held_until,
        ordered_by=ordered_by,
    )


ROUTES = (
    ViewRoute("GET", "/targets/failing", list_failing, query=TargetFilter),
    Route("POST", "/targets/enable", enable, body=Enable),
    Route("POST", "/targets/order", order, body=OrderedTarget),
    ViewRoute("GET", "/targets/ordered", list_ordered, query=BusFilter),
)
