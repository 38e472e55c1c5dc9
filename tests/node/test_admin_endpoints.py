"""Global endpoints over the admin face: which one, and which bus takes its events."""

import msgspec
import pytest

from partnerbus.api.admin.viewer import OPERATOR
from partnerbus.kernel.clock import SystemClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.model.arns import bus_arn
from partnerbus.model.resources import FailoverPair, GlobalEndpoint
from partnerbus.node.folder import DataFolder, opened
from tests.node.faces import admin_face

ACCOUNT, OTHER, REGION, SECOND = "111122223333", "444455556666", "us-east-1", "us-west-2"
CHECK = "arn:aws:route53:::healthcheck/c"


class Desk:
    """The admin face, and endpoints for it."""

    def __init__(self, found, clock):
        self.catalog, self.clock = found.catalog, clock
        self.face = admin_face(found, clock)

    async def ask(self, method, path="/endpoints/shop/health", body=None, **query):
        answer = await self.face.answer(OPERATOR, method, path, query, msgspec.json.encode(body or {}))
        return answer.status, msgspec.json.decode(answer.body)

    async def endpoint(self, account=ACCOUNT):
        now = self.clock.now()
        pair = FailoverPair(
            buses=(bus_arn(REGION, account, "b"), bus_arn(SECOND, account, "b")), secondary_region=SECOND
        )
        await self.catalog.create(
            GlobalEndpoint(
                account=account,
                region=REGION,
                name="shop",
                id="abcde.veo",
                health_check=CHECK,
                pair=pair,
                created_at=now,
                modified_at=now,
            )
        )


@pytest.fixture
async def desk(tmp_path):
    clock = SystemClock()
    async with opened(DataFolder(tmp_path / "data"), clock, Failpoints()) as found:
        yield Desk(found, clock)


async def test_health_is_shown_and_set(desk):
    await desk.endpoint()
    healthy = {
        "name": "shop",
        "arn": f"arn:aws:events:{REGION}:{ACCOUNT}:endpoint/shop",
        "endpoint_id": "abcde.veo",
        "health": "healthy",
        "health_check": CHECK,
        "taking": bus_arn(REGION, ACCOUNT, "b"),
        "replicates": True,
    }
    unhealthy = healthy | {"health": "unhealthy", "taking": bus_arn(SECOND, ACCOUNT, "b")}
    assert await desk.ask("GET") == (200, healthy)
    assert await desk.ask("PUT", body={"health": "unhealthy"}) == (200, unhealthy)
    assert await desk.ask("GET", "/endpoints") == (200, {"endpoints": [unhealthy]})
    assert await desk.ask("PUT", body={"health": "healthy"}) == (200, healthy)


async def test_which_endpoint_must_be_clear(desk):
    said = await desk.ask("PUT", body={"health": "unhealthy"})
    assert said == (404, {"error": "there is no global endpoint shop"})
    await desk.endpoint()
    await desk.endpoint(OTHER)
    status, view = await desk.ask("PUT", body={"health": "unhealthy"})
    sentence = "there are 2 global endpoints shop; say whose, and in which region"
    assert (status, view["error"]) == (400, sentence)
    status, view = await desk.ask("PUT", body={"health": "unhealthy", "account": OTHER, "region": REGION})
    assert (status, view["health"]) == (200, "unhealthy")
    assert (await desk.ask("GET", account=ACCOUNT))[1]["health"] == "healthy"
    assert len((await desk.ask("GET", "/endpoints", account=OTHER))[1]["endpoints"]) == 1


@pytest.mark.parametrize("body", [{}, {"health": "ill"}, {"health": "healthy", "colour": "red"}])
async def test_a_refusal_is_a_sentence_and_changes_nothing(desk, body):
    await desk.endpoint()
    status, view = await desk.ask("PUT", body=body)
    assert status == 400
    assert view["error"].startswith("the body cannot be used")
    assert (await desk.ask("GET"))[1]["health"] == "healthy"
