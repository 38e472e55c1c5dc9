"""Buses as targets."""

import json

import msgspec
import pytest

from partnerbus.kernel.errors import StoreOverloaded, StoreUnavailable
from partnerbus.model.reply import ErrorCode
from partnerbus.model.resources import EventBus, InputTransformer
from partnerbus.targets.bus import WHOLE_EVENTS_ONLY, BusInvoker
from partnerbus.targets.invoker import Invocation
from tests.targets.things import ACCOUNT, Resources, a_bus, a_rule, a_target, an_invocation


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


OTHER = "2" * 12
THEIRS = a_bus(account=OTHER)


def policy(effect: str, condition: object = None, principal: str = ACCOUNT) -> str:
    statement = {
        "Effect": effect,
        "Principal": {"AWS": principal},
        "Action": "events:PutEvents",
        "Resource": "*",
        "Condition": condition or {},
    }
    return json.dumps({"Statement": [statement]})


@pytest.mark.parametrize(
    ("bus", "text", "accepted"),
    [
        (THEIRS, None, False),
        (THEIRS, policy("Allow"), True),
        (THEIRS, policy("Allow", principal=OTHER), False),
        (THEIRS, policy("Allow", {"Bool": {"events:eventBusInvocation": "true"}}), True),
        (THEIRS, policy("Allow", {"ArnLike": {"aws:SourceArn": a_rule().arn}}), True),
        (THEIRS, policy("Allow", {"ArnLike": {"aws:SourceArn": a_rule().arn + "x"}}), False),
        (THEIRS, policy("Allow", {"StringEquals": {"aws:SourceAccount": ACCOUNT}}), True),
        (THEIRS, policy("Allow", {"StringEquals": {"events:detail-type": "Order Placed"}}), True),
        (THEIRS, policy("Allow", {"StringEquals": {"events:source": "other"}}), False),
        (THEIRS, "no policy any more", False),
        (a_bus(), policy("Allow", principal=OTHER), True),
        (a_bus(), policy("Deny"), False),
    ],
)
async def test_the_policy_of_the_bus_decides(bus, text, accepted):
    bus = msgspec.structs.replace(bus, policy=text)
    forward = Forwarded()
    reply = await BusInvoker(Resources(bus), forward).invoke(an_invocation(a_target(bus.arn)))
    error = None if accepted else ErrorCode.NO_PERMISSIONS
    assert (reply.error, reply.retryable, bool(forward.seen)) == (error, False, accepted)


async def test_whether_another_account_has_a_bus_is_not_told():
    target = a_target(THEIRS.arn)
    unknown = await BusInvoker(Resources(), Forwarded()).invoke(an_invocation(target))
    known = await BusInvoker(Resources(THEIRS), Forwarded()).invoke(an_invocation(target))
    assert unknown == known


async def test_a_dead_letter_of_a_loop_shows_the_path():
    via, here = a_bus("first"), a_bus("default")
    invocation = an_invocation(a_target(via.arn), via=via.arn)
    reply = await BusInvoker(Resources(via), Forwarded()).invoke(invocation)
    assert reply.error is ErrorCode.THIRD_ACCOUNT_HOP_DETECTED
    assert f"{via.arn} -> {here.arn} -> {via.arn}" in reply.message


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


def test_a_bus_may_be_made_later():
    invoker = BusInvoker(Resources(), Forwarded())
    assert invoker.refusal(a_target(a_bus("later").arn), a_rule()) is None


@pytest.mark.parametrize(
    ("arn", "sentence"),
    [
        (a_bus("").arn, "does not name an event bus"),
        (a_bus("no name").arn, "does not name an event bus"),
        (a_bus(account="1").arn, "does not name an event bus"),
        (a_bus(region="").arn, "does not name an event bus"),
        (a_bus("aws.partner/example.com/1").arn, "Only its partner"),
    ],
)
def test_what_can_be_no_bus_to_put_events_on(arn, sentence):
    refusal = BusInvoker(Resources(), Forwarded()).refusal(a_target(arn), a_rule())
    assert refusal is not None
    assert sentence in refusal


def test_a_bus_of_another_account_takes_a_role_and_whole_events():
    def refusal(**members):
        target = msgspec.structs.replace(a_target(THEIRS.arn), **members)
        return BusInvoker(Resources(), Forwarded()).refusal(target, a_rule())

    role = "arn:aws:iam::123456789012:role/r"
    assert refusal() == f"RoleArn is required for target {THEIRS.arn}."
    assert refusal(role_arn=role) is None
    assert refusal(role_arn=role, input_path="$.detail") == WHOLE_EVENTS_ONLY


@pytest.mark.parametrize("bus", [a_bus(), a_bus(region="eu-west-1")])
@pytest.mark.parametrize(
    "members",
    [{"input": "{}"}, {"input_path": "$.detail"}, {"input_transformer": InputTransformer(template='"a"')}],
)
def test_a_bus_of_the_same_account_takes_whole_events_too(bus, members):
    target = msgspec.structs.replace(a_target(bus.arn), **members)
    assert BusInvoker(Resources(), Forwarded()).refusal(target, a_rule()) == WHOLE_EVENTS_ONLY
