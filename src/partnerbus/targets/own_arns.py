"""What holds of every target that an ARN of our own partition names directly."""

from partnerbus.model.arns import Arn
from partnerbus.model.resources import Rule

FOREIGN = "The ARN is one of another account or region than the rule's."


def foreign(arn: Arn, rule: Rule) -> str | None:
    """Why a rule may not name `arn`, if it is another's."""
    return None if (arn.account, arn.region) == (rule.created_by, rule.region) else FOREIGN
