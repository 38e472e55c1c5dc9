"""The way to the admin face: `/_partnerbus/…`, for who holds the operator's token or signs as an account."""

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl

from partnerbus.api.admin import Admin, AdminAnswer
from partnerbus.api.admin.viewer import OPERATOR, Viewer
from partnerbus.api.errors import ApiError
from partnerbus.api.throttling import Throttle
from partnerbus.edge.answers import error_body
from partnerbus.edge.authenticate import Arrived, Authenticator
from partnerbus.edge.body import BodyReader, Receive
from partnerbus.edge.head import RequestHead
from partnerbus.edge.presented import Algorithm

PREFIX = "/_partnerbus"
LARGEST_BODY = 1024 * 1024

EVERYWHERE, QUESTION = "", "admin"
"""How questions are counted: not by region, and apart from calls of the API."""

TOO_OFTEN = "This account asks too often; wait a moment."
WHO_ARE_YOU = "Send the operator's token as 'Authorization: Bearer …', or sign with an account's access key."
NOT_THE_TOKEN = "This is not the operator's token."  # noqa: S105 - a sentence


class AdminDoor:
    """Finds out who looks, reads the body, asks the admin face."""

    def __init__(
        self,
        admin: Admin,
        token: str,
        authenticator: Authenticator,
        bodies: BodyReader,
        throttle: Throttle | None = None,
    ) -> None:
        self._admin = admin
        self._token = token.encode()
        self._authenticator = authenticator
        self._bodies = bodies
        self._throttle = throttle

    async def answer(self, head: RequestHead, path: str, receive: Receive) -> AdminAnswer:
        """Answer a request for `path` (with the prefix). May raise what the admin face raises."""
        try:
            arrived = self._arrived(head)
            query = _query(head)
            async with self._bodies.read(head, receive, LARGEST_BODY) as body:
                viewer = OPERATOR if arrived is None else self._viewer(arrived, body)
                return await self._admin.answer(viewer, head.method, path.removeprefix(PREFIX), query, body)
        except ApiError as error:
            return AdminAnswer(error.status, error_body(error.message))

    def _arrived(self, head: RequestHead) -> Arrived | None:
        """The account that says to have signed; None for the operator. An `ApiError` refuses."""
        scheme, _, token = (head.one(b"authorization") or "").partition(" ")
        if scheme in set(Algorithm):
            return self._authenticator.read(head)
        if scheme.lower() != "bearer":
            raise ApiError("MissingAuthenticationToken", WHO_ARE_YOU, 401)
        if not self._token or not hmac.compare_digest(token.strip().encode("latin-1"), self._token):
            raise ApiError("AccessDenied", NOT_THE_TOKEN, 403)
        return None

    def _viewer(self, arrived: Arrived, body: bytes) -> Viewer:
        """The account that has signed, unless it asks too often: as often as the control plane, by itself."""
        caller = arrived.confirm(body)
        if self._throttle is not None and not self._throttle.admits(caller.account, EVERYWHERE, QUESTION):
            raise ApiError("TooManyRequests", TOO_OFTEN, 429)
        return Viewer(account=caller.account, partner=caller.partner)


def _query(head: RequestHead) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(
            head.query.decode("ascii"), keep_blank_values=True, max_num_fields=64, errors="strict"
        )
    except ValueError:
        raise ApiError("BadRequest", "The query cannot be read.") from None
    return dict(pairs)


def is_admin(path: str) -> bool:
    """Whether a path leads to the admin face."""
    return path == PREFIX or path.startswith(PREFIX + "/")
