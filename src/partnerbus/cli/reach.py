"""How a command reaches the admin face: through the server that owns the folder, or by owning it itself.

The store's lock decides. If it can be had, no server runs, whatever an `operator.json` says that a killed
one left behind, and the command answers itself. If not, the owner is a server (or one that is starting or
stopping, or another command), so both ways are tried until one works.
"""

import asyncio
import http.client
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from urllib.parse import quote, urlencode, urlsplit

from partnerbus.api.admin import Admin, AdminAnswer
from partnerbus.api.admin.face import AdminFace
from partnerbus.api.admin.request import AdminServices
from partnerbus.api.admin.viewer import OPERATOR, Viewer
from partnerbus.kernel.clock import SystemClock
from partnerbus.kernel.errors import ConfigurationError, PartnerbusError, StoreLocked
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.telemetry import make_log
from partnerbus.node.folder import DataFolder, Operator, opened
from partnerbus.node.open_store import OpensStore, store_opener
from partnerbus.node.settings import LogLevel, Settings
from partnerbus.store.line_files import LineReader
from partnerbus.targets.addresses import AddressGuard

PATIENCE = timedelta(seconds=10)
"""How long a server may take to start or stop before a command gives up."""

PAUSE = timedelta(milliseconds=100)
ANSWER_SECONDS = 60.0


class NoServer(PartnerbusError):
    """No server runs on the folder; start one with `partnerbus serve`."""


class Unreachable(PartnerbusError):
    """The folder is in use, but the server that uses it does not answer."""


@asynccontextmanager
async def reach(settings: Settings, *, may_make: bool = False) -> AsyncIterator[Admin]:
    """The admin face of the node with `settings`; its folder must exist unless it `may_make` it."""
    folder = DataFolder(settings.data)
    if not folder.exists and not may_make:
        raise ConfigurationError(f"there is no data folder {folder.path}; name it with --data")
    clock = SystemClock()
    open_store = store_opener(settings, make_log(LogLevel.ERROR))
    until = clock.now() + PATIENCE
    async with AsyncExitStack() as stack:
        while (admin := await _own(folder, clock, open_store, stack) or await _remote(folder)) is None:
            if clock.now() >= until:
                raise Unreachable
            await clock.sleep(PAUSE)
        yield admin


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[Admin]:
    """The admin face of the server that runs with `settings`. Raises `NoServer` if none does."""
    admin = await _remote(DataFolder(settings.data))
    if admin is None:
        raise NoServer
    yield admin


async def _own(
    folder: DataFolder, clock: SystemClock, open_store: OpensStore, stack: AsyncExitStack
) -> Admin | None:
    try:
        found = await stack.enter_async_context(opened(folder, clock, Failpoints(), open_store))
    except StoreLocked:
        return None
    return AdminFace(
        AdminServices(
            accounts=found.accounts,
            catalog=found.catalog,
            store=found.store,
            clock=clock,
            secrets=found.secrets,
            redrive=found.store.redrive,
            url_refusal=_malformed,
            bus_logs=LineReader(folder.bus_logs),
            traces=LineReader(folder.traces),
        )
    )


async def _malformed(url: str) -> str | None:
    """What is wrong with a URL wherever it leads; where it may lead is for the server to say."""
    return AddressGuard(allow_private=True).url_refusal(url)


async def _remote(folder: DataFolder) -> Admin | None:
    operator = folder.read_operator()
    if operator is None:
        return None
    admin = RemoteAdmin(operator)
    try:
        answer = await admin.answer(OPERATOR, "GET", "/clock", {}, b"")
    except OSError:
        return None
    return admin if answer.status == 200 else None


class RemoteAdmin:
    """The admin face of a running server, over HTTP, as its operator."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    async def answer(
        self, viewer: Viewer, method: str, path: str, query: Mapping[str, str], body: bytes
    ) -> AdminAnswer:
        """Ask the server. Raises `OSError` if it cannot be reached."""
        assert viewer.is_operator, "the token is the operator's"
        return await asyncio.to_thread(self._ask, method, path, query, body)

    def _ask(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> AdminAnswer:
        where = urlsplit(self._operator.url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=ANSWER_SECONDS)
        target = f"/_partnerbus{quote(path)}" + (f"?{urlencode(query)}" if query else "")
        headers = {
            "Authorization": f"Bearer {self._operator.token}",
            "Content-Type": "application/json",
        }
        try:
            connection.request(method, target, body=body, headers=headers)
            answer = connection.getresponse()
            return AdminAnswer(answer.status, answer.read())
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from None
        finally:
            connection.close()
