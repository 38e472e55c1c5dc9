"""Targets at a scripted AWS service, and what it was asked."""

from typing import Any

import msgspec

from partnerbus.kernel.clock import Clock, SystemClock
from partnerbus.model.reply import Reply
from partnerbus.model.resources import Target
from partnerbus.targets.registry import Targets, TargetSettings, make_targets
from partnerbus.testing.receiver import Received, Receiver, Respond
from tests.targets.things import SECRETS, Resources, a_rule, an_invocation

PAYLOAD = b'{"n":1.0}'


async def _forward(invocation, bus) -> None:
    raise AssertionError


def make(clock: Clock | None = None, **settings: Any) -> Targets:
    return make_targets(TargetSettings(**settings), Resources(), SECRETS, clock or SystemClock(), _forward)


async def send(targets: Targets, target: Target, payload: bytes = PAYLOAD, detail: object = None) -> Reply:
    assert targets.refusal(target, a_rule()) is None
    invoker = targets.invoker(target.arn)
    assert invoker is not None
    return await invoker.invoke(an_invocation(target, payload, detail))


def answers(receiver: Receiver, *outputs: object, status: int = 200, path: str = "/") -> None:
    receiver.script(path, *(Respond(status=status, body=msgspec.json.encode(output)) for output in outputs))


def body_of(request: Received) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(request.body)
    return found


def operations(receiver: Receiver) -> list[str]:
    return [request.headers["x-amz-target"].partition(".")[2] for request in receiver.requests]
