"""The states of OAuth connections: what became of their exchanges, and the first exchange of each.

CreateConnection answers AUTHORIZING, and the token is asked for afterwards (recorded). An exchange that
succeeds makes a connection AUTHORIZED, whoever wanted it. One that fails makes it DEAUTHORIZED with a reason
(assumed) if it was the first, or if the authorization endpoint refused the client: an endpoint that is down
for a moment changes nothing.
"""

import asyncio

import msgspec

from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.kernel.telemetry import Log
from partnerbus.model.resources import AnyResource, AuthorizationType, Connection, ConnectionState
from partnerbus.targets.tokens import TokenFailure, Tokens

EXCHANGES = 16
"""How many first exchanges run at once; there may be thousands after a restart."""

LONGEST_REASON = 512
"""Of a state, in characters (the contract)."""


class _Exchanged(msgspec.Struct, frozen=True):
    connection: Connection
    failure: TokenFailure | None


class Authorizer:
    """Asks for the first token of each AUTHORIZING connection, and writes down how exchanges end."""

    def __init__(self, catalog: Catalog, tokens: Tokens, clock: Clock, log: Log) -> None:
        self._catalog = catalog
        self._tokens = tokens
        self._clock = clock
        self._log = log
        self._news: asyncio.Queue[Connection | _Exchanged] = asyncio.Queue()
        catalog.listen(self._changed)
        tokens.listen(self._exchanged)

    async def run(self) -> None:
        """Until cancelled. Finds first what a process that died has left AUTHORIZING."""
        room = asyncio.Semaphore(EXCHANGES)
        for found in self._catalog.list(Connection, "connection:"):
            self._changed(found.key, None, found)
        async with asyncio.TaskGroup() as exchanges:
            while True:
                news = await self._news.get()
                if isinstance(news, _Exchanged):
                    await self._write(news)
                else:
                    exchanges.create_task(self._ask(news, room))

    def _changed(self, _: str, before: AnyResource | None, after: AnyResource | None) -> None:
        if isinstance(before, Connection) and (
            not isinstance(after, Connection) or after.credentials != before.credentials
        ):
            self._tokens.forget(before.arn)
        if isinstance(after, Connection) and after.state is ConnectionState.AUTHORIZING:
            self._news.put_nowait(after)

    def _exchanged(self, connection: Connection, failure: TokenFailure | None) -> None:
        self._news.put_nowait(_Exchanged(connection, failure))

    async def _ask(self, connection: Connection, room: asyncio.Semaphore) -> None:
        """Ask for a token. What a token that is there already tells of, no exchange does."""
        async with room:
            found = await self._tokens.get(connection)
        self._exchanged(connection, found if isinstance(found, TokenFailure) else None)

    async def _write(self, news: _Exchanged) -> None:
        """Change the state, unless the connection has other credentials by now, or is in it already."""
        while (before := self._current(news.connection)) is not None:
            after = self._after(before, news.failure)
            if after is None:
                return
            try:
                await self._catalog.replace(before, after)
            except RevisionConflict:
                await asyncio.sleep(0)
                continue
            self._log.info(
                "connection", connection_arn=after.arn, state=after.state.value, reason=after.state_reason
            )
            return

    def _current(self, connection: Connection) -> Connection | None:
        found = self._catalog.connection_by_arn(connection.arn)
        if found is None or found.credentials != connection.credentials:
            return None
        return found if found.authorization is AuthorizationType.OAUTH_CLIENT_CREDENTIALS else None

    def _after(self, before: Connection, failure: TokenFailure | None) -> Connection | None:
        if failure is None:
            if before.state is ConnectionState.AUTHORIZED:
                return None
            return msgspec.structs.replace(
                before,
                state=ConnectionState.AUTHORIZED,
                state_reason=None,
                authorized_at=self._clock.now(),
            )
        reason = failure.message[:LONGEST_REASON]
        is_first = before.state is ConnectionState.AUTHORIZING
        if not (is_first or failure.is_refusal) or before.state_reason == reason:
            return None
        return msgspec.structs.replace(before, state=ConnectionState.DEAUTHORIZED, state_reason=reason)
