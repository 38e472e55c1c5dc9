"""The copies of connections' secrets in Secrets Manager: made, changed and deleted with their connections.

What deliveries use is sealed in this node's registry, and a copy never stands in their way. So a change of a
connection is stored first, and its copy brought up to date behind it: at once by whoever made the change,
and if that fails by a sweep, until it works. `Connection.copied` says which version of the secret lies there:
None while nothing was ever sent, an empty text while nobody knows.

A connection whose copy is not deleted yet is DELETING, without a secret of its own, and its name is taken
until then. Left behind there, and said so in the log, is only what Secrets Manager refuses to delete for
good, and what cannot be deleted at once and was perhaps never made: a name is not blocked for that.
"""

import asyncio
from datetime import timedelta
from weakref import WeakValueDictionary

import msgspec

from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.kernel.telemetry import Log
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.resources import AnyResource, Connection, ConnectionState
from partnerbus.targets.secrets_manager import SecretsManager, secret_version

SWEEP_EVERY = timedelta(seconds=30)

NOBODY_THERE = frozenset({ErrorCode.CONNECTION_FAILURE, ErrorCode.TIMEOUT})
"""What says that Secrets Manager cannot be reached at all."""

NOT_DELETED = "The secret could not be deleted from Secrets Manager yet; it is tried again."
"""Why a connection is DELETING for long (text ours)."""


class ConnectionSecrets:
    """Brings the copies up to date. Without a Secrets Manager there are none."""

    def __init__(self, catalog: Catalog, manager: SecretsManager | None, log: Log) -> None:
        self._catalog = catalog
        self._manager = manager
        self._log = log
        self._behind: set[str] = set()
        self._told: dict[str, str] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        for found in catalog.list(Connection, "connection:"):
            self._changed(found.key, None, found)
        catalog.listen(self._changed)

    def _changed(self, key: str, _: AnyResource | None, after: AnyResource | None) -> None:
        if isinstance(after, Connection) and self._is_behind(after):
            self._behind.add(key)
        else:
            self._behind.discard(key)
            self._told.pop(key, None)

    def _is_behind(self, connection: Connection) -> bool:
        if connection.state is ConnectionState.DELETING:
            return True
        return self._manager is not None and connection.copied != secret_version(connection)

    @property
    def behind(self) -> int:
        """How many connections have a copy that is not as it should be."""
        return len(self._behind)

    def may_be_copied(self, connection: Connection) -> bool:
        """Whether a copy must be deleted with the connection."""
        return self._manager is not None and connection.copied is not None

    async def sweep(self) -> None:
        """Bring everything up to date that is behind; if nobody is there, the rest would be in vain too."""
        for key in sorted(self._behind):
            failure = await self.follow(key)
            if failure is not None and failure.error in NOBODY_THERE:
                break

    async def follow(self, key: str) -> Reply | None:
        """Let the copy follow the connection at `key`, if it is behind; None if it has.

        What does not work now is left to the sweep.
        """
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            while (found := self._catalog.get(Connection, key)) is not None and key in self._behind:
                try:
                    failure = await self._step(found)
                except RevisionConflict:
                    continue  # it was changed meanwhile: look again
                if failure is not None:
                    return failure
        return None

    async def _step(self, connection: Connection) -> Reply | None:
        if connection.state is ConnectionState.DELETING:
            return await self._delete(connection)
        return await self._copy(connection, self._manager) if self._manager is not None else None

    async def _copy(self, connection: Connection, manager: SecretsManager) -> Reply | None:
        """Copy the secret and note which."""
        if connection.copied is None:  # from here on there may be something to delete
            connection = await self._change(connection, copied="")
        kept = await manager.keep(connection)
        if isinstance(kept, Reply):
            self._tell("not copied", connection, kept)
            return kept
        await self._change(
            connection,
            copied=secret_version(connection),
            secret_suffix=_suffix(kept) or connection.secret_suffix,
        )
        return None

    async def _delete(self, connection: Connection) -> Reply | None:
        """Delete the copy, then the connection, unless it has to wait for the copy."""
        manager = self._manager if connection.copied is not None else None
        left = await manager.forget(connection) if manager is not None else None
        if left is not None:
            self._tell("not deleted", connection, left)
            if left.retryable and connection.copied:
                if connection.state_reason is None:
                    await self._change(connection, state_reason=NOT_DELETED)
                return left
        await self._catalog.remove(connection)
        return None

    async def _change(self, connection: Connection, **changes: object) -> Connection:
        changed = msgspec.structs.replace(connection, **changes)
        await self._catalog.replace(connection, changed)
        return changed

    def _tell(self, what: str, connection: Connection, reply: Reply) -> None:
        """Say what went wrong, once until something else does."""
        told = f"{what}: {reply.message}"
        if self._told.get(connection.key) == told:
            return
        self._told[connection.key] = told
        self._log.warning(
            f"connection secret {what}",
            connection_arn=connection.arn,
            error=reply.error,
            message=reply.message,
            status=reply.status,
        )


def _suffix(arn: str) -> str | None:
    """What follows the connection's name in the ARN that Secrets Manager gave the secret."""
    before, _, suffix = arn.rpartition("/")
    return suffix if ":secret:events!connection/" in before and "-" in suffix else None
