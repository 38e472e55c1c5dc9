"""What only some kinds of target read: the structures of a target beside its ARN and its input.

Members are named as the API has them, in snake case; one that was not given is None. The API's contract has
checked limits. Where the service allows dynamic paths in a structure, each plain string may be one; members
of an enumeration may not (documented), so those have types of their own.
"""

from enum import StrEnum
from typing import TypeVar

import msgspec

from partnerbus.model.paths import EventDocument, resolve


class Parameters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A structure of a target."""


class KinesisParameters(Parameters, frozen=True, kw_only=True):
    partition_key_path: str


class RunCommandTarget(Parameters, frozen=True, kw_only=True):
    key: str
    values: tuple[str, ...]


class RunCommandParameters(Parameters, frozen=True, kw_only=True):
    run_command_targets: tuple[RunCommandTarget, ...]


# -- ECS ---------------------------------------------------------------------------------------------------


class LaunchType(StrEnum):
    EC2 = "EC2"
    FARGATE = "FARGATE"
    EXTERNAL = "EXTERNAL"


class AssignPublicIp(StrEnum):
    ENABLED = "ENABLED"
    DISABLED = "DISABLED"


class ConstraintType(StrEnum):
    DISTINCT_INSTANCE = "distinctInstance"
    MEMBER_OF = "memberOf"


class StrategyType(StrEnum):
    RANDOM = "random"
    SPREAD = "spread"
    BINPACK = "binpack"


class PropagateTags(StrEnum):
    TASK_DEFINITION = "TASK_DEFINITION"


class AwsVpcConfiguration(Parameters, frozen=True, kw_only=True):
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...] | None = None
    assign_public_ip: AssignPublicIp | None = None


class NetworkConfiguration(Parameters, frozen=True, kw_only=True):
    awsvpc_configuration: AwsVpcConfiguration | None = None


class CapacityProvider(Parameters, frozen=True, kw_only=True):
    capacity_provider: str
    weight: int | None = None
    base: int | None = None


class PlacementConstraint(Parameters, frozen=True, kw_only=True):
    type: ConstraintType | None = None
    expression: str | None = None


class PlacementStrategy(Parameters, frozen=True, kw_only=True):
    type: StrategyType | None = None
    field: str | None = None


class EcsTag(Parameters, frozen=True, kw_only=True):
    key: str
    value: str


class EcsParameters(Parameters, frozen=True, kw_only=True):
    task_definition_arn: str
    task_count: int | None = None
    launch_type: LaunchType | None = None
    network_configuration: NetworkConfiguration | None = None
    platform_version: str | None = None
    group: str | None = None
    capacity_provider_strategy: tuple[CapacityProvider, ...] | None = None
    enable_ecs_managed_tags: bool | None = None
    enable_execute_command: bool | None = None
    placement_constraints: tuple[PlacementConstraint, ...] | None = None
    placement_strategy: tuple[PlacementStrategy, ...] | None = None
    propagate_tags: PropagateTags | None = None
    reference_id: str | None = None
    tags: tuple[EcsTag, ...] | None = None


# -- others ------------------------------------------------------------------------------------------------


class ArrayProperties(Parameters, frozen=True, kw_only=True):
    size: int | None = None


class RetryStrategy(Parameters, frozen=True, kw_only=True):
    attempts: int | None = None


class BatchParameters(Parameters, frozen=True, kw_only=True):
    job_definition: str
    job_name: str
    array_properties: ArrayProperties | None = None
    retry_strategy: RetryStrategy | None = None


class RedshiftDataParameters(Parameters, frozen=True, kw_only=True):
    database: str
    secret_manager_arn: str | None = None
    db_user: str | None = None
    sql: str | None = None
    sqls: tuple[str, ...] | None = None
    statement_name: str | None = None
    with_event: bool | None = None


class PipelineParameter(Parameters, frozen=True, kw_only=True):
    name: str
    value: str


class SageMakerPipelineParameters(Parameters, frozen=True, kw_only=True):
    pipeline_parameter_list: tuple[PipelineParameter, ...] | None = None


class AppSyncParameters(Parameters, frozen=True, kw_only=True):
    graph_ql_operation: str | None = None


# -- dynamic paths -----------------------------------------------------------------------------------------

P = TypeVar("P", bound=Parameters)


class NothingAtPath(ValueError):
    """A dynamic path leads to nothing in the event; the text names it."""


def resolved(parameters: P, document: EventDocument) -> P:
    """The structure with each string that is wholly a path replaced by what is there in the event.

    Raises `NothingAtPath`.
    """
    replaced = {
        name: _resolved(value, document) for name, value in msgspec.structs.asdict(parameters).items()
    }
    return msgspec.structs.replace(parameters, **replaced)


def _resolved(value: object, document: EventDocument) -> object:
    if isinstance(value, Parameters):
        return resolved(value, document)
    if isinstance(value, tuple):
        return tuple(_resolved(item, document) for item in value)
    if not isinstance(value, str):
        return value
    found = resolve(value, document)
    if found is None:
        raise NothingAtPath(f"The path {value} of a target parameter leads to nothing in the event.")
    return found
