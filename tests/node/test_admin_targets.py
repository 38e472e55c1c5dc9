"""Failing and disabled targets over the admin face."""

import msgspec
import pytest

from partnerbus.api.admin.viewer import OPERATOR
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.model.resources import FailingTarget
from partnerbus.node.folder import DataFolder, opened
from tests.node.faces import admin_face

ACCOUNT, OTHER, REGION = "111122223333", "444455556666", "us-east-1"
ARN = "arn:aws:sqs:us-east-1:111122223333:queue"


class Desk:
    """The admin face, and failing targets for it."""

    def __init__(self, found, clock):
        self.catalog, self.clock = found.catalog, clock
        self.face = admin_face(found, clock)

    async def ask(self, method, path, body=None, **query):
        answer = await self.face.answer(OPERATOR, method, path, query, msgspec.json.encode(body or {}))
        return answer.status, msgspec.json.decode(answer.body)

    async def fails(self, account, arn=ARN, *, disabled=False):
        now = self.clock.now()
        made = FailingTarget(
            account=account,
            region=REGION,
            arn=arn,
            rule_arn="rule",
            since=now,
            failures=10,
            error="TIMEOUT",
            message="late",
            told_at=now,
            disabled_at=now if disabled else None,
        )
        await self.catalog.create(made)


@pytest.fixture
async def desk(tmp_path):
    clock = ManualClock()
    async with opened(DataFolder(tmp_path / "data"), clock, Failpoints()) as found:
        yield Desk(found, clock)


async def test_they_are_listed_and_counted(desk):
    assert await desk.ask("GET", "/targets/failing") == (200, {"targets": []})
    await desk.fails(ACCOUNT)
    await desk.fails(OTHER, disabled=True)
    _, found = await desk.ask("GET", "/targets/failing")
    assert [(each["account"], each["disabled_at"] is None) for each in found["targets"]] == [
        (ACCOUNT, True),
        (OTHER, False),
    ]
    first = found["targets"][0]
    assert (first["target_arn"], first["error"], first["message"], first["failures"]) == (
        ARN,
        "TIMEOUT",
        "late",
        10,
    )
    _, found = await desk.ask("GET", "/targets/failing", account=OTHER)
    assert [each["account"] for each in found["targets"]] == [OTHER]
    _, status = await desk.ask("GET", "/status")
    assert (status["targets_failing"], status["targets_disabled"], status["targets_held"]) == (2, 1, 0)


async def test_only_what_was_disabled_is_enabled(desk):
    await desk.fails(ACCOUNT)
    await desk.fails(OTHER, disabled=True)
    for body in ({"arn": ARN, "account": ACCOUNT}, {"arn": "arn:aws:sqs:us-east-1:1:other"}):
        status, view = await desk.ask("POST", "/targets/enable", body)
        assert (status, view["error"]) == (404, f"{body['arn']} is not a target that was disabled")
    assert await desk.ask("POST", "/targets/enable", {"arn": ARN}) == (200, {"enabled": 1})
    _, found = await desk.ask("GET", "/targets/failing")
    assert [each["account"] for each in found["targets"]] == [ACCOUNT]
