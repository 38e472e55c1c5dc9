"""What a route of the admin face gets and gives."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from partnerbus.api.admin.viewer import Viewer
from partnerbus.engine.accounts import Accounts
from partnerbus.engine.catalog import Catalog
from partnerbus.engine.tallies import Tallies
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import PartnerbusError
from partnerbus.kernel.secrets import SecretBox
from partnerbus.model.delivery import Redrive
from partnerbus.store.line_files import Lines
from partnerbus.store.protocol import Store


class AdminRefused(PartnerbusError):
    """The request cannot be answered; `status` is HTTP's."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ErrorBody(msgspec.Struct, frozen=True):
    """What is answered to whoever cannot be answered: a sentence."""

    error: str


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """The server, if one runs: where it listens and since when."""

    url: str
    pid: int
    started_at: datetime
    auth: str
    region: str


Redriver = Callable[[Sequence[tuple[str, int]], Redrive], Awaitable[int]]
"""Redrives dead letters by (subscription, position); gives how many were dead."""


class AdminServices(msgspec.Struct, frozen=True, kw_only=True):
    """What the routes work with.

    `running` and `tallies` give None when a command has opened the folder itself; `shift` is None then, and
    without a test clock. `held` gives the targets that circuit breakers hold, by ARN, and until when.
    `redrive` is the engine's, which wakes the lanes, or the store's own. `url_refusal` says why nothing may
    be sent to a URL; only a server knows which addresses it may reach, without one it judges the form alone.
    `bus_logs` has what buses wrote of their events, `traces` what was recorded of exchanges with targets.
    `leaving` is set once the node is about to stop, so that nobody waits any more. `reset` forgets
    everything, and these services with it; None where that is not allowed.
    """

    accounts: Accounts
    catalog: Catalog
    store: Store
    clock: Clock
    secrets: SecretBox
    redrive: Redriver
    url_refusal: Callable[[str], Awaitable[str | None]]
    bus_logs: Lines
    traces: Lines
    running: Callable[[], Running | None] = lambda: None
    tallies: Callable[[], Tallies | None] = lambda: None
    held: Callable[[], Mapping[str, datetime]] = dict
    leaving: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    shift: Callable[[timedelta], None] | None = None
    reset: Callable[[], Awaitable[None]] | None = None


B = TypeVar("B", bound=msgspec.Struct)


class Request(msgspec.Struct, frozen=True):
    """A request that a route matched: what stood in the path, the query, and the body."""

    route: "AnyRoute"
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes

    def body_as(self, kind: type[B]) -> B:
        """The body as the `kind` that the route declares; an `AdminRefused` says what is wrong with it."""
        assert kind is self.route.body, f"{self.route.path} declares another body"
        try:
            return msgspec.json.decode(self.body or b"{}", type=kind)
        except UnicodeDecodeError:
            raise AdminRefused("the body cannot be used: it is not valid UTF-8") from None
        except msgspec.MsgspecError as error:
            raise AdminRefused(f"the body cannot be used: {error}") from None

    def query_as(self, kind: type[B]) -> B:
        """The query as the `kind` that the route declares; an `AdminRefused` says what is wrong with it."""
        assert kind is self.route.query, f"{self.route.path} declares another query"
        try:
            return msgspec.convert(dict(self.query), kind, strict=False)
        except msgspec.ValidationError as error:
            raise AdminRefused(f"the query cannot be used: {error}") from None


Handler = Callable[[AdminServices, Request], Awaitable[msgspec.Struct]]


class AnyRoute(msgspec.Struct, frozen=True):
    """A method and a path, in which `{name}` stands for one segment; the query and the body that are read.

    What it answers is said by its handler's annotation. One that only `asks` changes nothing, whatever its
    method.
    """

    method: str
    path: str
    handler: Callable[..., Awaitable[msgspec.Struct]]
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    asks: bool = False

    @property
    def changes(self) -> bool:
        return self.method != "GET" and not self.asks

    async def run(self, services: AdminServices, viewer: Viewer, request: Request) -> msgspec.Struct:
        """The answer that `viewer` gets; an `AdminRefused` if it is not for such."""
        raise NotImplementedError

    def match(self, path: str) -> dict[str, str] | None:
        """What stands for the names in `path`; None if it is not this route's."""
        wanted, found = self.path.split("/"), path.rstrip("/").split("/")
        if len(wanted) != len(found):
            return None
        named: dict[str, str] = {}
        for want, have in zip(wanted, found, strict=True):
            if want.startswith("{") and have:
                named[want[1:-1]] = have
            elif want != have:
                return None
        return named


class Route(AnyRoute, frozen=True):
    """A route that is the operator's alone."""

    handler: Handler

    async def run(self, services: AdminServices, viewer: Viewer, request: Request) -> msgspec.Struct:
        if not viewer.is_operator:
            raise AdminRefused("only the operator may do this; send the operator's token", 403)
        return await self.handler(services, request)
