"""The customer's side of partner sources: see them, switch them on and off."""

from collections.abc import Iterator

from partnerbus.api.errors import not_found
from partnerbus.api.operation import Call, Input, Operation, Output, Services, epoch_seconds, operation
from partnerbus.api.v1.paging import ListInput, page
from partnerbus.api.v1.partner_sources import no_such_source, partner_operation, refused, sources_of
from partnerbus.api.v1.shapes import Shape, seconds
from partnerbus.engine.sources import PartnerSources
from partnerbus.model.partner_source import Refusal, state_for_customer
from partnerbus.model.resources import PartnerSource, SourceState, source_key


class NameInput(Input, frozen=True, kw_only=True):
    name: str


class DescribeOutput(Output, frozen=True, kw_only=True):
    arn: str
    name: str
    created_by: str
    creation_time: float
    state: str
    expiration_time: float | None = None


class ListSourcesInput(ListInput, frozen=True, kw_only=True):
    name_prefix: str | None = None


class SourceItem(Shape, frozen=True, kw_only=True):
    arn: str
    name: str
    created_by: str
    creation_time: float
    state: str
    expiration_time: float | None = None


class ListSourcesOutput(Output, frozen=True, kw_only=True):
    event_sources: list[SourceItem]
    next_token: str | None = None


def _state(sources: PartnerSources, call: Call, source: PartnerSource) -> SourceState | None:
    """The state the caller sees; None if the source is not (or no longer) the caller's."""
    if source.account != call.account:
        return None
    return state_for_customer(sources.standing(source))


def _item(source: PartnerSource, state: SourceState) -> SourceItem:
    return SourceItem(
        arn=source.arn,
        name=source.name,
        created_by=source.partner,
        creation_time=epoch_seconds(source.created_at),
        expiration_time=seconds(source.expires_at) if state is SourceState.PENDING else None,
        state=state,
    )


async def activate_event_source(services: Services, call: Call, given: NameInput) -> None:
    outcome = await sources_of(services).activate(call.account, call.region, given.name)
    _raise_refusal(outcome, given.name)


async def deactivate_event_source(services: Services, call: Call, given: NameInput) -> None:
    outcome = await sources_of(services).deactivate(call.account, call.region, given.name)
    _raise_refusal(outcome, given.name)


def _raise_refusal(outcome: Refusal | None, name: str) -> None:
    if outcome is Refusal.NOT_FOUND:  # recorded
        raise not_found(f"Event source {name} or event bus {name} does not exist.")
    if outcome is not None:
        raise refused(outcome, name)


async def describe_event_source(services: Services, call: Call, given: NameInput) -> Output:
    sources = sources_of(services)
    source = sources.find(call.region, given.name)
    state = None if source is None else _state(sources, call, source)
    if source is None or state is None:
        raise no_such_source(given.name)
    item = _item(source, state)
    return DescribeOutput(
        arn=item.arn,
        name=item.name,
        created_by=item.created_by,
        creation_time=item.creation_time,
        expiration_time=item.expiration_time,
        state=item.state,
    )


async def list_event_sources(services: Services, call: Call, given: ListSourcesInput) -> Output:
    sources = sources_of(services)

    def after(name: str | None) -> Iterator[SourceItem]:
        last = None if name is None else source_key(call.region, name)
        prefix = source_key(call.region, given.name_prefix or "")
        for source in services.catalog.list(PartnerSource, prefix, after=last):
            if (state := _state(sources, call, source)) is not None:
                yield _item(source, state)

    found = page(services, call, given, after, lambda item: item.name)
    return ListSourcesOutput(event_sources=list(found.items), next_token=found.next_token)


OPERATIONS: dict[str, Operation] = {
    name: partner_operation(whole)
    for name, whole in {
        "ActivateEventSource": operation(NameInput, activate_event_source),
        "DeactivateEventSource": operation(NameInput, deactivate_event_source),
        "DescribeEventSource": operation(NameInput, describe_event_source),
        "ListEventSources": operation(ListSourcesInput, list_event_sources),
    }.items()
}
