"""The data folder: who may read it, what lies in it, and how commands find the server that owns it.

    secret.key      the key that seals secrets (0600)
    operator.json   the running server's URL, operator token and process id (0600); gone when it stops
    the rest        the store's, with the lock that says whether anybody owns the folder

Only the lock says whether a server runs: `operator.json` stays behind after a `kill -9`.
"""

import os
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from partnerbus.engine.accounts import Accounts
from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.secrets import SecretBox
from partnerbus.node.open_store import OpensStore, open_embedded
from partnerbus.node.reset import finish_reset
from partnerbus.store.embedded.table_store import TableStore


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """How commands reach the server that owns the folder."""

    url: str
    token: str
    pid: int

    def __repr__(self) -> str:
        return f"Operator(url={self.url!r}, pid={self.pid})"


class DataFolder:
    """The paths of a data folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._operator = path / "operator.json"

    @property
    def bus_logs(self) -> Path:
        """Where buses write of their events."""
        return self.path / "bus-logs"

    @property
    def traces(self) -> Path:
        """What was recorded of exchanges with targets."""
        return self.path / "traces"

    @property
    def lines(self) -> Sequence[Path]:
        """The folders of lines, which are bounded and best effort."""
        return (self.bus_logs, self.traces)

    @property
    def exists(self) -> bool:
        return self.path.is_dir()

    def secret_box(self) -> SecretBox:
        try:
            return SecretBox.from_file(self.path / "secret.key")
        except OSError as error:
            raise ConfigurationError(
                f"the data folder {self.path} cannot be used: {error.strerror}"
            ) from None
        except ValueError:
            raise ConfigurationError(f"{self.path / 'secret.key'} is not a key file") from None

    def read_operator(self) -> Operator | None:
        """What the last server to start wrote; None if it stopped in order."""
        try:
            return msgspec.json.decode(self._operator.read_bytes(), type=Operator)
        except (OSError, msgspec.MsgspecError):
            return None

    def write_operator(self, operator: Operator) -> None:
        """Put it there at once, so that nobody reads a half."""
        draft = self._operator.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(operator))
        draft.replace(self._operator)

    def forget_operator(self) -> None:
        self._operator.unlink(missing_ok=True)


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """An opened data folder: what a server and a command without a server both work with."""

    folder: DataFolder
    store: TableStore
    catalog: Catalog
    secrets: SecretBox
    accounts: Accounts


@asynccontextmanager
async def opened(
    folder: DataFolder, clock: Clock, failpoints: Failpoints, open_store: OpensStore = open_embedded
) -> AsyncIterator[Opened]:
    """Own the folder for the length of the block. Raises `StoreLocked` if another process does."""
    store = await open_store(folder.path, clock, failpoints, lambda: folder.secret_box().fingerprint)
    try:
        await finish_reset(store, folder.lines)
        yield await read(folder, store, folder.secret_box(), clock)
    finally:
        await store.close()


async def read(folder: DataFolder, store: TableStore, secrets: SecretBox, clock: Clock) -> Opened:
    """What an open store holds."""
    catalog = Catalog(store, clock)
    accounts = Accounts(catalog, secrets, clock)
    await catalog.load()
    accounts.check()
    return Opened(folder=folder, store=store, catalog=catalog, secrets=secrets, accounts=accounts)


def draw_token() -> str:
    """A new operator token."""
    return secrets.token_urlsafe(32)
