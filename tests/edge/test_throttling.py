"""Who calls too often is told so before anybody looks at the body, and on account of nobody else."""

from pathlib import Path

import pytest

from partnerbus.api.throttling import Throttle
from partnerbus.model.quotas import Quotas
from tests.edge.test_admin_door import signed
from tests.edge.world import KEY, PARTNER_KEY, TOKEN, Sent, World, open_world

THROTTLED = (400, "ThrottlingException", "Rate exceeded")


@pytest.fixture
async def world(tmp_path: Path):
    async with open_world(tmp_path, throttle=lambda clock: Throttle(clock, quotas)) as world:
        yield world


def quotas(account: str) -> Quotas:
    return Quotas(control_plane_rate=2)


async def test_a_call_too_many(world: World) -> None:
    assert [(await world.call()).status for _ in range(3)] == [200, 200, 400]
    reply = await world.call()
    assert reply.error == THROTTLED
    assert reply.headers["x-amzn-errortype"] == "ThrottlingException"
    assert (await world.call("PutEvents")).error[1] == "ValidationException"
    metrics = world.services.metrics.requests.labels("DescribeEventBus", "400", "ThrottlingException")
    assert metrics._value.get() == 2


async def test_the_body_is_not_looked_at(world: World) -> None:
    for _ in range(2):
        assert (await world.call(body=b"no JSON")).error[1] == "SerializationException"
    assert (await world.call(body=b"no JSON")).error == THROTTLED


async def test_who_cannot_sign_takes_nobody_s_tokens(world: World) -> None:
    forged = world.signed().having(X_Amz_Target="AWSEvents.DeleteRule")
    for _ in range(5):
        assert (await world.ask(forged)).error[1] == "InvalidSignatureException"
    assert [(await world.call()).status for _ in range(2)] == [200, 200]


async def test_others_and_other_regions_go_on(world: World) -> None:
    for _ in range(2):
        await world.call()
    assert (await world.call()).error == THROTTLED
    assert (await world.ask(world.signed(key=PARTNER_KEY))).status == 200
    assert (await world.ask(world.signed(key=KEY, region="us-west-2"))).status == 200


async def test_an_account_asks_the_admin_face_as_often_as_the_control_plane(world: World) -> None:
    asked = [await world.ask(signed(world, "/events")) for _ in range(3)]
    assert [reply.status for reply in asked] == [200, 200, 429]
    assert asked[2].json == {"error": "This account asks too often; wait a moment."}
    assert (await world.ask(signed(world, "/events", key=PARTNER_KEY))).status == 200
    assert (await world.call()).status == 200, "calls of the API have tokens of their own"
    for _ in range(4):
        operator = Sent("/_partnerbus/events", {"Host": "a", "Authorization": f"Bearer {TOKEN}"}, b"", "GET")
        assert (await world.ask(operator)).status == 200
