"""The partner's side of partner sources: offer, withdraw, look."""

from collections.abc import Awaitable, Iterator

from partnerbus.api.errors import ApiError, already_exists, invalid_state, not_found
from partnerbus.api.operation import Call, Input, Operation, Output, Services, epoch_seconds, operation
from partnerbus.api.v1.paging import ListInput, page
from partnerbus.api.v1.shapes import Shape, retried, seconds
from partnerbus.engine.sources import PartnerSources, may_act_for
from partnerbus.model.partner_source import Refusal, state_for_partner
from partnerbus.model.resources import PartnerSource, source_key

NOT_IN_REGION = "Partner event sources are not available in {}."
"""Text assumed; documented is the exception."""

NOT_THE_PARTNER = "AccessDeniedException"
"""What a caller gets that is not the partner of the name. Assumed; the answer is not documented."""


class NameInput(Input, frozen=True, kw_only=True):
    name: str


class NameAccountInput(Input, frozen=True, kw_only=True):
    name: str
    account: str


class CreateOutput(Output, frozen=True, kw_only=True):
    event_source_arn: str


class DescribeOutput(Output, frozen=True, kw_only=True):
    arn: str
    name: str


class ListSourcesInput(ListInput, frozen=True, kw_only=True):
    name_prefix: str


class SourceItem(Shape, frozen=True, kw_only=True):
    arn: str
    name: str


class ListSourcesOutput(Output, frozen=True, kw_only=True):
    partner_event_sources: list[SourceItem]
    next_token: str | None = None


class ListAccountsInput(ListInput, frozen=True, kw_only=True):
    event_source_name: str


class AccountItem(Shape, frozen=True, kw_only=True):
    account: str
    creation_time: float
    state: str
    expiration_time: float | None = None


class ListAccountsOutput(Output, frozen=True, kw_only=True):
    partner_event_source_accounts: list[AccountItem]
    next_token: str | None = None


def sources_of(services: Services) -> PartnerSources:
    """The lifecycle of partner sources on the services' catalog."""
    lifetime = services.limits.pending_source_lifetime
    return PartnerSources(services.catalog, services.clock, services.failpoints, lifetime)


def check_region(services: Services, call: Call) -> None:
    """Refuse what is about partner sources in a region that has none."""
    regions = services.limits.partner_regions
    if regions and call.region not in regions:
        raise ApiError("OperationDisabledException", NOT_IN_REGION.format(call.region))


def partner_operation(whole: Operation) -> Operation:
    """An operation about partner sources: not available in regions that have none (documented)."""

    def run(services: Services, call: Call, request: Input) -> Awaitable[Output | None]:
        check_region(services, call)
        return whole.run(services, call, request)

    return Operation(whole.input_type, run, whole.carries_events)


def no_such_source(name: str) -> ApiError:
    return not_found(f"Event source {name} does not exist.")


def refused(refusal: Refusal, name: str) -> ApiError:
    """A refusal of the transition table as the wire has it (texts assumed)."""
    match refusal:
        case Refusal.ALREADY_EXISTS:
            return already_exists(f"Event source {name} already exists.")
        case Refusal.NOT_FOUND:
            return no_such_source(name)
        case Refusal.INVALID_STATE:
            return invalid_state(f"Event source {name} is not in a valid state for this operation.")


def require_partner(call: Call, name: str) -> None:
    """Refuse a caller that may not act as the partner of a source name or prefix."""
    if not may_act_for(name, call.partner, call.any_partner):
        raise ApiError(
            NOT_THE_PARTNER,
            f"User: arn:aws:iam::{call.account}:root is not authorized to perform: "
            f"events:{call.operation} on resource: {name}",
        )


def _visible(services: Services, call: Call, name: str) -> PartnerSource:
    require_partner(call, name)
    sources = sources_of(services)
    source = sources.find(call.region, name)
    if source is None or state_for_partner(sources.standing(source)) is None:
        raise no_such_source(name)
    return source


async def create_partner_event_source(services: Services, call: Call, given: NameAccountInput) -> Output:
    require_partner(call, given.name)
    sources = sources_of(services)
    outcome = await retried(lambda: sources.offer(call.region, given.name, given.account))
    if isinstance(outcome, Refusal):
        raise refused(outcome, given.name)
    return CreateOutput(event_source_arn=outcome.arn)


async def delete_partner_event_source(services: Services, call: Call, given: NameAccountInput) -> None:
    require_partner(call, given.name)
    sources = sources_of(services)
    await retried(lambda: sources.withdraw(call.region, given.name, given.account))


async def describe_partner_event_source(services: Services, call: Call, given: NameInput) -> Output:
    source = _visible(services, call, given.name)
    return DescribeOutput(arn=source.arn, name=source.name)


async def list_partner_event_sources(services: Services, call: Call, given: ListSourcesInput) -> Output:
    require_partner(call, given.name_prefix)
    sources = sources_of(services)

    def after(name: str | None) -> Iterator[PartnerSource]:
        last = None if name is None else source_key(call.region, name)
        prefix = source_key(call.region, given.name_prefix)
        for source in services.catalog.list(PartnerSource, prefix, after=last):
            if state_for_partner(sources.standing(source)) is not None:
                yield source

    found = page(services, call, given, after, lambda source: source.name)
    return ListSourcesOutput(
        partner_event_sources=[SourceItem(arn=source.arn, name=source.name) for source in found.items],
        next_token=found.next_token,
    )


async def list_partner_event_source_accounts(
    services: Services, call: Call, given: ListAccountsInput
) -> Output:
    source = _visible(services, call, given.event_source_name)
    found = page(
        services, call, given, lambda after: [source] if after is None else [], lambda one: one.account
    )
    return ListAccountsOutput(
        partner_event_source_accounts=[_account_item(services, one) for one in found.items],
        next_token=found.next_token,
    )


def _account_item(services: Services, source: PartnerSource) -> AccountItem:
    state = state_for_partner(sources_of(services).standing(source))
    return AccountItem(
        account=source.account,
        creation_time=epoch_seconds(source.created_at),
        expiration_time=seconds(source.expires_at),
        state=str(state),
    )


OPERATIONS: dict[str, Operation] = {
    name: partner_operation(whole)
    for name, whole in {
        "CreatePartnerEventSource": operation(NameAccountInput, create_partner_event_source),
        "DeletePartnerEventSource": operation(NameAccountInput, delete_partner_event_source),
        "DescribePartnerEventSource": operation(NameInput, describe_partner_event_source),
        "ListPartnerEventSourceAccounts": operation(ListAccountsInput, list_partner_event_source_accounts),
        "ListPartnerEventSources": operation(ListSourcesInput, list_partner_event_sources),
    }.items()
}
