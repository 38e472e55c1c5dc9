"""What targets are to be sent, as a form says it."""

from enum import StrEnum

import msgspec

from partnerbus.api.admin.backtests import NewInput
from partnerbus.api.v1.rule_targets import InputTransformerShape, TargetShape
from partnerbus.console.forms import Form
from partnerbus.console.refusal import Refused

NO_PATHS = 'The paths of a template are a JSON object of texts, such as {"id": "$.detail.id"}.'


class InputKind(StrEnum):
    """What the field `input` may hold; what goes with it is in `text` and `paths`."""

    AS_IT_IS = ""
    WHOLE = "whole"
    CONSTANT = "constant"
    PATH = "path"
    TEMPLATE = "template"


def read_input(form: Form) -> NewInput | None:
    """What the form wants targets to be sent; None for what they are sent now."""
    try:
        kind = InputKind(form.text("input"))
    except ValueError:
        raise Refused(400, "There is no such input.") from None
    match kind:
        case InputKind.AS_IT_IS:
            return None
        case InputKind.WHOLE:
            return NewInput()
        case InputKind.CONSTANT:
            return NewInput(constant=form.text("text"))
        case InputKind.PATH:
            return NewInput(path=form.text("text"))
        case InputKind.TEMPLATE:
            return NewInput(template=form.text("text"), paths=_paths(form.text("paths")))


def _paths(text: str) -> dict[str, str]:
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, str])
    except (msgspec.MsgspecError, RecursionError):
        raise Refused(400, NO_PATHS) from None


def with_input(target: TargetShape, sent: NewInput) -> TargetShape:
    """A target as PutTargets takes it, with another input and everything else as it was."""
    transformer = None
    if sent.template is not None:
        transformer = InputTransformerShape(input_template=sent.template, input_paths_map=sent.paths or None)
    return msgspec.structs.replace(
        target, input=sent.constant, input_path=sent.path, input_transformer=transformer
    )
