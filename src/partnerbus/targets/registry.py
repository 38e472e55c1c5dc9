"""Which invoker serves which target ARN."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.secrets import SecretBox
from partnerbus.model.arns import Arn
from partnerbus.model.resources import Rule, Target
from partnerbus.targets.addresses import AddressGuard
from partnerbus.targets.authorization import Opener
from partnerbus.targets.aws import AwsCaller
from partnerbus.targets.bus import BusInvoker
from partnerbus.targets.client_certificates import ClientContexts
from partnerbus.targets.dead_letter import DeadLetterQueue
from partnerbus.targets.http import HttpInvoker
from partnerbus.targets.invoker import Forward, Invoker, Lookup
from partnerbus.targets.outbound import AiohttpOutbound
from partnerbus.targets.sqs import SqsInvoker, SqsQueues
from partnerbus.targets.tokens import Tokens

NO_SUCH_KIND = (
    "This node has no targets of that kind: it delivers to API destinations, SQS queues and event buses."
)


class TargetSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decides about targets.

    `allow_private`: whether targets may be in this node's private network. `aws_endpoint_url`: where AWS
    services are called instead of at AWS (an emulator); exempt from the address check.
    """

    allow_private: bool = False
    aws_endpoint_url: str | None = None


class Targets:
    """The invokers of a node, by kind of ARN: the service and, for `events`, the kind of resource."""

    def __init__(
        self,
        invokers: Mapping[str, Invoker],
        dead_letter_queue: DeadLetterQueue,
        guard: AddressGuard,
        tokens: Tokens,
        close: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        self._invokers = invokers
        self._guard = guard
        self._close = close
        self.tokens = tokens
        self.dead_letter_queue = dead_letter_queue

    def invoker(self, arn: str) -> Invoker | None:
        """The invoker for a target's ARN; None if this node has none of that kind."""
        parsed = Arn.parse(arn)
        if parsed is None:
            return None
        kind = parsed.service
        if kind == "events":
            kind = f"events:{parsed.resource.partition('/')[0]}"
        return self._invokers.get(kind)

    def refusal(self, target: Target, rule: Rule) -> str | None:
        """Why a target of `rule` cannot work here, as a sentence for whoever puts it; None if it can."""
        if target.dead_letter_arn is not None:
            refusal = self.dead_letter_queue.refusal(target.dead_letter_arn, rule.account)
            if refusal is not None:
                return refusal
        invoker = self.invoker(target.arn)
        if invoker is not None:
            return invoker.refusal(target, rule)
        if Arn.parse(target.arn) is None:
            return "The target's ARN is not valid."
        return NO_SUCH_KIND

    def url_refusal(self, url: str) -> str | None:
        """Why an API destination must not have this URL, as a sentence; None if it may."""
        return self._guard.url_refusal(url)

    async def close(self) -> None:
        """Close every connection."""
        for close in self._close:
            await close()


def make_targets(
    settings: TargetSettings, lookup: Lookup, secrets: SecretBox, clock: Clock, forward: Forward
) -> Targets:
    """Everything this node can deliver to. Connections are opened at the first delivery."""
    guard = AddressGuard(settings.allow_private)
    outbound = AiohttpOutbound(clock, guard)
    aws_outbound = AiohttpOutbound(clock, guard=None)
    tokens = Tokens(secrets, outbound, clock)
    queues = SqsQueues(AwsCaller(aws_outbound, clock, settings.aws_endpoint_url))
    invokers: dict[str, Invoker] = {
        "events:api-destination": HttpInvoker(
            lookup, Opener(secrets, tokens, ClientContexts(secrets)), outbound, clock
        ),
        "events:event-bus": BusInvoker(lookup, forward),
        "sqs": SqsInvoker(queues),
    }
    close = (tokens.close, outbound.close, aws_outbound.close)
    return Targets(invokers, DeadLetterQueue(queues), guard, tokens, close)
