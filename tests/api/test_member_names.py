"""Every name that a handler reads or answers is a name of the service's model."""

import inspect
from types import ModuleType, UnionType
from typing import Any, Union, get_args, get_origin

import botocore.session
import msgspec
import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape

from partnerbus.api.operation import Output
from partnerbus.api.v1 import (
    api_destinations,
    archives,
    connections,
    endpoints,
    event_buses,
    event_patterns,
    event_sources,
    partner_sources,
    permissions,
    replays,
    rule_targets,
    rules,
    tags,
)
from partnerbus.api.v1.operations import OPERATIONS

MODEL = botocore.session.get_session().get_service_model("events")
FAMILIES = (
    api_destinations,
    archives,
    connections,
    endpoints,
    event_buses,
    event_patterns,
    event_sources,
    partner_sources,
    permissions,
    replays,
    rule_targets,
    rules,
    tags,
)

ANSWERS: dict[str, type[Output] | None] = {
    "ActivateEventSource": None,
    "CancelReplay": replays.CancelOutput,
    "CreateApiDestination": api_destinations.ChangeOutput,
    "CreateArchive": archives.ChangeOutput,
    "CreateConnection": connections.CreateOutput,
    "CreateEndpoint": endpoints.CreateOutput,
    "CreateEventBus": event_buses.CreateOutput,
    "CreatePartnerEventSource": partner_sources.CreateOutput,
    "DeactivateEventSource": None,
    "DeauthorizeConnection": connections.ChangeOutput,
    "DeleteApiDestination": None,
    "DeleteArchive": None,
    "DeleteConnection": connections.ChangeOutput,
    "DeleteEndpoint": None,
    "DeleteEventBus": None,
    "DeletePartnerEventSource": None,
    "DeleteRule": None,
    "DescribeApiDestination": api_destinations.DescribeOutput,
    "DescribeArchive": archives.DescribeOutput,
    "DescribeReplay": replays.DescribeOutput,
    "DescribeConnection": connections.DescribeOutput,
    "DescribeEndpoint": endpoints.DescribeOutput,
    "DescribeEventBus": event_buses.DescribeOutput,
    "DescribeEventSource": event_sources.DescribeOutput,
    "DescribePartnerEventSource": partner_sources.DescribeOutput,
    "DescribeRule": rules.DescribeOutput,
    "DisableRule": None,
    "EnableRule": None,
    "ListApiDestinations": api_destinations.ListDestinationsOutput,
    "ListArchives": archives.ListArchivesOutput,
    "ListReplays": replays.ListReplaysOutput,
    "ListConnections": connections.ListConnectionsOutput,
    "ListEndpoints": endpoints.ListEndpointsOutput,
    "ListEventBuses": event_buses.ListBusesOutput,
    "ListEventSources": event_sources.ListSourcesOutput,
    "ListPartnerEventSourceAccounts": partner_sources.ListAccountsOutput,
    "ListPartnerEventSources": partner_sources.ListSourcesOutput,
    "ListRuleNamesByTarget": rules.ByTargetOutput,
    "ListRules": rules.ListRulesOutput,
    "ListTagsForResource": tags.ListOutput,
    "ListTargetsByRule": rule_targets.ListTargetsOutput,
    "PutPermission": None,
    "PutRule": rules.PutOutput,
    "PutTargets": rule_targets.ChangeOutput,
    "RemovePermission": None,
    "RemoveTargets": rule_targets.ChangeOutput,
    "StartReplay": replays.StartOutput,
    "TagResource": None,
    "TestEventPattern": event_patterns.PatternOutput,
    "UntagResource": None,
    "UpdateApiDestination": api_destinations.ChangeOutput,
    "UpdateArchive": archives.ChangeOutput,
    "UpdateConnection": connections.ChangeOutput,
    "UpdateEndpoint": endpoints.UpdateOutput,
    "UpdateEventBus": event_buses.UpdateOutput,
}


def unknown_names(view: Any, shape: Shape | None, path: str) -> list[str]:
    """Members of `view`, at any depth, that `shape` has not; and what cannot be a member of it."""
    if get_origin(view) in (Union, UnionType):
        return [
            name
            for part in get_args(view)
            if part is not type(None)
            for name in unknown_names(part, shape, path)
        ]
    if isinstance(shape, ListShape):
        (item, *_) = get_args(view)
        return unknown_names(item, shape.member, f"{path}[]")
    if not (inspect.isclass(view) and issubclass(view, msgspec.Struct)):
        expected = dict if isinstance(shape, StructureShape | MapShape) else None
        return [path] if expected is not None and get_origin(view) is not expected else []
    if not isinstance(shape, StructureShape):
        return [path]
    found: list[str] = []
    for field in msgspec.structs.fields(view):
        name = f"{path}.{field.encode_name}"
        if field.encode_name not in shape.members:
            found.append(name)
        else:
            found += unknown_names(field.type, shape.members[field.encode_name], name)
    return found


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_inputs(operation: str) -> None:
    model = MODEL.operation_model(operation)
    assert unknown_names(OPERATIONS[operation].input_type, model.input_shape, operation) == []


@pytest.mark.parametrize("operation", sorted(ANSWERS))
def test_answers(operation: str) -> None:
    shape = MODEL.operation_model(operation).output_shape
    answer = ANSWERS[operation]
    if answer is None:
        assert shape is None or not shape.members
        return
    allowed = CREDENTIALS_ARE_INPUT_ONLY if operation == "DescribeConnection" else set()
    assert set(unknown_names(answer, shape, operation)) == allowed


CREDENTIALS_ARE_INPUT_ONLY = {
    "DescribeConnection.AuthParameters.BasicAuthParameters.Password",
    "DescribeConnection.AuthParameters.ApiKeyAuthParameters.ApiKeyValue",
    "DescribeConnection.AuthParameters.OAuthParameters.ClientParameters.ClientSecret",
}
"""One shape serves what is given and what is given back; that these stay empty is tested elsewhere."""


def _operations(module: ModuleType) -> set[str]:
    return set(module.OPERATIONS)


def test_the_answers_of_every_family_are_listed() -> None:
    assert set(ANSWERS) == set().union(*map(_operations, FAMILIES))


def test_no_operation_belongs_to_two_families() -> None:
    names = [name for module in FAMILIES for name in module.OPERATIONS]
    assert len(names) == len(set(names))
    assert set(names) | {"PutEvents", "PutPartnerEvents"} == set(OPERATIONS)
