"""The console's ASGI application, and what every answer of it carries.

It lives in the process of the server, away from the path of events: `edge/app` hands it what is its.
"""

import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from partnerbus.console.door import Door, Screen
from partnerbus.console.parts import ConsoleParts
from partnerbus.console.refusal import Refused
from partnerbus.console.render import Pages
from partnerbus.console.screens import SCREENS

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PREFIX = "/console"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def make_console(parts: ConsoleParts) -> Application:
    """The pages of a node."""
    pages = Pages()
    door = Door(parts, pages)
    trouble = _Trouble(parts, pages)
    application = Starlette(
        routes=[
            Route(f"{PREFIX}/sign-in", door.show_sign_in, methods=["GET"]),
            Route(f"{PREFIX}/sign-in", door.sign_in, methods=["POST"]),
            Route(f"{PREFIX}/sign-out", door.sign_out, methods=["POST"]),
            Mount(f"{PREFIX}/static", StaticFiles(packages=[("partnerbus.console", "static")])),
            *(_route(door, screen) for screen in SCREENS),
        ],
        exception_handlers={
            HTTPException: trouble.http,
            Refused: trouble.refused,
            Exception: trouble.unexpected,
        },
    )
    return _Hardened(application, parts)


def _route(door: Door, screen: Screen) -> Route:
    return Route(PREFIX + screen.path, door.let_in(screen), methods=[screen.method])


class _Hardened:
    """Puts on every answer what keeps browsers from doing anything but showing our pages."""

    def __init__(self, application: Application, parts: ConsoleParts) -> None:
        self._application = application
        self._log = parts.log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_hardened(part: MutableMapping[str, Any]) -> None:
            if part["type"] == "http.response.start":
                headers = MutableHeaders(scope=part)
                headers.update(HEADERS)
                headers.setdefault("cache-control", _caching(scope["path"]))
            await send(part)

        try:
            await self._application(scope, receive, send_hardened)
        except Exception as error:  # noqa: BLE001 - whoever looks has been answered, and it is logged
            self._log.debug("console request failed", path=scope["path"], exc_info=error)


def _caching(path: str) -> str:
    return "no-cache" if path.startswith(f"{PREFIX}/static/") else "no-store"


class _Trouble:
    """The pages that say that something went wrong, for whoever it is."""

    def __init__(self, parts: ConsoleParts, pages: Pages) -> None:
        self._log = parts.log
        self._clock = parts.clock
        self._pages = pages

    async def http(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        sentence = "There is no such page." if error.status_code == 404 else f"{error.detail}."
        return self._page(request, error.status_code, sentence)

    async def refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return self._page(request, error.status, error.sentence)

    async def unexpected(self, request: Request, error: Exception) -> Response:
        request_id = str(uuid.uuid4())
        self._log.error(
            "console request failed", request_id=request_id, path=request.url.path, exc_info=error
        )
        return self._page(request, 500, f"The request failed inside the server; its id is {request_id}.")

    def _page(self, request: Request, status: int, sentence: str) -> Response:
        return HTMLResponse(
            self._pages.render(
                "stranger_error.html",
                now=self._clock.now(),
                viewer=None,
                notice=None,
                path=request.url.path,
                sentence=sentence,
            ),
            status,
        )
