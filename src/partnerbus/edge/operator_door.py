"""The way to the admin face: `/_partnerbus/…`, for who holds the operator's token."""

import hmac
from urllib.parse import parse_qsl

from partnerbus.api.admin import Admin, AdminAnswer
from partnerbus.api.errors import ApiError
from partnerbus.edge.answers import error_body
from partnerbus.edge.body import BodyReader, Receive
from partnerbus.edge.head import RequestHead

PREFIX = "/_partnerbus"
LARGEST_BODY = 1024 * 1024


class OperatorDoor:
    """Checks the token, reads the body, asks the admin face."""

    def __init__(self, admin: Admin, token: str, bodies: BodyReader) -> None:
        self._admin = admin
        self._token = token.encode()
        self._bodies = bodies

    async def answer(self, head: RequestHead, path: str, receive: Receive) -> AdminAnswer:
        """Answer a request for `path` (with the prefix). May raise what the admin face raises."""
        refused = self._refusal(head)
        if refused is not None:
            return refused
        try:
            query = _query(head)
            async with self._bodies.read(head, receive, LARGEST_BODY) as body:
                return await self._admin.answer(head.method, path.removeprefix(PREFIX), query, body)
        except ApiError as error:
            return AdminAnswer(error.status, error_body(error.message))

    def _refusal(self, head: RequestHead) -> AdminAnswer | None:
        scheme, _, token = (head.one(b"authorization") or "").partition(" ")
        if scheme.lower() != "bearer":
            return AdminAnswer(401, error_body("Send the operator's token as 'Authorization: Bearer …'."))
        if not self._token or not hmac.compare_digest(token.strip().encode("latin-1"), self._token):
            return AdminAnswer(403, error_body("This is not the operator's token."))
        return None


def _query(head: RequestHead) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            head.query.decode("ascii"), keep_blank_values=True, max_num_fields=64, errors="strict"
        )
    except ValueError:
        raise ApiError("BadRequest", "The query cannot be read.") from None
    return dict(pairs)


def is_for_operator(path: str) -> bool:
    return path == PREFIX or path.startswith(PREFIX + "/")
