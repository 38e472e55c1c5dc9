"""Who may do what with the rules of a bus: its own account, and others as the bus's policy says (documented).

A rule call names its bus by name or by ARN, which may be another account's. The policy is asked for the
action of the operation's name on the rule's ARN; lists are of no rule, so for them it is the bus's (assumed).

Whoever is not let in learns nothing: a bus that is not the caller's is denied as if it did not exist.
"""

from collections.abc import Mapping

from partnerbus.api.errors import access_denied
from partnerbus.api.operation import Call, Services
from partnerbus.api.v1.buses import no_such_bus, not_authorized, owner_and_name
from partnerbus.model.arns import bus_arn, rule_arn
from partnerbus.model.bus_policy import allows, principal_context
from partnerbus.model.pattern_values import exact_values
from partnerbus.model.policy import AccessRequest
from partnerbus.model.resources import EventBus, Rule, rule_key
from partnerbus.patterns import Pattern

Context = Mapping[str, tuple[str, ...] | None]
"""Values of condition keys, in lower case; None for those that cannot be told, which never allow."""

PATTERN_KEYS = {
    "events:source": "source",
    "events:detail-type": "detail-type",
    "events:detail.service": "detail.service",
    "events:detail.eventtypecode": "detail.eventTypeCode",
    "events:detail.useridentity.principalid": "detail.userIdentity.principalId",
}
"""Condition keys that have the values which a pattern asks for at a path (documented)."""

CREATOR = "events:creatoraccount"
TARGETS = "events:targetarn"
MANAGER = "events:managedby"

ABSENT: Context = dict.fromkeys(
    (
        *PATTERN_KEYS,
        CREATOR,
        TARGETS,
        MANAGER,
        "events:eventbusinvocation",
        "aws:sourcearn",
        "aws:sourceaccount",
    ),
    (),
)
"""The keys that a rule call has no values for unless its operation gives some."""

NOTHING: Context = {}

DENIED_OUTRIGHT = (
    "User: arn:aws:iam::{}:root is not authorized to perform: events:{} on resource: {} "
    "with an explicit deny in a resource-based policy"
)
"""Text recalled."""


def open_rule(
    services: Services, call: Call, bus_name: str | None, name: str, asked: Context = NOTHING
) -> tuple[EventBus, Rule | None]:
    """The bus, and its rule of that name if it has one; refused unless the caller may do this with it.

    `asked` has the condition keys that the operation gives values to.
    """
    account, bus = owner_and_name(call, bus_name)
    rule = services.catalog.get(Rule, rule_key(account, call.region, bus, name))
    resource = rule_arn(call.region, account, bus, name)
    context = {**ABSENT, **asked, **_of_rule(rule)}
    return _opened(services, call, account, bus, resource, context), rule


def open_rules(services: Services, call: Call, bus_name: str | None) -> EventBus:
    """The bus, whose rules are to be listed."""
    account, bus = owner_and_name(call, bus_name)
    context = {**ABSENT, CREATOR: None}  # the rules may have several
    return _opened(services, call, account, bus, bus_arn(call.region, account, bus), context)


def asked_by_put(call: Call, pattern: Pattern | None) -> Context:
    """What a condition may ask of PutRule. A rule that is not there yet will be the caller's (assumed)."""
    wanted = {
        key: () if pattern is None else exact_values(pattern, path) for key, path in PATTERN_KEYS.items()
    }
    return {CREATOR: (call.account,), **wanted}


def _of_rule(rule: Rule | None) -> Context:
    if rule is None:
        return NOTHING
    return {CREATOR: (rule.created_by,), MANAGER: () if rule.managed_by is None else (rule.managed_by,)}


def _opened(
    services: Services, call: Call, account: str, name: str, resource: str, context: Context
) -> EventBus:
    bus, is_own = services.catalog.bus(account, call.region, name), account == call.account
    if bus is None:
        raise no_such_bus(name) if is_own else not_authorized(call, resource)
    request = AccessRequest(
        account=call.account,
        action=f"events:{call.operation}",
        resource=resource,
        context={**principal_context(call.account), **context},
    )
    if allows(bus, request):
        return bus
    if is_own:
        raise access_denied(DENIED_OUTRIGHT.format(call.account, call.operation, resource))
    raise not_authorized(call, resource)
