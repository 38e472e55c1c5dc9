"""ECS clusters: each event runs tasks as EcsParameters say; an input overrides parts of them.

The call has no idempotency token: after a lack of capacity, a retry must be a new try.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from partnerbus.model.arns import Arn
from partnerbus.model.reply import ACCEPTED, BODY_HEAD_BYTES, ErrorCode, Reply
from partnerbus.model.resources import Target
from partnerbus.model.target_parameters import resolved
from partnerbus.targets.aws_errors import Output, unreadable
from partnerbus.targets.aws_kind import Ask, AwsKind, document_of, has_input, input_object
from partnerbus.targets.invoker import Invocation

STARTED_BY = "events-rule/"
"""What a task's `startedBy` begins with; the rule's name follows."""

STARTED_BY_CHARACTERS = 128


def _refusal(target: Target) -> str | None:
    ecs = target.ecs
    if ecs is not None and ecs.launch_type is not None and ecs.capacity_provider_strategy:
        return "EcsParameters may have a LaunchType or a CapacityProviderStrategy, not both."
    return None


def _run_task(invocation: Invocation, arn: Arn) -> Ask:
    assert invocation.target.ecs is not None
    ecs = resolved(invocation.target.ecs, document_of(invocation))
    overrides = {"overrides": input_object(invocation)} if has_input(invocation.target) else {}
    return Ask(
        operation="RunTask",
        parameters={
            "cluster": str(arn),
            "taskDefinition": ecs.task_definition_arn,
            "count": ecs.task_count or 1,
            "startedBy": f"{STARTED_BY}{invocation.rule.name}"[:STARTED_BY_CHARACTERS],
        },
        to_fit={**msgspec.to_builtins(ecs), **overrides},
    )


def _judge(output: Output) -> Reply:
    """A call that started nothing failed, though it is answered as if it went well; room may come."""
    tasks, failures = _items(output, "tasks"), _items(output, "failures")
    if tasks:
        return ACCEPTED
    if not failures:
        return unreadable(200)
    reason = f"No task was started: {failures[0].get('reason')} {failures[0].get('detail') or ''}"
    return Reply(
        error=ErrorCode.RESOURCE_LIMIT_EXCEEDED, message=reason.strip()[:BODY_HEAD_BYTES], retryable=True
    )


def _items(output: Output, name: str) -> Sequence[Mapping[str, object]]:
    return cast(Sequence[Mapping[str, object]], output.get(name) or ())


ECS = AwsKind(
    name="ecs",
    service="ecs",
    resource=r"cluster/[A-Za-z0-9_-]{1,255}",
    form="cluster/NAME",
    needs="EcsParameters",
    takes_object=True,
    refusal=_refusal,
    call=_run_task,
    judge=_judge,
)
