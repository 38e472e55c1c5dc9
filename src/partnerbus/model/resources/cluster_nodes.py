"""The nodes that share a store, and what each of them does."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from partnerbus.model.resources.resource import Resource


class Role(StrEnum):
    """What a node does for the cluster."""

    EDGE = "edge"
    """It answers the API's callers."""

    ROUTE = "route"
    """It routes logs, and does what one node does for all: schedules, replays, sweeps."""

    DELIVER = "deliver"
    """It makes the attempts of lanes."""


class ClusterNode(Resource, frozen=True, kw_only=True, tag="node"):
    """A node, which has its share of the work until `leased_until`, unless it says so again before."""

    name: str
    url: str
    roles: Sequence[Role]
    started_at: datetime
    leased_until: datetime

    @property
    def key(self) -> str:
        return node_key(self.name)


def node_key(name: str) -> str:
    return f"node:{name}"
