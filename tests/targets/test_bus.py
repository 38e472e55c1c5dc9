"""Buses as targets."""

import pytest

from partnerbus.kernel.errors import StoreOverloaded, StoreUnavailable
from partnerbus.model.reply import ErrorCode
from partnerbus.model.resources import EventBus
from partnerbus.targets.bus import BusInvoker
from partnerbus.targets.invoker import Invocation
from tests.targets.things import Resources, a_bus, a_rule, a_target, an_invocation


class Forwarded:
    """A `Forward` that keeps what it is given, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.seen: list[tuple[str, str]] = []
        self._error = error

    async def __call__(self, invocation: Invocation, bus: EventBus) -> None:
        if self._error is not None:
            raise self._error
        self.seen.append((invocation.delivery_id, bus.arn))


@pytest.mark.parametrize("bus", [a_bus(), a_bus(region="eu-west-1")])
async def test_same_account_any_region(bus):
    forward = Forwarded()
    reply = await BusInvoker(Resources(bus), forward).invoke(an_invocation(a_target(bus.arn)))
    assert reply.accepted
    assert forward.seen == [("s-1", bus.arn)]


@pytest.mark.parametrize(
    ("known", "bus", "via", "error"),
    [
        (a_bus(), a_bus(), "arn:aws:events:us-east-1:1:event-bus/x", ErrorCode.THIRD_ACCOUNT_HOP_DETECTED),
        (a_bus(account="2" * 12), a_bus(account="2" * 12), None, ErrorCode.NO_PERMISSIONS),
        (a_bus("known"), a_bus("unknown"), None, ErrorCode.NO_RESOURCE),
        (a_bus(source="aws.partner/p/1"), a_bus(), None, ErrorCode.NO_PERMISSIONS),
    ],
)
async def test_what_is_not_forwarded(known, bus, via, error):
    forward = Forwarded()
    invoker = BusInvoker(Resources(known), forward)
    reply = await invoker.invoke(an_invocation(a_target(bus.arn), via=via))
    assert (reply.error, reply.retryable, forward.seen) == (error, False, [])


@pytest.mark.parametrize(
    ("raised", "error"),
    [(StoreOverloaded(), ErrorCode.THROTTLING), (StoreUnavailable(), ErrorCode.INTERNAL_ERROR)],
)
async def test_a_store_that_cannot_is_tried_again(raised, error):
    reply = await BusInvoker(Resources(a_bus()), Forwarded(raised)).invoke(
        an_invocation(a_target(a_bus().arn))
    )
    assert (reply.error, reply.retryable) == (error, True)


def test_refusals():
    invoker = BusInvoker(Resources(), Forwarded())
    assert invoker.refusal(a_target(a_bus("later").arn), a_rule()) is None
    assert invoker.refusal(a_target("arn:aws:events:us-east-1:1:event-bus/"), a_rule()) is not None
