"""Glue workflows: each event starts a run.

The service notifies Glue by an operation that is not open to others (glue:NotifyEvent), so the run is started
by StartWorkflowRun. It gets the run property that event-driven runs have: the ids of their events.
"""

import msgspec

from partnerbus.model.arns import Arn
from partnerbus.targets.aws_kind import Ask, AwsKind
from partnerbus.targets.invoker import Invocation

EVENT_IDS = "aws:eventIds"


def _start(invocation: Invocation, arn: Arn) -> Ask:
    ids = msgspec.json.encode([invocation.record.event.id]).decode()
    return Ask(
        operation="StartWorkflowRun",
        parameters={"Name": arn.resource.removeprefix("workflow/"), "RunProperties": {EVENT_IDS: ids}},
        expects="RunId",
    )


GLUE = AwsKind(
    name="glue",
    service="glue",
    resource=r"workflow/[^/\s]{1,255}",
    form="workflow/NAME",
    call=_start,
)
