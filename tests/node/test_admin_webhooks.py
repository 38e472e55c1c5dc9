"""Webhooks over the admin face: whose they are, how secrets come and go, what is refused."""

from datetime import timedelta

import msgspec
import pytest

from partnerbus.api.admin.viewer import OPERATOR
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.node.folder import DataFolder, opened
from tests.node.faces import admin_face

ACCOUNT, OTHER, REGION = "111122223333", "444455556666", "us-east-1"
ARN = f"arn:partnerbus:webhook:{REGION}:{ACCOUNT}:orders"
URL = "https://example.com/hook"


class Desk:
    """The admin face of a folder with an account."""

    def __init__(self, found, clock):
        self.catalog, self.secrets, self.accounts, self.clock = (
            found.catalog,
            found.secrets,
            found.accounts,
            clock,
        )
        self.face = admin_face(found, clock)

    async def ask(self, method, path, body=None, **query):
        answer = await self.face.answer(
            OPERATOR, method, f"/webhooks{path}", query, msgspec.json.encode(body or {})
        )
        return answer.status, msgspec.json.decode(answer.body)

    async def create(self, **members):
        return await self.ask("POST", "", {"name": "orders", "url": URL, "region": REGION} | members)

    def stored(self, arn=ARN):
        return [self.secrets.open(each.sealed) for each in self.catalog.webhook_by_arn(arn).secrets]


@pytest.fixture
async def desk(tmp_path):
    clock = ManualClock()
    async with opened(DataFolder(tmp_path / "data"), clock, Failpoints()) as found:
        await found.accounts.create(ACCOUNT)
        await found.accounts.create("999900001111", "acme.com")
        yield Desk(found, clock)


async def test_its_secret_is_shown_once(desk):
    status, made = await desk.create()
    assert (status, made["arn"], made["url"]) == (200, ARN, URL)
    assert [made["secret"]] == desk.stored()
    assert made["secret"] not in repr(desk.catalog.webhook_by_arn(ARN))
    status, shown = await desk.ask("GET", "/orders")
    assert (status, shown["arn"], [each["signs_until"] for each in shown["secrets"]]) == (200, ARN, [None])
    assert (await desk.ask("GET", "")) == (200, {"webhooks": [shown]})
    assert "whsec" not in str(shown)


async def test_rotated_secrets_sign_until_their_time(desk):
    _, first = await desk.create()
    _, second = await desk.ask("POST", "/orders/rotate", {"keep_seconds": 60})
    assert desk.stored() == [second["secret"], first["secret"]]
    _, third = await desk.ask("POST", "/orders/rotate")
    ends = [each.expires_at for each in desk.catalog.webhook_by_arn(ARN).secrets]
    now = desk.clock.now()
    assert ends == [None, now + timedelta(days=1), now + timedelta(seconds=60)]
    await desk.clock.advance(timedelta(seconds=60))
    assert len((await desk.ask("GET", "/orders"))[1]["secrets"]) == 2
    _, fourth = await desk.ask("POST", "/orders/rotate", {"keep_seconds": 0})
    assert [each.is_valid(desk.clock.now()) for each in desk.catalog.webhook_by_arn(ARN).secrets] == [True]
    assert desk.stored() == [fourth["secret"]]
    assert len({each["secret"] for each in (first, second, third, fourth)}) == 4


async def test_secrets_do_not_pile_up(desk):
    await desk.create()
    statuses = [(await desk.ask("POST", "/orders/rotate"))[0] for _ in range(5)]
    assert statuses == [200, 200, 200, 200, 400]
    assert (await desk.ask("POST", "/orders/rotate", {"keep_seconds": 0}))[0] == 200


async def test_deleting(desk):
    await desk.create()
    assert await desk.ask("DELETE", "/orders") == (200, {"deleted": ARN})
    assert desk.catalog.webhook_by_arn(ARN) is None
    assert (await desk.ask("DELETE", "/orders"))[0] == 404


async def test_an_account_keeps_its_webhooks(desk):
    await desk.create()
    answer = await desk.face.answer(OPERATOR, "DELETE", f"/accounts/{ACCOUNT}", {}, b"")
    assert answer.status == 400
    assert b"the webhook orders" in answer.body


async def test_which_webhook_must_be_clear(desk):
    await desk.create()
    await desk.create(region="eu-west-1")
    for method, path in (("GET", "/orders"), ("POST", "/orders/rotate"), ("DELETE", "/orders")):
        status, view = await desk.ask(method, path)
        sentence = "there are 2 webhooks orders; say whose, and in which region"
        assert (status, view["error"]) == (400, sentence)
    assert (await desk.ask("GET", "/orders", region=REGION))[1]["arn"] == ARN
    await desk.accounts.create(OTHER)
    assert (await desk.create(name="other"))[0] == 400  # whose is not clear any more
    assert (await desk.create(account=OTHER))[0] == 200
    assert len((await desk.ask("GET", "", account=ACCOUNT))[1]["webhooks"]) == 2


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"name": "a/b"}, 400, "a webhook's name is up to 64"),
        ({"name": ""}, 400, "a webhook's name is up to 64"),
        ({"url": "https://example.com/" + "x" * 2_048}, 400, "the URL is longer than 2048"),
        ({"region": "us:east-1"}, 400, "'us:east-1' is no region"),
        ({"region": None}, 400, "no server runs on this folder"),
        ({"account": "000000000000"}, 404, "there is no account"),
        ({"account": 5}, 400, "the body cannot be used"),
        ({"colour": "red"}, 400, "the body cannot be used"),
    ],
)
async def test_a_refusal_is_a_sentence_and_changes_nothing(desk, change, status, sentence):
    answer = await desk.create(**change)
    assert answer[0] == status
    assert answer[1]["error"].startswith(sentence)
    assert (await desk.ask("GET", ""))[1] == {"webhooks": []}


async def test_what_is_there_is_not_made_again(desk):
    await desk.create()
    before = desk.stored()
    assert (await desk.create(url="https://example.org/"))[0] == 409
    assert desk.stored() == before
