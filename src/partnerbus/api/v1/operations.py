"""Every operation of this face that the node serves."""

from collections.abc import Mapping

from partnerbus.api.operation import Operation
from partnerbus.api.v1 import (
    api_destinations,
    archives,
    connections,
    endpoints,
    event_buses,
    event_patterns,
    event_sources,
    events,
    partner_sources,
    permissions,
    replays,
    rule_targets,
    rules,
    tags,
)

OPERATIONS: Mapping[str, Operation] = {
    **api_destinations.OPERATIONS,
    **archives.OPERATIONS,
    **connections.OPERATIONS,
    **endpoints.OPERATIONS,
    **event_buses.OPERATIONS,
    **event_sources.OPERATIONS,
    **events.OPERATIONS,
    **partner_sources.OPERATIONS,
    **permissions.OPERATIONS,
    **replays.OPERATIONS,
    **rule_targets.OPERATIONS,
    **rules.OPERATIONS,
    **event_patterns.OPERATIONS,
    **tags.OPERATIONS,
}
"""By name: each operation of the model."""
