"""A real server on a real socket, with a few small operations behind it."""

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.fernet import Fernet

from partnerbus.api.admin import AdminAnswer
from partnerbus.api.admin.viewer import Viewer
from partnerbus.api.errors import ApiError, not_found
from partnerbus.api.face import Face
from partnerbus.api.operation import Call, Input, Operation, Output, Services, operation
from partnerbus.api.throttling import Throttle
from partnerbus.edge.app import make_app
from partnerbus.edge.authenticate import AnyCalls, Authenticator, SignedCalls
from partnerbus.edge.connection import ConnectionLimits
from partnerbus.edge.server import Server
from partnerbus.edge.sigv4 import Verifier
from partnerbus.engine.accounts import KeyHolder
from partnerbus.engine.catalog import Catalog
from partnerbus.engine.connection_secrets import ConnectionSecrets
from partnerbus.engine.publish import Publisher
from partnerbus.kernel.clock import Clock, ManualClock
from partnerbus.kernel.errors import RevisionConflict, StoreOverloaded, StoreUnavailable
from partnerbus.kernel.failpoints import Failpoint, Failpoints
from partnerbus.kernel.secrets import SecretBox
from partnerbus.kernel.telemetry import Metrics, make_log
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.targets.registry import TargetSettings, make_targets

REGION = "eu-central-1"
ACCOUNT = "111122223333"
PARTNER_ACCOUNT = "999900001111"
DEFAULT_ACCOUNT = "000000000000"
KEY = Credentials("PBCUSTOMERKEY", "customer-secret")
PARTNER_KEY = Credentials("PBPARTNERKEY", "partner/secret+")
TOKEN = "operator-token"
ENTRIES_BYTES = 64 * 1024

HOLDERS = {
    KEY.access_key: KeyHolder(account=ACCOUNT, partner=None, secret=KEY.secret_key),
    PARTNER_KEY.access_key: KeyHolder(
        account=PARTNER_ACCOUNT, partner="acme.com", secret=PARTNER_KEY.secret_key
    ),
}


class Keys:
    """Two keys."""

    def __init__(self) -> None:
        self.holders = dict(HOLDERS)

    def holder(self, access_key: str) -> KeyHolder | None:
        return self.holders.get(access_key)


class Presigner(SigV4QueryAuth):
    """Presigns with a body, as other SDKs do; botocore alone would move the body into the query."""

    def __init__(self, body: bytes, *scope) -> None:
        super().__init__(*scope)
        self._body = body

    def payload(self, request: AWSRequest) -> str:
        return hashlib.sha256(self._body).hexdigest()


# -- small operations ------------------------------------------------------------------------------------


class Named(Input, frozen=True):
    name: str | None = None


class Caller(Output, frozen=True):
    """Who called, in members that DescribeEventBus has."""

    name: str
    arn: str
    description: str
    managed_by: str | None = None


async def describe(services: Services, call: Call, given: Named) -> Caller:
    return Caller(
        name=given.name or "default",
        arn=call.account,
        description=f"{call.region} {call.partner} {call.any_partner}",
    )


class Gate:
    """Lets a handler wait until the test says so."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.opened = asyncio.Event()

    async def pass_through(self, services: Services, call: Call, given: Named) -> None:
        self.entered.set()
        await self.opened.wait()


def failing(error: Exception) -> Operation:
    async def fail(services: Services, call: Call, given: Named) -> None:
        raise error

    return operation(Named, fail)


async def accept(services: Services, call: Call, given: Input) -> None:
    return None


class SmallAdmin:
    """Says what it was asked."""

    async def answer(
        self, viewer: Viewer, method: str, path: str, query: Mapping[str, str], body: bytes
    ) -> AdminAnswer:
        if path == "/broken":
            raise RuntimeError("hush")
        said = {"viewer": viewer, "method": method, "path": path, "query": query, "body": body.decode()}
        return AdminAnswer(200, msgspec.json.encode(said))


# -- the server ------------------------------------------------------------------------------------------


class World:
    """The parts that tests look at, and ways to call."""

    def __init__(self, services: Services, clock: ManualClock, gate: Gate, stream: io.TextIOWrapper) -> None:
        self.services = services
        self.clock = clock
        self.gate = gate
        self.keys = Keys()
        self.not_ready: str | None = None
        self.server: Server
        self._stream = stream

    def log(self) -> str:
        assert isinstance(self._stream.buffer, io.BytesIO)
        return self._stream.buffer.getvalue().decode()

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def signed(
        self,
        body: bytes = b"{}",
        *,
        operation: str = "DescribeEventBus",
        key: Credentials = KEY,
        region: str = REGION,
        service: str = "events",
        presigned: bool = False,
        signer: type[SigV4Auth] = SigV4Auth,
        query: str = "",
        **headers: str,
    ) -> "Sent":
        """A request as botocore signs it, now."""
        request = AWSRequest(
            method="POST",
            url=f"{self.url}/{query}",
            data=b"" if presigned else body,
            headers={
                "X-Amz-Target": f"AWSEvents.{operation}",
                "Content-Type": "application/x-amz-json-1.1",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )
        if presigned:
            Presigner(body, key, service, region).add_auth(request)
        else:
            signer(key, service, region).add_auth(request)
        prepared = request.prepare()
        found = {name: _text(value) for name, value in prepared.headers.items() if name != "host"}
        length = {"Host": self.host, "Content-Length": str(len(body))}
        return Sent("/" + prepared.url.split("/", 3)[3], found | length, body)

    async def ask(self, request: "Sent") -> "Reply":
        """Send a request as it stands and read the answer."""
        return await self.raw(request.wire())

    async def call(self, operation: str = "DescribeEventBus", body: bytes = b"{}") -> "Reply":
        return await self.ask(self.signed(body, operation=operation))

    async def raw(self, sent: bytes, *, close: bool = False) -> "Reply":
        async with self.connected() as (reader, writer):
            writer.write(sent)
            await writer.drain()
            if close:
                writer.write_eof()
            return await read_reply(reader)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except ConnectionError:
                pass


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class Sent(msgspec.Struct, frozen=True):
    """A request that a test may tamper with before it is sent."""

    target: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"

    def without(self, *names: str) -> "Sent":
        return Sent(self.target, {n: v for n, v in self.headers.items() if n not in names}, self.body)

    def having(self, **headers: str) -> "Sent":
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        return Sent(self.target, self.headers | changed, self.body)

    def to(self, target: str) -> "Sent":
        return Sent(target, self.headers, self.body)

    def wire(self, version: str = "1.1") -> bytes:
        lines = [
            f"{self.method} {self.target} HTTP/{version}",
            *(f"{n}: {v}" for n, v in self.headers.items()),
        ]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


class Reply(msgspec.Struct, frozen=True):
    """An answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        found: dict = json.loads(self.body)
        return found

    @property
    def error(self) -> tuple[int, str, str]:
        return self.status, self.json["__type"], self.json["message"]


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Reply(int(lines[0].split()[1]), headers, body)


@asynccontextmanager
async def open_world(
    folder: Path,
    *,
    auth: str = "sigv4",
    failpoints: Mapping[Failpoint, str] | None = None,
    limits: ConnectionLimits | None = None,
    all_bodies_bytes: int = 256 * 1024 * 1024,
    drain: timedelta = timedelta(seconds=10),
    skew: timedelta = timedelta(minutes=5),
    throttle: Callable[[Clock], Throttle] | None = None,
) -> AsyncIterator[World]:
    """A world with a server that runs."""
    clock = ManualClock(datetime.now(UTC))
    points = Failpoints(failpoints)
    store = await EmbeddedStore.open(folder, clock, points)
    catalog = Catalog(store, clock)
    await catalog.load()
    secrets = SecretBox(Fernet.generate_key())

    async def forward(invocation: object, bus: object) -> None:
        raise AssertionError("nothing is delivered here")

    targets = make_targets(TargetSettings(allow_private=True), catalog, secrets, clock, forward)
    services = Services(
        catalog=catalog, store=store, publisher=Publisher(store), targets=targets, clock=clock,
        secrets=secrets, connection_secrets=ConnectionSecrets(catalog, None, make_log("error")),
        failpoints=points, metrics=Metrics(),
    )  # fmt: skip
    stream = io.TextIOWrapper(io.BytesIO())
    world = World(services, clock, Gate(), stream)
    log = make_log("info", stream)
    face = Face(services, operations(world.gate), log=log)
    app = make_app(
        face=face, authenticator=authenticator(auth, world, skew), admin=SmallAdmin(), operator_token=TOKEN,
        ready=lambda: world.not_ready, clock=clock, failpoints=points, metrics=services.metrics, log=log,
        entries_bytes=ENTRIES_BYTES, all_bodies_bytes=all_bodies_bytes,
        throttle=throttle(clock) if throttle is not None else None,
    )  # fmt: skip
    try:
        async with Server(app, "127.0.0.1", 0, limits=limits, drain=drain) as world.server:
            yield world
            world.gate.opened.set()
    finally:
        await targets.close()
        await store.close()


def authenticator(auth: str, world: World, skew: timedelta) -> Authenticator:
    if auth == "none":
        return AnyCalls(DEFAULT_ACCOUNT, REGION)
    return SignedCalls(Verifier(world.keys, world.clock, skew), REGION)


def operations(gate: Gate) -> dict[str, Operation]:
    return {
        "DescribeEventBus": operation(Named, describe),
        "PutEvents": operation(Input, accept),
        "DeleteArchive": operation(Input, accept),
        "EnableRule": operation(Named, gate.pass_through),
        "DeleteRule": operation(Input, accept),
        "DescribeRule": failing(not_found("Rule a does not exist on EventBus default.")),
        "ListRules": failing(RuntimeError("hush")),
        "DisableRule": failing(RevisionConflict()),
        "CreateConnection": failing(RevisionConflict()),
        "ListEventBuses": failing(StoreOverloaded()),
        "ListReplays": failing(StoreUnavailable()),
        "ListArchives": failing(ApiError("AccessDeniedException", "No.", 403)),
    }


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that sockets bring about."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.005)
