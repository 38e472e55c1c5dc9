"""What the dispatcher knows of a target: an invocation goes in, a reply comes out."""

from typing import Protocol

import msgspec

from partnerbus.model.delivery import Record
from partnerbus.model.reply import Reply
from partnerbus.model.resources import ApiDestination, Connection, EventBus, Rule, Target, Webhook
from partnerbus.targets.wire import Wire


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: `payload` is the target's input, after selection and transformation.

    Invokers that send HTTP requests of their own note them on `wire`.
    """

    delivery_id: str
    record: Record
    rule: Rule
    target: Target
    payload: bytes
    wire: Wire = msgspec.field(default_factory=Wire)


class Invoker(Protocol):
    """Delivers to one kind of target. Never raises for what a target did; that is a `Reply`."""

    @property
    def kind(self) -> str:
        """A short name for logs and metrics."""

    def refusal(self, target: Target, rule: Rule) -> str | None:
        """Why this target of `rule` cannot work, as a sentence for whoever puts it; None if it can."""

    async def invoke(self, invocation: Invocation) -> Reply:
        """Make the attempt."""


class Lookup(Protocol):
    """The resources that invokers need, by ARN. Reads memory."""

    def api_destination_by_arn(self, arn: str) -> ApiDestination | None: ...

    def connection_by_arn(self, arn: str) -> Connection | None: ...

    def bus_by_arn(self, arn: str) -> EventBus | None: ...

    def webhook_by_arn(self, arn: str) -> Webhook | None: ...


class Forward(Protocol):
    """Puts an event into another bus of this node, once per delivery however often it is called."""

    async def __call__(self, invocation: Invocation, bus: EventBus) -> None: ...
