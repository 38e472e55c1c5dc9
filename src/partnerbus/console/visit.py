"""One request of somebody who is signed in: what they may ask, do, and be shown."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

import msgspec
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from partnerbus.api.admin.face import ONLY_LOOKS
from partnerbus.api.admin.request import ErrorBody
from partnerbus.api.admin.viewer import Viewer
from partnerbus.api.operation import Call
from partnerbus.console.doorkeeper import Badge
from partnerbus.console.forms import Form
from partnerbus.console.parts import ConsoleParts
from partnerbus.console.refusal import Refused
from partnerbus.console.render import Pages
from partnerbus.console.sessions import Session

V = TypeVar("V", bound=msgspec.Struct)

ONLY_ASK = ("Describe", "List", "Test")
"""How the names of operations begin that change nothing."""

MAKE = ("Create", "Put", "Start")
"""How those begin that make something. What there is can be changed and deleted, whoever had it."""

_encode = msgspec.json.encode


class WireError(msgspec.Struct, frozen=True):
    """An error as the wire API has it."""

    code: str = msgspec.field(name="__type")
    message: str = ""


class Visit:
    """What a page gets. `form` is there if one was sent, and then its token was right."""

    def __init__(
        self,
        parts: ConsoleParts,
        pages: Pages,
        request: Request,
        session: Session,
        viewer: Viewer,
        form: Form,
    ) -> None:
        self._parts = parts
        self._pages = pages
        self._session = session
        self.request = request
        self.viewer = viewer
        self.form = form

    @property
    def region(self) -> str:
        """Where things are made if nothing else is said."""
        return self._parts.region

    @property
    def now(self) -> datetime:
        return self._parts.clock.now()

    @property
    def url(self) -> str:
        """Where the node listens."""
        return self._parts.url()

    # -- asking ----------------------------------------------------------------------------------------

    async def ask(self, path: str, kind: type[V], **query: object) -> V:
        """What the admin face answers the viewer; a `Refused` says why it does not. None asks for nothing."""
        given = {name: str(value) for name, value in query.items() if value is not None}
        return await self._answer("GET", path, given, b"", kind)

    async def tell(self, path: str, body: Mapping[str, object], kind: type[V], method: str = "POST") -> V:
        """As `ask`, for what takes a body. Members that are None are left out."""
        given = {name: value for name, value in body.items() if value is not None}
        return await self._answer(method, path, {}, _encode(given), kind)

    async def remove(self, path: str, kind: type[V], **query: str) -> V:
        """As `tell`, for what takes something away."""
        return await self._answer("DELETE", path, query, b"", kind)

    async def _answer(
        self, method: str, path: str, query: Mapping[str, str], body: bytes, kind: type[V]
    ) -> V:
        answer = await self._parts.admin.answer(self.viewer, method, path, query, body)
        if answer.status != 200:
            sentence = msgspec.json.decode(answer.body, type=ErrorBody).error
            raise Refused(answer.status, _as_sentence(sentence))
        return msgspec.json.decode(answer.body, type=kind)

    async def call(
        self,
        operation: str,
        members: Mapping[str, object],
        kind: type[V],
        *,
        account: str | None = None,
        region: str | None = None,
    ) -> V:
        """Call an operation of the wire API as the viewer's account; the operator says as which."""
        account = account or self.viewer.account
        if account is None:
            raise Refused(400, "Say for which account.")
        if not self.viewer.is_own(account):
            raise Refused(403, "That is another account's.")
        if operation.startswith(MAKE) and not self._parts.doorkeeper.knows(account):
            raise Refused(404, f"There is no account {account}.")
        if self.viewer.only_looks and not operation.startswith(ONLY_ASK):
            raise Refused(403, _as_sentence(ONLY_LOOKS))
        call = Call(
            request_id=str(uuid.uuid4()),
            operation=operation,
            account=account,
            region=region or self.region,
            partner=self.viewer.partner,
        )
        given = {name: value for name, value in members.items() if value is not None}
        answer = await self._parts.face.answer(call, _encode(given))
        if answer.status != 200:
            error = msgspec.json.decode(answer.body, type=WireError)
            raise Refused(answer.status, f"{_as_sentence(error.message)} ({error.code})")
        return msgspec.json.decode(answer.body or b"{}", type=kind)

    # -- showing ---------------------------------------------------------------------------------------

    def page(self, template: str, status: int = 200, **values: object) -> Response:
        """A page made of a template."""
        return HTMLResponse(
            self._pages.render(
                template,
                now=self._parts.clock.now(),
                viewer=self.viewer,
                form_token=self._session.form_token,
                notice=self._session.take_notice(),
                path=self.request.url.path,
                here=self._here(),
                **values,
            ),
            status,
        )

    def _here(self) -> str:
        """Where to come back to: this page, or the first one if this was the answer to a form."""
        url = self.request.url
        return (
            url.path + (f"?{url.query}" if url.query else "") if self.request.method == "GET" else "/console"
        )

    def part(self, template: str, **values: object) -> Markup:
        """A part of a page, which another part may have in it as it is."""
        text = self._pages.render(
            template, now=self._parts.clock.now(), form_token=self._session.form_token, **values
        )
        return Markup(text)  # noqa: S704 - made by a template, which escapes

    def go(self, to: str, notice: str | None = None) -> Response:
        """Send the browser to another page, which shows `notice` once."""
        if notice is not None:
            self._session.notice = notice
        return RedirectResponse(to, 303)

    # -- whose eyes ------------------------------------------------------------------------------------

    def look_through(self, eyes: Viewer) -> None:
        """Let the operator see from now on what an account sees."""
        if not self.viewer.is_operator:
            raise Refused(403, "Only the operator may do this.")
        self._session.badge = Badge(through=eyes)

    def look_no_more(self) -> None:
        """Let the operator be the operator again."""
        if self.viewer.only_looks:
            self._session.badge = Badge()

    # -- the way of a stream ---------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether the session has ended meanwhile, or the node is about to stop."""
        parts = self._parts
        return (
            parts.leaving.is_set()
            or self._session.ends_at <= parts.clock.now()
            or parts.doorkeeper.viewer(self._session.badge) != self.viewer
        )


def _as_sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


class Nothing(msgspec.Struct, frozen=True):
    """An answer of which nobody reads anything."""
