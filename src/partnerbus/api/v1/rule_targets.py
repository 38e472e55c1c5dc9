"""The targets of a rule. A target that is put again under its id keeps its subscription and its start.

A target's structures are kept as the JSON they came as (`Target.parameters`) beside what the engine reads of
them, so that `ListTargetsByRule` gives back exactly what was put.
"""

import secrets
from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from partnerbus.api.errors import access_denied, invalid, limit_exceeded, refuse
from partnerbus.api.operation import Call, Input, Operation, Output, Services, operation
from partnerbus.api.v1.buses import no_such_bus
from partnerbus.api.v1.paging import ListInput, page
from partnerbus.api.v1.rule_access import TARGETS
from partnerbus.api.v1.rules import existing_rule
from partnerbus.api.v1.shapes import DeadLetterConfig, Shape, managed, retried
from partnerbus.api.v1.target_parameters import Json, typed
from partnerbus.model import resources
from partnerbus.model.arns import Arn
from partnerbus.model.resources import HttpParameters, RetryPolicy, Rule, Target
from partnerbus.model.target_parameters import (
    AppSyncParameters,
    BatchParameters,
    EcsParameters,
    KinesisParameters,
    RedshiftDataParameters,
    RunCommandParameters,
    SageMakerPipelineParameters,
)
from partnerbus.model.transform import input_refusal

CANNOT_BE_SERVED = "ValidationException"
"""The code of an entry whose target this node cannot deliver to. Assumed; no list of codes is documented."""

NOT_THE_CREATOR = "Rule {} was made by another account, which alone may put targets on it."
"""Assumed: the targets of a rule are resources of whoever made it, so nobody else says which."""


class InputTransformerShape(Shape, frozen=True, kw_only=True):
    input_template: str
    input_paths_map: dict[str, str] | None = None


class RetryPolicyShape(Shape, frozen=True, kw_only=True):
    maximum_retry_attempts: int | None = None
    maximum_event_age_in_seconds: int | None = None


class SqsParametersShape(Shape, frozen=True, kw_only=True):
    message_group_id: str | None = None


class HttpParametersShape(Shape, frozen=True, kw_only=True):
    path_parameter_values: tuple[str, ...] | None = None
    header_parameters: dict[str, str] | None = None
    query_string_parameters: dict[str, str] | None = None


class TargetShape(Shape, frozen=True, kw_only=True):
    id: str
    arn: str
    role_arn: str | None = None
    input: str | None = None
    input_path: str | None = None
    input_transformer: InputTransformerShape | None = None
    retry_policy: RetryPolicyShape | None = None
    dead_letter_config: DeadLetterConfig | None = None
    sqs_parameters: SqsParametersShape | None = None
    http_parameters: HttpParametersShape | None = None
    kinesis_parameters: Json | None = None
    run_command_parameters: Json | None = None
    ecs_parameters: Json | None = None
    batch_parameters: Json | None = None
    redshift_data_parameters: Json | None = None
    sage_maker_pipeline_parameters: Json | None = None
    app_sync_parameters: Json | None = None


AS_THEY_CAME = (
    "input_transformer",
    "retry_policy",
    "dead_letter_config",
    "sqs_parameters",
    "http_parameters",
    "kinesis_parameters",
    "run_command_parameters",
    "ecs_parameters",
    "batch_parameters",
    "redshift_data_parameters",
    "sage_maker_pipeline_parameters",
    "app_sync_parameters",
)
"""The structures of a target that are kept as JSON."""

_WIRE_NAMES = {field.name: field.encode_name for field in msgspec.structs.fields(TargetShape)}


class PutInput(Input, frozen=True, kw_only=True):
    rule: str
    targets: tuple[TargetShape, ...]
    event_bus_name: str | None = None


class RemoveInput(Input, frozen=True, kw_only=True):
    rule: str
    ids: tuple[str, ...]
    event_bus_name: str | None = None
    force: bool = False


class FailedEntry(Shape, frozen=True, kw_only=True):
    target_id: str
    error_code: str
    error_message: str


class ChangeOutput(Output, frozen=True, kw_only=True):
    failed_entry_count: int
    failed_entries: list[FailedEntry]


class ListTargetsInput(ListInput, frozen=True, kw_only=True):
    rule: str
    event_bus_name: str | None = None


class ListTargetsOutput(Output, frozen=True, kw_only=True):
    targets: list[TargetShape]
    next_token: str | None = None


# -- putting -------------------------------------------------------------------------------------------


async def put_targets(services: Services, call: Call, given: PutInput) -> Output:
    _check_count(services, given.targets)
    failed = await retried(lambda: _put(services, call, given))
    return ChangeOutput(failed_entry_count=len(failed), failed_entries=failed)


async def _put(services: Services, call: Call, given: PutInput) -> list[FailedEntry]:
    rule = _rule_for_targets(services, call, given)
    bus = services.catalog.bus(rule.account, rule.region, rule.bus) or refuse(no_such_bus(rule.bus))
    since = await services.store.seek(bus.log)
    targets = {target.id: target for target in rule.targets}
    failed: list[FailedEntry] = []
    for shape in given.targets:
        target = _target(shape, targets.get(shape.id), since, call)
        _check_input(target)
        refusal = services.targets.refusal(target, rule)
        if refusal is None:
            targets[target.id] = target
        else:
            failed.append(_failed(target.id, refusal))
    if len(targets) > max(services.quotas_of(rule.account).targets_per_rule, len(rule.targets)):
        raise limit_exceeded()
    await _set_targets(services, rule, targets.values())
    return failed


def _rule_for_targets(services: Services, call: Call, given: PutInput) -> Rule:
    """The rule, if it is the caller's to say what it delivers to."""
    asked = {TARGETS: tuple(shape.arn for shape in given.targets)}
    rule = existing_rule(services, call, given.event_bus_name, given.rule, asked)
    if rule.managed_by is not None:
        raise managed(given.rule)
    if rule.created_by != call.account:
        raise access_denied(NOT_THE_CREATOR.format(given.rule))
    return rule


def _target(shape: TargetShape, before: Target | None, since: int, call: Call) -> Target:
    http, sqs, transformer = shape.http_parameters, shape.sqs_parameters, shape.input_transformer
    dead_letters = shape.dead_letter_config
    return Target(
        id=shape.id,
        arn=shape.arn,
        subscription=before.subscription if before else secrets.token_hex(8),
        since=before.since if before else since,
        role_arn=shape.role_arn or _kept_role(shape, before, call),
        input=shape.input,
        input_path=shape.input_path,
        input_transformer=None if transformer is None else _transformer(transformer),
        retry=_retry(shape.retry_policy or RetryPolicyShape()),
        dead_letter_arn=None if dead_letters is None else dead_letters.arn,
        message_group_id=None if sqs is None else sqs.message_group_id,
        http=None if http is None else _http(http),
        kinesis=typed(shape.kinesis_parameters, KinesisParameters),
        run_command=typed(shape.run_command_parameters, RunCommandParameters),
        ecs=typed(shape.ecs_parameters, EcsParameters),
        batch=typed(shape.batch_parameters, BatchParameters),
        redshift_data=typed(shape.redshift_data_parameters, RedshiftDataParameters),
        sagemaker=typed(shape.sage_maker_pipeline_parameters, SageMakerPipelineParameters),
        app_sync=typed(shape.app_sync_parameters, AppSyncParameters),
        parameters=_as_they_came(shape),
        ordered_by=before.ordered_by if before else None,
    )


def _kept_role(shape: TargetShape, before: Target | None, call: Call) -> str | None:
    """A bus of another account that is put again without a role keeps the one it had (documented)."""
    arn = Arn.parse(shape.arn)
    if before is None or before.arn != shape.arn or arn is None:
        return None
    foreign_bus = arn.resource.startswith("event-bus/") and arn.account != call.account
    return before.role_arn if foreign_bus else None


def _transformer(shape: InputTransformerShape) -> resources.InputTransformer:
    return resources.InputTransformer(template=shape.input_template, paths=shape.input_paths_map or {})


def _retry(shape: RetryPolicyShape) -> RetryPolicy:
    default = RetryPolicy()
    retries, age = shape.maximum_retry_attempts, shape.maximum_event_age_in_seconds
    return RetryPolicy(
        max_retries=default.max_retries if retries is None else retries,
        max_age_seconds=default.max_age_seconds if age is None else age,
    )


def _http(shape: HttpParametersShape) -> HttpParameters:
    return HttpParameters(
        path_values=shape.path_parameter_values or (),
        headers=shape.header_parameters or {},
        query=shape.query_string_parameters or {},
    )


def _as_they_came(shape: TargetShape) -> dict[str, str]:
    return {
        _WIRE_NAMES[name]: msgspec.json.encode(value).decode()
        for name in AS_THEY_CAME
        if (value := getattr(shape, name)) is not None
    }


def _check_input(target: Target) -> None:
    if (sentence := input_refusal(target)) is not None:
        raise invalid(sentence)


T = TypeVar("T")


def _check_count(services: Services, entries: Sequence[T]) -> None:
    """Ten entries per request are documented; the text is assumed."""
    if len(entries) > (most := services.limits.targets_per_call):
        raise invalid(f"At most {most} targets can be given in one request.")


def _failed(target_id: str, sentence: str) -> FailedEntry:
    return FailedEntry(target_id=target_id, error_code=CANNOT_BE_SERVED, error_message=sentence)


async def _set_targets(services: Services, rule: Rule, targets: Iterable[Target]) -> None:
    ordered = tuple(sorted(targets, key=lambda target: target.id))
    if ordered != rule.targets:
        await services.catalog.replace(rule, msgspec.structs.replace(rule, targets=ordered))


# -- removing and listing ------------------------------------------------------------------------------


async def remove_targets(services: Services, call: Call, given: RemoveInput) -> Output:
    _check_count(services, given.ids)
    await retried(lambda: _remove(services, call, given))
    return ChangeOutput(failed_entry_count=0, failed_entries=[])


async def _remove(services: Services, call: Call, given: RemoveInput) -> None:
    rule = existing_rule(services, call, given.event_bus_name, given.rule)
    if rule.managed_by is not None and not given.force:
        raise managed(given.rule)
    gone = frozenset(given.ids)
    await _set_targets(services, rule, [target for target in rule.targets if target.id not in gone])


async def list_targets_by_rule(services: Services, call: Call, given: ListTargetsInput) -> Output:
    rule = existing_rule(services, call, given.event_bus_name, given.rule)

    def after(target_id: str | None) -> list[Target]:
        return [target for target in rule.targets if target_id is None or target.id > target_id]

    found = page(services, call, given, after, lambda target: target.id)
    return ListTargetsOutput(targets=[_shape(target) for target in found.items], next_token=found.next_token)


def _shape(target: Target) -> TargetShape:
    kept = {name: msgspec.json.decode(text) for name, text in target.parameters.items()}
    shape = TargetShape(
        id=target.id,
        arn=target.arn,
        role_arn=target.role_arn,
        input=target.input,
        input_path=target.input_path,
    )
    return msgspec.convert(msgspec.to_builtins(shape) | kept, TargetShape)


OPERATIONS: dict[str, Operation] = {
    "ListTargetsByRule": operation(ListTargetsInput, list_targets_by_rule),
    "PutTargets": operation(PutInput, put_targets),
    "RemoveTargets": operation(RemoveInput, remove_targets),
}
