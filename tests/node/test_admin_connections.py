"""Client certificates over the admin face: which connection, and what is refused."""

import msgspec
import pytest

from partnerbus.api.admin.viewer import OPERATOR
from partnerbus.kernel.clock import SystemClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.model.resources import AuthorizationType, Connection, ConnectionState
from partnerbus.node.folder import DataFolder, opened
from tests.certificates import Authority
from tests.node.faces import admin_face

ACCOUNT, OTHER, REGION = "111122223333", "444455556666", "us-east-1"
PATH = "/connections/hook/certificate"


class Desk:
    """The admin face, and connections for it."""

    def __init__(self, found, clock):
        self.catalog, self.secrets, self.clock = found.catalog, found.secrets, clock
        self.face = admin_face(found, clock)

    async def ask(self, method, body=None, **query):
        answer = await self.face.answer(OPERATOR, method, PATH, query, msgspec.json.encode(body or {}))
        return answer.status, msgspec.json.decode(answer.body)

    async def connection(self, account=ACCOUNT):
        now = self.clock.now()
        made = Connection(
            account=account,
            region=REGION,
            name="hook",
            uuid="u",
            secret_suffix="s",
            authorization=AuthorizationType.API_KEY,
            user="X-Key",
            sealed_secret=self.secrets.seal("secret"),
            state=ConnectionState.AUTHORIZED,
            created_at=now,
            modified_at=now,
        )
        await self.catalog.create(made)
        return made.arn


@pytest.fixture
async def desk(tmp_path):
    clock = SystemClock()
    async with opened(DataFolder(tmp_path / "data"), clock, Failpoints()) as found:
        yield Desk(found, clock)


@pytest.fixture
def given(tmp_path):
    certificate, key = Authority(tmp_path).issue("client")
    return {"certificate": certificate, "private_key": key}


async def test_it_is_set_shown_and_deleted(desk, given):
    arn = await desk.connection()
    none = {"connection": arn, "subject": None, "issuer": None, "not_before": None, "not_after": None}
    assert await desk.ask("GET") == (200, none)
    status, view = await desk.ask("PUT", given)
    assert (status, view["connection"], view["subject"]) == (200, arn, "CN=client")
    assert await desk.ask("GET") == (200, view)
    stored = desk.catalog.connection_by_arn(arn)
    assert "PRIVATE KEY" not in repr(stored)
    assert desk.secrets.open(stored.certificate.sealed_key) == given["private_key"]
    assert await desk.ask("DELETE") == (200, none)
    assert desk.catalog.connection_by_arn(arn).certificate is None


async def test_which_connection_must_be_clear(desk, given):
    status, view = await desk.ask("PUT", given)
    assert (status, view["error"]) == (404, "there is no connection hook")
    await desk.connection()
    theirs = await desk.connection(OTHER)
    status, view = await desk.ask("PUT", given)
    assert (status, view["error"]) == (400, "there are 2 connections hook; say whose, and in which region")
    assert (await desk.ask("PUT", given | {"account": OTHER, "region": REGION}))[1]["connection"] == theirs
    assert (await desk.ask("GET", account=OTHER))[1]["subject"] == "CN=client"
    assert (await desk.ask("GET", account=ACCOUNT))[1]["subject"] is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"certificate": "x"}, "The certificate is not one in PEM."),
        ({"private_key": "x"}, "The key is not a private key in PEM."),
        ({"certificate": 5}, "the body cannot be used"),
        ({"colour": "red"}, "the body cannot be used"),
    ],
)
async def test_a_refusal_is_a_sentence_and_changes_nothing(desk, given, change, sentence):
    arn = await desk.connection()
    status, view = await desk.ask("PUT", given | change)
    assert status == 400
    assert view["error"].startswith(sentence)
    assert desk.catalog.connection_by_arn(arn).certificate is None
