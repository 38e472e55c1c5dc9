"""One rule and its records, for the tests of what targets receive."""

import json
from datetime import UTC, datetime
from typing import Any

from partnerbus.model.delivery import Record
from partnerbus.model.event import Event
from partnerbus.model.resources import InputTransformer, Rule, RuleState, Target
from partnerbus.model.template import Reserved
from partnerbus.model.transform import TransformError, compile_input

STORED_AT = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)
RULE = Rule(
    account="123456789012",
    region="us-east-1",
    bus="default",
    name="orders",
    state=RuleState.ENABLED,
    created_by="123456789012",
    created_at=STORED_AT,
)
RESERVED = frozenset(Reserved)
RESERVED_TEXTS = {
    "aws.events.rule-arn": "arn:aws:events:us-east-1:123456789012:rule/orders",
    "aws.events.rule-name": "orders",
    "aws.events.event.ingestion-time": "2026-01-02T03:04:05.678Z",
}


def a_record(detail: str | dict[str, object] = "{}", replay_name: str | None = None) -> Record:
    text = detail if isinstance(detail, str) else json.dumps(detail, separators=(",", ":"))
    event = Event(
        id="e-1",
        detail_type="Order Placed",
        source="shop",
        account="123456789012",
        time="2026-01-01T00:00:00Z",
        region="us-east-1",
        resources=("arn:r",),
        detail=text.encode(),
        replay_name=replay_name,
    )
    return Record(log="log", position=1, stored_at=STORED_AT, event=event)


def a_target(**members: Any) -> Target:
    return Target(id="t1", arn="arn:aws:sqs:us-east-1:1:q", subscription="s", since=0, **members)


def a_template(template: str, **paths: str) -> Target:
    return a_target(input_transformer=InputTransformer(template=template, paths=paths))


def select(target: Target, detail: str | dict[str, object] = "{}") -> str | TransformError:
    selected = compile_input(target).select(a_record(detail), RULE)
    return selected if isinstance(selected, TransformError) else selected.decode()
