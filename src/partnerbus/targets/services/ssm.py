"""Systems Manager: run a command, start an automation, open an OpsItem.

The input is what people write for these targets: the document's parameters alone, or an object with
DocumentName, DocumentVersion and Parameters. A document is named by the ARN; what the input says of it counts
only where the ARN says nothing (assumed). Without an input a document runs with its own defaults (documented
for commands, assumed for automations).
"""

import msgspec

from partnerbus.model.arns import Arn
from partnerbus.model.resources import Target
from partnerbus.targets.aws_kind import Ask, AwsKind, has_input, input_object
from partnerbus.targets.invoker import Invocation

DOCUMENT, AUTOMATION, OPS_ITEM = "document/", "automation-definition/", "opsitem"

ENVELOPE = frozenset({"DocumentName", "DocumentVersion", "Parameters"})
"""An input that has only these says more than the document's parameters."""

TITLE_CHARACTERS, DESCRIPTION_CHARACTERS = 1_024, 2_048
RESOURCES = "/aws/resources"
EVENT_DATA = "event"


def _refusal(target: Target) -> str | None:
    runs_command = ":document/" in target.arn
    if runs_command and "RunCommandParameters" not in target.parameters:
        return "RunCommandParameters is required for this target."
    if not runs_command and "RunCommandParameters" in target.parameters:
        return "RunCommandParameters can be used with a document only."
    return None


def _call(invocation: Invocation, arn: Arn) -> Ask:
    if arn.resource == OPS_ITEM:
        return _create_ops_item(invocation)
    return _run(invocation, arn)


# -- documents ---------------------------------------------------------------------------------------------


def _run(invocation: Invocation, arn: Arn) -> Ask:
    is_command = arn.resource.startswith(DOCUMENT)
    run = invocation.target.run_command
    where = msgspec.to_builtins(run.run_command_targets) if run is not None and is_command else None
    return Ask(
        operation="SendCommand" if is_command else "StartAutomationExecution",
        parameters=_document(invocation, arn),
        to_fit={} if where is None else {"Targets": where},
        expects="Command" if is_command else "AutomationExecutionId",
    )


def _document(invocation: Invocation, arn: Arn) -> dict[str, object]:
    """Name, version and parameters of the document to run. AWS's own documents have no account."""
    name, _, version = arn.resource.partition("/")[2].partition(":")
    given = input_object(invocation) if has_input(invocation.target) else {}
    says_more = bool(given) and ENVELOPE.issuperset(given)
    parameters = given.get("Parameters") if says_more else given
    found = {
        "DocumentName": name,
        "DocumentVersion": version or (given.get("DocumentVersion") if says_more else None),
        "Parameters": _listed(parameters),
    }
    return {member: value for member, value in found.items() if value}


def _listed(parameters: object) -> object:
    """The API takes lists of texts; one text alone is a list of one (assumed)."""
    if not isinstance(parameters, dict):
        return parameters
    return {name: [value] if isinstance(value, str) else value for name, value in parameters.items()}


# -- OpsItems ----------------------------------------------------------------------------------------------


def _create_ops_item(invocation: Invocation) -> Ask:
    """An input's members are those of the operation, in lower case in the service's own rules."""
    event = invocation.record.event
    default: dict[str, object] = {
        "Title": event.detail_type[:TITLE_CHARACTERS],
        "Description": event.encode().decode()[:DESCRIPTION_CHARACTERS],
        "Source": event.source[:128],
    }
    given = input_object(invocation) if has_input(invocation.target) else {}
    resources = given.pop("resources", None) if given else list(event.resources)
    written = {name.lower() for name in given}
    data = _operational_data(given.pop("operationalData", None), resources)
    return Ask(
        operation="CreateOpsItem",
        parameters={name: value for name, value in default.items() if name.lower() not in written},
        to_fit={**given, **({"OperationalData": data} if data else {})},
        expects="OpsItemId",
    )


def _operational_data(given: object, resources: object) -> dict[str, object]:
    """The affected resources go where the service's console looks for them."""
    data: dict[str, object] = dict(given) if isinstance(given, dict) else {}
    if isinstance(resources, list) and resources:
        listed = msgspec.json.encode([{"arn": resource} for resource in resources]).decode()
        data.setdefault(RESOURCES, {"value": listed, "type": "SearchableString"})
    return data


SSM = AwsKind(
    name="ssm",
    service="ssm",
    resource=r"document/[A-Za-z0-9_.-]{3,128}|automation-definition/[A-Za-z0-9_.-]{3,128}(:[^:\s]+)?|opsitem",
    form="document/NAME, automation-definition/NAME:VERSION or opsitem",
    takes_object=True,
    refusal=_refusal,
    call=_call,
)
