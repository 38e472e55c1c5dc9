"""What becomes of OAuth connections: their first exchange, and what later ones change."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from cryptography.fernet import Fernet

from partnerbus.engine.catalog import Catalog
from partnerbus.engine.connections import Authorizer
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.secrets import SecretBox
from partnerbus.kernel.telemetry import make_log
from partnerbus.model.resources import (
    AnyResource,
    AuthorizationType,
    Connection,
    ConnectionState,
    OAuthExchange,
)
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.targets.addresses import AddressGuard
from partnerbus.targets.outbound import CALL_TIMEOUT
from partnerbus.targets.outbound_client import HttpOutbound
from partnerbus.targets.tokens import TokenFailure, Tokens
from partnerbus.testing.receiver import Hang, Receiver, Respond

BOX = SecretBox(Fernet.generate_key())
GRANT = Respond(body=b'{"access_token": "token-1", "expires_in": 3600}')
AUTHORIZING, AUTHORIZED, DEAUTHORIZED = (
    ConnectionState.AUTHORIZING,
    ConnectionState.AUTHORIZED,
    ConnectionState.DEAUTHORIZED,
)


class Desk:
    """A registry that is followed by an authorizer, and an authorization endpoint."""

    def __init__(self, catalog: Catalog, tokens: Tokens, clock: ManualClock, receiver: Receiver) -> None:
        self.catalog = catalog
        self.tokens = tokens
        self.clock = clock
        self.receiver = receiver
        self.changed = asyncio.Condition()
        catalog.listen(self._changed)
        self._telling: set[asyncio.Task[None]] = set()

    def _changed(self, key: str, before: AnyResource | None, after: AnyResource | None) -> None:
        async def tell() -> None:
            async with self.changed:
                self.changed.notify_all()

        task = asyncio.create_task(tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def connection(self, name: str, state: ConnectionState = AUTHORIZING) -> Connection:
        now = self.clock.now()
        return Connection(
            account="111122223333",
            region="us-east-1",
            name=name,
            uuid=f"uuid-of-{name}",
            secret_suffix="s",
            authorization=AuthorizationType.OAUTH_CLIENT_CREDENTIALS,
            user="client",
            sealed_secret=BOX.seal("secret"),
            state=state,
            created_at=now,
            modified_at=now,
            oauth=OAuthExchange(url=f"{self.receiver.url}/{name}", method="POST"),
        )

    async def until(self, connection: Connection, state: ConnectionState) -> Connection:
        def found() -> Connection | None:
            return self.catalog.connection_by_arn(connection.arn)

        async with self.changed:
            await self.changed.wait_for(lambda: (now := found()) is not None and now.state is state)
        last = found()
        assert last is not None
        return last


@asynccontextmanager
async def opened(folder: Path, *, is_running: bool = True) -> AsyncIterator[Desk]:
    clock = ManualClock()
    store = await EmbeddedStore.open(folder, clock, Failpoints())
    catalog = Catalog(store, clock)
    await catalog.load()
    outbound = HttpOutbound(clock, AddressGuard(allow_private=True))
    tokens = Tokens(BOX, outbound, clock)
    async with Receiver() as receiver:
        desk = Desk(catalog, tokens, clock, receiver)
        authorizer = Authorizer(catalog, tokens, clock, make_log("error"))
        running = [asyncio.create_task(authorizer.run())] if is_running else []
        yield desk
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await tokens.close()
        await outbound.close()
    await store.close()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(tmp_path) as desk:
        yield desk


async def test_a_new_connection_is_authorized(desk: Desk):
    desk.receiver.script("/c", GRANT)
    connection = desk.connection("c")
    await desk.catalog.create(connection)
    found = await desk.until(connection, AUTHORIZED)
    assert (found.authorized_at, found.state_reason) == (desk.clock.now(), None)
    assert await desk.tokens.get(found) == "token-1"
    assert len(desk.receiver.requests) == 1


async def test_a_first_exchange_that_fails_says_why(desk: Desk):
    desk.receiver.script("/c", Respond(status=500))
    connection = desk.connection("c")
    await desk.catalog.create(connection)
    found = await desk.until(connection, DEAUTHORIZED)
    assert found.state_reason == "No token: the authorization endpoint answered with HTTP status 500."
    assert found.authorized_at is None


async def test_one_endpoint_that_hangs_holds_up_no_other(desk: Desk):
    desk.receiver.script("/slow", Hang())
    desk.receiver.script("/quick", GRANT)
    slow, quick = desk.connection("slow"), desk.connection("quick")
    await desk.catalog.create(slow)
    await desk.receiver.received(1, "/slow")
    await desk.catalog.create(quick)
    await desk.until(quick, AUTHORIZED)
    await desk.clock.advance(CALL_TIMEOUT)
    found = await desk.until(slow, DEAUTHORIZED)
    assert found.state_reason == "No token: 127.0.0.1 did not answer in time."


async def test_a_connection_comes_back_with_the_first_token_anybody_gets(desk: Desk):
    desk.receiver.script("/c", Respond(status=401), GRANT)
    connection = desk.connection("c")
    await desk.catalog.create(connection)
    found = await desk.until(connection, DEAUTHORIZED)
    assert await desk.tokens.get(found) == "token-1"
    assert (await desk.until(connection, AUTHORIZED)).state_reason is None


async def test_a_refused_client_is_deauthorized_an_endpoint_that_is_down_is_not(desk: Desk):
    desk.receiver.script("/down", Respond(status=503))
    desk.receiver.script("/refusing", Respond(status=400, body=b'{"error": "invalid_client"}'))
    down, refusing = (desk.connection(name, AUTHORIZED) for name in ("down", "refusing"))
    for connection in (down, refusing):
        await desk.catalog.create(connection)
        assert isinstance(await desk.tokens.get(connection), TokenFailure)
    found = await desk.until(refusing, DEAUTHORIZED)
    assert found.state_reason is not None
    assert found.state_reason.endswith("400 (invalid_client).")
    assert desk.catalog.connection_by_arn(down.arn) == down


async def test_what_became_of_old_credentials_changes_nothing(desk: Desk):
    desk.receiver.script("/c", Hang(), GRANT)
    old = desk.connection("c")
    await desk.catalog.create(old)
    await desk.receiver.received(1)
    await desk.catalog.replace(old, msgspec.structs.replace(old, sealed_secret=BOX.seal("newer")))
    found = await desk.until(old, AUTHORIZED)
    await desk.clock.advance(CALL_TIMEOUT)  # the old exchange ends
    other = desk.connection("other")
    await desk.catalog.create(other)
    await desk.until(other, DEAUTHORIZED)  # what came after it was written
    assert desk.catalog.connection_by_arn(old.arn) == found


async def test_what_a_dead_process_has_left_is_taken_up(tmp_path: Path):
    async with opened(tmp_path, is_running=False) as desk:
        desk.receiver.script("/c", GRANT)
        connection = desk.connection("c")
        await desk.catalog.create(connection)
        assert desk.receiver.requests == []
        running = asyncio.create_task(
            Authorizer(desk.catalog, desk.tokens, desk.clock, make_log("error")).run()
        )
        await desk.until(connection, AUTHORIZED)
        running.cancel()
        await asyncio.wait([running])


async def test_a_connection_that_is_gone_leaves_no_token(desk: Desk):
    desk.receiver.script("/c", GRANT, Respond(status=401))
    connection = desk.connection("c", AUTHORIZED)
    await desk.catalog.create(connection)
    assert await desk.tokens.get(connection) == "token-1"
    await desk.catalog.remove(connection)
    assert isinstance(await desk.tokens.get(connection), TokenFailure)
