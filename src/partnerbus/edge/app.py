"""The ASGI application: which path leads where. No framework; a request costs what it does."""

import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from partnerbus.api.admin import Admin
from partnerbus.api.face import AnyFace
from partnerbus.api.throttling import Throttle
from partnerbus.edge.admin_door import AdminDoor, is_admin
from partnerbus.edge.answers import JSON, DateHeader, Header, Send, error_body, send_answer
from partnerbus.edge.authenticate import Authenticator
from partnerbus.edge.aws_json import AwsJson, body_limit
from partnerbus.edge.body import ALL_BODIES_BYTES, BodyReader, Disconnected, Receive
from partnerbus.edge.head import RequestHead
from partnerbus.edge.probes import Probes, Ready
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.telemetry import Log, Metrics

Scope = MutableMapping[str, Any]
CHALLENGE: Header = (b"www-authenticate", b"Bearer")
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

CONSOLE = "/console"

NOTHING_HERE = error_body(
    "There is nothing here. This is a partnerbus: AWS SDKs find its API at POST / when their endpoint_url "
    "is this server."
)


def make_app(
    *,
    face: AnyFace,
    authenticator: Authenticator,
    admin: Admin,
    operator_token: str,
    ready: Ready,
    clock: Clock,
    failpoints: Failpoints,
    metrics: Metrics,
    log: Log,
    throttle: Throttle | None = None,
    console: Application | None = None,
    entries_bytes: int = 1_048_576,
    all_bodies_bytes: int = ALL_BODIES_BYTES,
) -> Application:
    """The application of a node.

    `entries_bytes` is the limit on a call's entries, from which the limit on bodies follows;
    `all_bodies_bytes` limits the bodies of all requests under way together, beyond it callers are told to
    slow down; `throttle` keeps accounts to their rates; `console` answers all below `/console`. `ready` says
    why the node cannot take requests, None if it can.
    """
    bodies = BodyReader(all_bodies_bytes)
    date = DateHeader(clock)
    aws_json = AwsJson(
        face,
        authenticator,
        bodies=bodies,
        largest_body=body_limit(entries_bytes),
        date=date,
        failpoints=failpoints,
        metrics=metrics,
        log=log,
        throttle=throttle,
    )
    door = AdminDoor(admin, operator_token, authenticator, bodies, throttle)
    return _App(aws_json, Probes(ready, metrics.registry), door, console, date, log)


class _App:
    def __init__(
        self,
        aws_json: AwsJson,
        probes: Probes,
        door: AdminDoor,
        console: Application | None,
        date: DateHeader,
        log: Log,
    ) -> None:
        self._aws_json = aws_json
        self._probes = probes
        self._door = door
        self._console = console
        self._date = date
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = RequestHead(
            method=scope["method"],
            path=scope["raw_path"],
            query=scope["query_string"],
            headers=scope["headers"],
        )
        path: str = scope["path"]
        if path == "/" and head.method == "POST":
            await self._aws_json.serve(head, receive, send)
        elif is_admin(path):
            await self._administer(head, path, receive, send)
        elif self._console is not None and (path == CONSOLE or path.startswith(CONSOLE + "/")):
            await self._console(scope, receive, send)
        else:
            await self._probe(head, path, send)

    async def _probe(self, head: RequestHead, path: str, send: Send) -> None:
        found = self._probes.answer(head.method, path)
        if found is None:
            await self._send(send, 404, NOTHING_HERE)
        else:
            await self._send(send, found.status, found.body, found.content_type)

    async def _administer(self, head: RequestHead, path: str, receive: Receive, send: Send) -> None:
        try:
            answer = await self._door.answer(head, path, receive)
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001 - whatever it was, who looks gets an answer
            request_id = str(uuid.uuid4())
            self._log.error("admin request failed", request_id=request_id, path=path, exc_info=error)
            await self._send(
                send, 500, error_body(f"The request failed inside the server; its id is {request_id}.")
            )
        else:
            challenge = (CHALLENGE,) if answer.status == 401 else ()
            await self._send(send, answer.status, answer.body, JSON, *challenge)

    async def _send(
        self, send: Send, status: int, body: bytes, content_type: Header = JSON, *more: Header
    ) -> None:
        await send_answer(send, status, body, (content_type, self._date.now(), *more))
