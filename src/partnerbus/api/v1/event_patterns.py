"""TestEventPattern: does a pattern match an event? No state."""

from partnerbus.api.errors import invalid
from partnerbus.api.operation import Call, Input, Operation, Output, Services, operation
from partnerbus.api.v1.rules import parsed_pattern
from partnerbus.patterns import EventFields, PatternIndex, event_fields

REQUIRED = ("id", "account", "source", "time", "region", "detail-type")
"""What an event must have (recorded: `resources` is not among them)."""

NOT_AN_EVENT = "Parameter Event is not valid."


class PatternInput(Input, frozen=True, kw_only=True):
    event_pattern: str
    event: str


class PatternOutput(Output, frozen=True, kw_only=True):
    result: bool


async def match_pattern(_services: Services, _call: Call, given: PatternInput) -> Output:
    pattern = parsed_pattern(given.event_pattern)
    index: PatternIndex[str] = PatternIndex()
    index.add("pattern", pattern)
    return PatternOutput(result=bool(index.match(_event(given.event))))


def _event(text: str) -> EventFields:
    try:
        fields = event_fields(text.encode())
    except ValueError:
        raise invalid(NOT_AN_EVENT) from None
    if any(name not in fields.envelope for name in REQUIRED):
        raise invalid(NOT_AN_EVENT)
    return fields


OPERATIONS: dict[str, Operation] = {"TestEventPattern": operation(PatternInput, match_pattern)}
