"""Rules: a pattern on a bus, a schedule, or both. Targets stay with a rule when it is put again."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime

import msgspec

from partnerbus.api.errors import ApiError, invalid, limit_exceeded, not_found
from partnerbus.api.operation import Call, Input, Operation, Output, Services, operation
from partnerbus.api.v1.buses import no_such_bus
from partnerbus.api.v1.paging import ListInput, page
from partnerbus.api.v1.rule_access import NOTHING, Context, asked_by_put, open_rule, open_rules
from partnerbus.api.v1.shapes import Shape, Tag, managed, retried, tags_by_key
from partnerbus.model.arns import DEFAULT_BUS
from partnerbus.model.resources import EventBus, Rule, RuleState, rule_key
from partnerbus.model.schedule import parse_schedule
from partnerbus.patterns import Pattern, PatternError, parse_pattern

NOTHING_TO_MATCH = "Parameter(s) EventPattern or ScheduleExpression must be specified."
"""Text recalled."""

NO_SCHEDULE = "Parameter ScheduleExpression is not valid."

NOT_ON_PARTNER_BUS = "Parameter State is not valid. Reason: {} does not apply to partner event buses."
"""Text assumed; documented is that the state does not apply."""


class PutInput(Input, frozen=True, kw_only=True):
    name: str
    schedule_expression: str | None = None
    event_pattern: str | None = None
    state: RuleState = RuleState.ENABLED
    description: str | None = None
    role_arn: str | None = None
    tags: tuple[Tag, ...] = ()
    event_bus_name: str | None = None


class PutOutput(Output, frozen=True, kw_only=True):
    rule_arn: str


class DeleteInput(Input, frozen=True, kw_only=True):
    name: str
    event_bus_name: str | None = None
    force: bool = False


class NameInput(Input, frozen=True, kw_only=True):
    name: str
    event_bus_name: str | None = None


class DescribeOutput(Output, frozen=True, kw_only=True):
    name: str
    arn: str
    state: str
    event_bus_name: str
    created_by: str
    event_pattern: str | None = None
    schedule_expression: str | None = None
    description: str | None = None
    role_arn: str | None = None
    managed_by: str | None = None


class ListRulesInput(ListInput, frozen=True, kw_only=True):
    name_prefix: str | None = None
    event_bus_name: str | None = None


class RuleItem(Shape, frozen=True, kw_only=True):
    name: str
    arn: str
    state: str
    event_bus_name: str
    event_pattern: str | None = None
    schedule_expression: str | None = None
    description: str | None = None
    role_arn: str | None = None
    managed_by: str | None = None


class ListRulesOutput(Output, frozen=True, kw_only=True):
    rules: list[RuleItem]
    next_token: str | None = None


class ByTargetInput(ListInput, frozen=True, kw_only=True):
    target_arn: str
    event_bus_name: str | None = None


class ByTargetOutput(Output, frozen=True, kw_only=True):
    rule_names: list[str]
    next_token: str | None = None


def find_rule(services: Services, bus: EventBus, name: str) -> Rule | None:
    return services.catalog.get(Rule, rule_key(bus.account, bus.region, bus.name, name))


def existing_rule(
    services: Services, call: Call, bus_name: str | None, name: str, asked: Context = NOTHING
) -> Rule:
    """The rule; refused if there is none (recorded), or the caller may not do this with it."""
    bus, rule = open_rule(services, call, bus_name, name, asked)
    if rule is None:
        raise no_such_rule(name, bus.name)
    return rule


def no_such_rule(name: str, bus: str) -> ApiError:
    return not_found(f"Rule {name} does not exist on EventBus {bus}.")


def _rules_of(bus: EventBus, prefix: str = "") -> str:
    """What the keys of the rules of a bus begin with."""
    return rule_key(bus.account, bus.region, bus.name, prefix)


def rules_on(services: Services, bus: EventBus, prefix: str = "", after: str | None = None) -> Iterator[Rule]:
    """The rules of a bus by name, those after the name `after` if given."""
    last = None if after is None else rule_key(bus.account, bus.region, bus.name, after)
    return services.catalog.list(Rule, _rules_of(bus, prefix), after=last)


# -- putting -------------------------------------------------------------------------------------------


async def put_rule(services: Services, call: Call, given: PutInput) -> Output:
    tags = tags_by_key(given.tags)
    rule = await retried(lambda: _put(services, call, given, tags))
    return PutOutput(rule_arn=rule.arn)


async def _put(services: Services, call: Call, given: PutInput, tags: dict[str, str]) -> Rule:
    pattern = None if given.event_pattern is None else parsed_pattern(given.event_pattern)
    bus, before = open_rule(services, call, given.event_bus_name, given.name, asked_by_put(call, pattern))
    _check_schedule(given, bus)
    _check_state(given, bus)
    check_length(services, given.event_pattern, bus)
    if before is not None and before.managed_by is not None:
        raise managed(given.name)
    with room_for_rule(services, bus, given.name, pattern):
        if before is None:
            return await _create(services, bus, _new_rule(services, call, given, bus, tags))
        rule = _replaced(before, given, services.clock.now())
        await services.catalog.replace(before, rule)
        return rule


async def _create(services: Services, bus: EventBus, rule: Rule) -> Rule:
    await services.catalog.create(rule)
    await _undo_if_bus_is_gone(services, bus, rule)
    return rule


def _new_rule(services: Services, call: Call, given: PutInput, bus: EventBus, tags: dict[str, str]) -> Rule:
    now = services.clock.now()
    return Rule(
        account=bus.account,
        region=bus.region,
        bus=bus.name,
        name=given.name,
        state=given.state,
        created_by=call.account,
        created_at=now,
        pattern=given.event_pattern,
        schedule=given.schedule_expression,
        scheduled_at=None if given.schedule_expression is None else now,
        description=given.description,
        role_arn=given.role_arn,
        tags=tags,
    )


def _replaced(before: Rule, given: PutInput, now: datetime) -> Rule:
    """The whole definition is replaced; targets and tags stay, new tags are ignored (documented)."""
    schedule = given.schedule_expression
    goes_on = schedule == before.schedule and not _is_enabled_by(before, given.state)
    return msgspec.structs.replace(
        before,
        state=given.state,
        pattern=given.event_pattern,
        schedule=schedule,
        scheduled_at=before.scheduled_at if goes_on else None if schedule is None else now,
        description=given.description,
        role_arn=given.role_arn,
    )


def _is_enabled_by(before: Rule, state: RuleState) -> bool:
    """Whether the change to `state` enables the rule, so that its schedule counts anew (assumed)."""
    return before.state is RuleState.DISABLED and state is not RuleState.DISABLED


def _check_schedule(given: PutInput, bus: EventBus) -> None:
    if given.event_pattern is None and given.schedule_expression is None:
        raise invalid(NOTHING_TO_MATCH)
    if given.schedule_expression is None:
        return
    if bus.name != DEFAULT_BUS:
        raise invalid("ScheduleExpression is supported only on the default event bus.")
    if parse_schedule(given.schedule_expression) is None:
        raise invalid(NO_SCHEDULE)


def _check_state(given: PutInput, bus: EventBus) -> None:
    if given.state is RuleState.ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS and bus.source is not None:
        raise invalid(NOT_ON_PARTNER_BUS.format(given.state))


def check_length(services: Services, pattern: str | None, bus: EventBus) -> None:
    """Refuse a long pattern: documented as a quota that can be raised, so it is refused as one."""
    if len(pattern or "") > services.quotas_of(bus.account).pattern_characters:
        raise limit_exceeded()


def parsed_pattern(text: str) -> Pattern:
    """The pattern, or the documented refusal of one that is none."""
    try:
        return parse_pattern(text)
    except PatternError as error:
        raise ApiError("InvalidEventPatternException", error.message) from None


@contextmanager
def room_for_rule(services: Services, bus: EventBus, name: str, pattern: Pattern | None) -> Iterator[None]:
    """A place among the rules of the bus, and among those with a wildcard if this is to be one of them."""
    key = rule_key(bus.account, bus.region, bus.name, name)
    most = services.quotas_of(bus.account).rules_per_bus
    with (
        _wildcard_room(services, bus, name, pattern),
        services.room.take(services.catalog, key, _rules_of(bus), most),
    ):
        yield


def _wildcard_room(
    services: Services, bus: EventBus, name: str, pattern: Pattern | None
) -> AbstractContextManager[None]:
    if pattern is None or not pattern.has_wildcard:
        return nullcontext()
    others = sum(_has_wildcard(rule) for rule in rules_on(services, bus) if rule.name != name)
    left = services.quotas_of(bus.account).wildcard_rules_per_bus - others
    among = f"wildcard:{_rules_of(bus)}"
    return services.room.take(services.catalog, among + name, among, left)


def _has_wildcard(rule: Rule) -> bool:
    text = rule.pattern or ""
    may_have = "wildcard" in text or "\\u" in text  # the word itself may be written in escapes
    return may_have and parse_pattern(text).has_wildcard


async def _undo_if_bus_is_gone(services: Services, bus: EventBus, rule: Rule) -> None:
    """A bus deleted while the rule was put must not leave it to a later bus of the same name."""
    found = services.catalog.bus(bus.account, bus.region, bus.name)
    if found is None or found.log != bus.log:
        await services.catalog.remove(rule)
        raise no_such_bus(bus.name)


# -- everything else -----------------------------------------------------------------------------------


async def delete_rule(services: Services, call: Call, given: DeleteInput) -> None:
    await retried(lambda: _delete(services, call, given))


async def _delete(services: Services, call: Call, given: DeleteInput) -> None:
    _, rule = open_rule(services, call, given.event_bus_name, given.name)
    if rule is None:
        return
    if rule.managed_by is not None and not given.force:
        raise managed(given.name)
    if rule.targets:
        raise invalid("Rule can't be deleted since it has targets.")
    await services.catalog.remove(rule)


async def describe_rule(services: Services, call: Call, given: NameInput) -> Output:
    rule = existing_rule(services, call, given.event_bus_name, given.name)
    return DescribeOutput(
        name=rule.name,
        arn=rule.arn,
        state=rule.state,
        event_bus_name=rule.bus,
        created_by=rule.created_by,
        event_pattern=rule.pattern,
        schedule_expression=rule.schedule,
        description=rule.description,
        role_arn=rule.role_arn,
        managed_by=rule.managed_by,
    )


async def enable_rule(services: Services, call: Call, given: NameInput) -> None:
    await retried(lambda: _set_state(services, call, given, RuleState.ENABLED))


async def disable_rule(services: Services, call: Call, given: NameInput) -> None:
    await retried(lambda: _set_state(services, call, given, RuleState.DISABLED))


async def _set_state(services: Services, call: Call, given: NameInput, state: RuleState) -> None:
    rule = existing_rule(services, call, given.event_bus_name, given.name)
    if rule.managed_by is not None:
        raise managed(given.name)
    if rule.state is state:
        return
    anew = rule.schedule is not None and _is_enabled_by(rule, state)
    scheduled_at = services.clock.now() if anew else rule.scheduled_at
    changed = msgspec.structs.replace(rule, state=state, scheduled_at=scheduled_at)
    await services.catalog.replace(rule, changed)


async def list_rules(services: Services, call: Call, given: ListRulesInput) -> Output:
    bus = open_rules(services, call, given.event_bus_name)
    prefix = given.name_prefix or ""
    found = page(
        services, call, given, lambda after: rules_on(services, bus, prefix, after), lambda rule: rule.name
    )
    return ListRulesOutput(rules=[_item(rule) for rule in found.items], next_token=found.next_token)


def _item(rule: Rule) -> RuleItem:
    return RuleItem(
        name=rule.name,
        arn=rule.arn,
        state=rule.state,
        event_bus_name=rule.bus,
        event_pattern=rule.pattern,
        schedule_expression=rule.schedule,
        description=rule.description,
        role_arn=rule.role_arn,
        managed_by=rule.managed_by,
    )


async def list_rule_names_by_target(services: Services, call: Call, given: ByTargetInput) -> Output:
    bus = open_rules(services, call, given.event_bus_name)

    def after(name: str | None) -> Iterator[str]:
        for rule in rules_on(services, bus, after=name):
            if any(target.arn == given.target_arn for target in rule.targets):
                yield rule.name

    found = page(services, call, given, after, str)
    return ByTargetOutput(rule_names=list(found.items), next_token=found.next_token)


OPERATIONS: dict[str, Operation] = {
    "DeleteRule": operation(DeleteInput, delete_rule),
    "DescribeRule": operation(NameInput, describe_rule),
    "DisableRule": operation(NameInput, disable_rule),
    "EnableRule": operation(NameInput, enable_rule),
    "ListRuleNamesByTarget": operation(ByTargetInput, list_rule_names_by_target),
    "ListRules": operation(ListRulesInput, list_rules),
    "PutRule": operation(PutInput, put_rule),
}
