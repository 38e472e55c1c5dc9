"""What the registry holds: accounts and keys, sources, buses, rules with their targets, connections.

Each resource is one registry value under its `key`, so that a change of one is atomic. Words of the wire
API (`DetailType`, `TargetArn`) stop at `api/`; `:` separates the parts of a key, since no name holds one.
"""

import msgspec

from partnerbus.model.resources.accounts import (
    AccessKey,
    Account,
    access_key_key,
    account_key,
)
from partnerbus.model.resources.archives import (
    ARCHIVE_LOGS,
    MANAGED_BY,
    Archive,
    archive_key,
)
from partnerbus.model.resources.buses import (
    EventBus,
    LogConfig,
    PartnerSource,
    SourceState,
    bus_key,
    default_log,
    source_key,
)
from partnerbus.model.resources.cluster_nodes import (
    ClusterNode,
    Role,
    node_key,
)
from partnerbus.model.resources.connections import (
    ApiDestination,
    AuthorizationType,
    ClientCertificate,
    Connection,
    ConnectionParameter,
    ConnectionState,
    OAuthExchange,
    ParameterPlace,
    api_destination_key,
    connection_key,
)
from partnerbus.model.resources.global_endpoints import (
    EndpointHealth,
    FailoverPair,
    GlobalEndpoint,
    endpoint_key,
)
from partnerbus.model.resources.progress import (
    DAMAGED_EVENTS,
    PENDING_RESET_KEY,
    SCHEDULE_PROGRESS_KEY,
    DamagedEvent,
    FailingTarget,
    PendingReset,
    ScheduleProgress,
    failing_target_key,
)
from partnerbus.model.resources.replays import (
    CANCELLABLE,
    REPLAY_LOGS,
    Replay,
    ReplayState,
    replay_key,
)
from partnerbus.model.resources.resource import (
    Resource,
)
from partnerbus.model.resources.rules import (
    HttpParameters,
    InputTransformer,
    RetryPolicy,
    Rule,
    RuleState,
    Target,
    rule_key,
)
from partnerbus.model.resources.webhooks import (
    Webhook,
    WebhookSecret,
    webhook_key,
)

__all__ = [
    "ARCHIVE_LOGS",
    "CANCELLABLE",
    "DAMAGED_EVENTS",
    "MANAGED_BY",
    "PENDING_RESET_KEY",
    "REPLAY_LOGS",
    "SCHEDULE_PROGRESS_KEY",
    "AccessKey",
    "Account",
    "AnyResource",
    "ApiDestination",
    "Archive",
    "AuthorizationType",
    "ClientCertificate",
    "ClusterNode",
    "Connection",
    "ConnectionParameter",
    "ConnectionState",
    "DamagedEvent",
    "EndpointHealth",
    "EventBus",
    "FailingTarget",
    "FailoverPair",
    "GlobalEndpoint",
    "HttpParameters",
    "InputTransformer",
    "LogConfig",
    "OAuthExchange",
    "ParameterPlace",
    "PartnerSource",
    "PendingReset",
    "Replay",
    "ReplayState",
    "Resource",
    "RetryPolicy",
    "Role",
    "Rule",
    "RuleState",
    "ScheduleProgress",
    "SourceState",
    "Target",
    "Webhook",
    "WebhookSecret",
    "access_key_key",
    "account_key",
    "api_destination_key",
    "archive_key",
    "bus_key",
    "connection_key",
    "decode_resource",
    "default_log",
    "encode_resource",
    "endpoint_key",
    "failing_target_key",
    "node_key",
    "replay_key",
    "rule_key",
    "source_key",
    "webhook_key",
]

AnyResource = (
    Account
    | AccessKey
    | PartnerSource
    | EventBus
    | Rule
    | Connection
    | ApiDestination
    | Webhook
    | GlobalEndpoint
    | Archive
    | Replay
    | DamagedEvent
    | FailingTarget
    | ScheduleProgress
    | PendingReset
    | ClusterNode
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyResource] = msgspec.json.Decoder(AnyResource)


def encode_resource(resource: AnyResource) -> bytes:
    """The registry value of a resource."""
    return _encoder.encode(resource)


def decode_resource(value: bytes) -> AnyResource:
    """The resource in a registry value."""
    return _decoder.decode(value)
