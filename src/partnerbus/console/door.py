"""The way in and out: signing in, the session of each request, and the token of each form."""

import hmac
import math
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from partnerbus.console.forms import Form, read_form
from partnerbus.console.parts import ConsoleParts
from partnerbus.console.refusal import Refused
from partnerbus.console.render import Pages
from partnerbus.console.sessions import LIFETIME, Session
from partnerbus.console.visit import Visit

SESSION_COOKIE = "partnerbus_session"
FORM_COOKIE = "partnerbus_sign_in"
HOME = "/console"
SIGN_IN = "/console/sign-in"
HERE = "/here"
"""What each page asks, to see whether there is a server, and a session."""

NOT_OUR_FORM = "This form was not made by a page of this session. Go back, load the page anew, and try again."
WRONG = "There is no such access key, or this is not its secret."
ENDED = "Your session has ended. Sign in to go on."

Handler = Callable[[Visit], Awaitable[Response]]


class Screen(msgspec.Struct, frozen=True):
    """A page: its method, its path below `/console`, and what makes it."""

    method: str
    path: str
    handler: Handler


class Door:
    """Lets people in, and out."""

    def __init__(self, parts: ConsoleParts, pages: Pages) -> None:
        self._parts = parts
        self._pages = pages

    # -- every page ------------------------------------------------------------------------------------

    def let_in(self, screen: Screen) -> Callable[[Request], Awaitable[Response]]:
        """A page for those who are signed in; others are sent to sign in, and back."""

        async def serve(request: Request) -> Response:
            session = self._parts.sessions.find(request.cookies.get(SESSION_COOKIE))
            viewer = self._parts.doorkeeper.viewer(session.badge) if session is not None else None
            if session is None or viewer is None:
                return _to_sign_in(request)
            form = await self._form(request, session) if request.method == "POST" else Form([])
            visit = Visit(self._parts, self._pages, request, session, viewer, form)
            try:
                return await screen.handler(visit)
            except Refused as refusal:
                return visit.page(
                    "error.html", refusal.status, code=refusal.status, sentence=refusal.sentence
                )

        return serve

    async def _form(self, request: Request, session: Session) -> Form:
        _refuse_other_sites(request)
        form = await read_form(request)
        if not _same(form.text("form_token"), session.form_token):
            raise Refused(403, NOT_OUR_FORM)
        return form

    # -- in --------------------------------------------------------------------------------------------

    async def show_sign_in(self, request: Request) -> Response:
        return self._sign_in_page(request, request.query_params.get("next", ""))

    async def sign_in(self, request: Request) -> Response:
        """Check what is presented. Failures cost attempts, by address and by name."""
        _refuse_other_sites(request)
        form = await read_form(request)
        if not _same(form.text("form_token"), request.cookies.get(FORM_COOKIE, "")):
            raise Refused(403, NOT_OUR_FORM)
        name, address = form.text("name"), request.client.host if request.client is not None else ""
        wait = self._parts.attempts.wait(address, name)
        if wait is not None:
            minutes = math.ceil(wait.total_seconds() / 60)
            sentence = f"Too many attempts. Try again in {minutes} minute{'s' if minutes > 1 else ''}."
            answer = self._sign_in_page(request, form.text("next"), 429, sentence, name)
            answer.headers["retry-after"] = str(math.ceil(wait.total_seconds()))
            return answer
        badge = self._parts.doorkeeper.admit(name, form.text("secret"))
        if badge is None:
            self._parts.attempts.failed(address, name)
            return self._sign_in_page(request, form.text("next"), 403, WRONG, name)
        self._parts.sessions.end(request.cookies.get(SESSION_COOKIE))
        answer = RedirectResponse(_own_page(form.text("next")), 303)
        _set_cookie(
            request, answer, SESSION_COOKIE, self._parts.sessions.begin(badge), int(LIFETIME.total_seconds())
        )
        answer.delete_cookie(FORM_COOKIE, path=HOME)
        return answer

    async def sign_out(self, request: Request) -> Response:
        name = request.cookies.get(SESSION_COOKIE)
        session = self._parts.sessions.find(name)
        if session is not None:
            await self._form(request, session)
            self._parts.sessions.end(name)
        answer = RedirectResponse(SIGN_IN, 303)
        answer.delete_cookie(SESSION_COOKIE, path=HOME)
        return answer

    def _sign_in_page(
        self, request: Request, to: str, status: int = 200, sentence: str | None = None, name: str = ""
    ) -> Response:
        token = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(32)
        if sentence is None and request.query_params.get("ended") is not None:
            sentence = ENDED
        answer = HTMLResponse(
            self._pages.render(
                "sign_in.html",
                now=self._parts.clock.now(),
                viewer=None,
                notice=None,
                path=SIGN_IN,
                form_token=token,
                sentence=sentence,
                name=name,
                next=_own_page(to),
            ),
            status,
        )
        _set_cookie(request, answer, FORM_COOKIE, token)
        return answer


def _to_sign_in(request: Request) -> Response:
    """To the sign-in page, and from there back to where this was going if it was a page to look at.

    What a page asks by itself leads there from the page; `HERE` alone does not, since something may be half
    typed in: the page says then what has happened.
    """
    had_session = SESSION_COOKIE in request.cookies
    to = SIGN_IN + ("?ended=1&" if had_session else "?")
    if request.url.path == HOME + HERE:
        return Response(status_code=401)
    if request.headers.get("hx-request") is not None:
        page = urlsplit(request.headers.get("hx-current-url", ""))
        back = f"next={quote(_whole(page.path, page.query))}" if page.path else ""
        return Response(status_code=401, headers={"hx-redirect": (to + back).rstrip("?&")})
    if request.method == "GET":
        return RedirectResponse(f"{to}next={quote(_whole(request.url.path, request.url.query))}", 303)
    return RedirectResponse(to.rstrip("?&"), 303)


def _whole(path: str, query: str) -> str:
    return path + (f"?{query}" if query else "")


def _own_page(text: str) -> str:
    """`text` if it is a page of ours, or else the first page: nobody is sent elsewhere."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return HOME
    is_ours = parts.path == HOME or parts.path.startswith(HOME + "/")
    is_plain = not parts.scheme and not parts.netloc and text.isprintable() and "\\" not in text
    return text if is_ours and is_plain and text.isascii() and parts.path != SIGN_IN else HOME


def _refuse_other_sites(request: Request) -> None:
    """Browsers say which site a form is of; one of another site is refused, whatever it knows."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refused(403, NOT_OUR_FORM)
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Refused(403, NOT_OUR_FORM)


def _same(given: str, expected: str) -> bool:
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())


def _set_cookie(
    request: Request, answer: Response, name: str, value: str, max_age: int | None = None
) -> None:
    is_secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
    answer.set_cookie(
        name, value, max_age=max_age, path=HOME, httponly=True, samesite="strict", secure=is_secure
    )
