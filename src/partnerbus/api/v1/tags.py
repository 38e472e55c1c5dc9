"""Tags of event buses and rules, the only resources that carry any (documented).

They are kept in the value of their resource, so they are gone with it, and one made anew has none (recorded).
"""

from collections.abc import Mapping

import msgspec

from partnerbus.api.errors import invalid
from partnerbus.api.operation import Call, Input, Operation, Output, Services, operation
from partnerbus.api.v1.buses import find_bus, replace_bus
from partnerbus.api.v1.rules import existing_rule
from partnerbus.api.v1.shapes import Tag, managed, retried, tags_by_key, within_tag_limit
from partnerbus.model.arns import DEFAULT_BUS, Arn, bus_arn
from partnerbus.model.resources import EventBus, Rule

NO_ARN = "Parameter ResourceARN is not valid. Reason: Provided Arn is not in correct format."
"""Text recalled."""

NOT_TAGGABLE = "Parameter ResourceARN is not valid. Reason: Only event buses and rules can have tags."
"""Text assumed; documented is that no other resource can."""


class TagInput(Input, frozen=True, kw_only=True):
    resource_arn: str = msgspec.field(name="ResourceARN")
    tags: tuple[Tag, ...]


class UntagInput(Input, frozen=True, kw_only=True):
    resource_arn: str = msgspec.field(name="ResourceARN")
    tag_keys: tuple[str, ...]


class ListInput(Input, frozen=True, kw_only=True):
    resource_arn: str = msgspec.field(name="ResourceARN")


class ListOutput(Output, frozen=True, kw_only=True):
    tags: list[Tag]


async def tag_resource(services: Services, call: Call, given: TagInput) -> None:
    """Tags of other keys stay, those of the same keys are replaced (documented)."""
    wanted = tags_by_key(given.tags)

    async def tag() -> None:
        found = _tagged(services, call, given.resource_arn)
        await _set_tags(services, found, within_tag_limit({**found.tags, **wanted}))

    await retried(tag)


async def untag_resource(services: Services, call: Call, given: UntagInput) -> None:
    """Keys that are not there are no error: repeating it changes nothing (documented)."""

    async def untag() -> None:
        found = _tagged(services, call, given.resource_arn)
        gone = frozenset(given.tag_keys)
        await _set_tags(services, found, {key: found.tags[key] for key in found.tags if key not in gone})

    await retried(untag)


async def list_tags_for_resource(services: Services, call: Call, given: ListInput) -> Output:
    """By key (assumed)."""
    found = _tagged(services, call, given.resource_arn)
    return ListOutput(tags=[Tag(key=key, value=value) for key, value in sorted(found.tags.items())])


def _tagged(services: Services, call: Call, text: str) -> EventBus | Rule:
    """The bus or rule of that ARN; refused if there is none, or the caller may not do this with it.

    Policies open the rules of a bus to other accounts, tags included (documented), but not the bus.
    """
    arn = Arn.parse(text)
    kind, _, path = arn.resource.partition("/") if arn is not None else ("", "", "")
    if arn is None or not path:
        raise invalid(NO_ARN)
    if arn.service != "events" or kind not in ("event-bus", "rule"):
        raise invalid(NOT_TAGGABLE)
    if kind == "event-bus":
        return find_bus(services, call, text)
    bus, rule = _rule_path(path)
    return existing_rule(services, call, bus_arn(arn.region, arn.account, bus), rule)


def _rule_path(path: str) -> tuple[str, str]:
    """Bus and rule in `[bus/]rule`; a rule's name holds no slash, a partner bus's does."""
    bus, _, rule = path.rpartition("/")
    return bus or DEFAULT_BUS, rule


async def _set_tags(services: Services, before: EventBus | Rule, tags: Mapping[str, str]) -> None:
    """The tags alone: when a bus was last modified they leave alone (assumed)."""
    if isinstance(before, Rule) and before.managed_by is not None:
        raise managed(before.name)
    if before.tags == tags:
        return
    if isinstance(before, Rule):
        await services.catalog.replace(before, msgspec.structs.replace(before, tags=tags))
    else:
        await replace_bus(services, before, msgspec.structs.replace(before, tags=tags))


OPERATIONS: dict[str, Operation] = {
    "ListTagsForResource": operation(ListInput, list_tags_for_resource),
    "TagResource": operation(TagInput, tag_resource),
    "UntagResource": operation(UntagInput, untag_resource),
}
