"""Rules with their targets."""

from datetime import datetime
from enum import StrEnum

import msgspec

from partnerbus.model import arns
from partnerbus.model.resources.resource import Resource
from partnerbus.model.target_parameters import (
    AppSyncParameters,
    BatchParameters,
    EcsParameters,
    KinesisParameters,
    RedshiftDataParameters,
    RunCommandParameters,
    SageMakerPipelineParameters,
)


class RuleState(StrEnum):
    ENABLED = "ENABLED"
    DISABLED = "DISABLED"
    ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How long a delivery is tried. The defaults are the service's (185 retries, one day)."""

    max_retries: int = 185
    max_age_seconds: int = 86_400


class InputTransformer(msgspec.Struct, frozen=True, kw_only=True):
    """Paths by variable name, and the template they go into."""

    template: str
    paths: dict[str, str] = {}


class HttpParameters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a target adds to an HTTP request."""

    path_values: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    query: dict[str, str] = {}


class Target(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a rule delivers.

    `subscription` is drawn when the target is first put and kept while it is replaced under the same id;
    `since` is the head of the bus's log at that moment, so older events are never owed to it.
    `parameters` holds, as JSON text of the wire form and by its name there, each structure of the target that
    is given back exactly as it came; beside it stands what the engine and the targets read of them.
    `ordered_by` is a path: events with the same value there are delivered one after the other.
    """

    id: str
    arn: str
    subscription: str
    since: int
    role_arn: str | None = None
    input: str | None = None
    input_path: str | None = None
    input_transformer: InputTransformer | None = None
    retry: RetryPolicy = RetryPolicy()
    dead_letter_arn: str | None = None
    message_group_id: str | None = None
    http: HttpParameters | None = None
    kinesis: KinesisParameters | None = None
    run_command: RunCommandParameters | None = None
    ecs: EcsParameters | None = None
    batch: BatchParameters | None = None
    redshift_data: RedshiftDataParameters | None = None
    sagemaker: SageMakerPipelineParameters | None = None
    app_sync: AppSyncParameters | None = None
    parameters: dict[str, str] = {}
    ordered_by: str | None = None


class Rule(Resource, frozen=True, kw_only=True, tag="rule"):
    """A pattern on a bus and the targets that its matches go to, ordered by target id.

    `created_by` is the account that made it, which need not be the bus's: what its targets reach is its own.
    A rule of the default bus may have a schedule, which counts from `scheduled_at`: when it was put, or when
    the rule was last enabled.
    """

    account: str
    region: str
    bus: str
    name: str
    state: RuleState
    created_by: str
    created_at: datetime
    pattern: str | None = None
    schedule: str | None = None
    scheduled_at: datetime | None = None
    description: str | None = None
    role_arn: str | None = None
    managed_by: str | None = None
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    targets: tuple[Target, ...] = ()

    @property
    def key(self) -> str:
        return rule_key(self.account, self.region, self.bus, self.name)

    @property
    def arn(self) -> str:
        return arns.rule_arn(self.region, self.account, self.bus, self.name)


def rule_key(account: str, region: str, bus: str, name: str) -> str:
    return f"rule:{account}:{region}:{bus}:{name}"
