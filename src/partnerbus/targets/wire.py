"""What went over the wire in one attempt, for traces: noted by reference, described only if it is wanted."""

from collections.abc import Collection, Mapping

from partnerbus.model.exchange import BODY_SHOWN_BYTES, Answered, Sent
from partnerbus.model.reply import Reply
from partnerbus.targets.hiding import HIDDEN, Hider
from partnerbus.targets.http_answer import readable_head
from partnerbus.targets.outbound import OutboundFailure, OutboundRequest, OutboundResponse

HIDDEN_HEADERS = frozenset(
    {"authorization", "cookie", "proxy-authorization", "set-cookie", "x-amz-security-token"}
)
"""Headers that are hidden whatever is in them."""

LONGEST_SPELLING = 4_096
"""How far behind the end of what is shown of a body the end of a secret is looked for that began in it."""


class Wire:
    """Takes note of the request and the answer of an HTTP attempt; other kinds leave it empty.

    `secrets` are the texts that must not be seen, whoever sent them.
    """

    __slots__ = ("_answer", "_hider", "_request", "_secrets")

    def __init__(self) -> None:
        self._request: OutboundRequest | None = None
        self._answer: OutboundResponse | None = None
        self._secrets: Collection[str] = ()
        self._hider: Hider | None = None

    def note(
        self,
        request: OutboundRequest,
        answer: OutboundResponse | OutboundFailure,
        secrets: Collection[str],
    ) -> None:
        """This was sent, and this came of it."""
        self._request = request
        self._answer = answer if isinstance(answer, OutboundResponse) else None
        self._secrets = secrets

    def sent(self, payload: bytes) -> Sent:
        """What was sent: the request, or without one the target's input."""
        request = self._request
        if request is None:
            return Sent(body=_shown(payload, self._hiding), body_bytes=len(payload))
        return Sent(
            method=request.method,
            url=self._hiding.hide(request.url),
            headers=self._headers(request.headers),
            body=_shown(request.body, self._hiding),
            body_bytes=len(request.body),
        )

    def answered(self, reply: Reply) -> Answered | None:
        """What came back: the answer, or without one what the reply has kept of it."""
        answer = self._answer
        if answer is not None:
            return Answered(
                status=answer.status,
                headers=self._headers(answer.headers),
                body=readable_head(answer, self._hiding, BODY_SHOWN_BYTES),
                body_bytes=len(answer.body),
            )
        if self._request is not None or (reply.status is None and not reply.body_head):
            return None
        return Answered(status=reply.status, body=reply.body_head, body_bytes=len(reply.body_head.encode()))

    @property
    def _hiding(self) -> Hider:
        if self._hider is None:
            self._hider = Hider(self._secrets)
        return self._hider

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {
            name: HIDDEN if name.lower() in HIDDEN_HEADERS else self._hiding.hide(value)
            for name, value in headers.items()
        }


def _shown(body: bytes, hider: Hider) -> str:
    """The first of a body, without what may be the beginning of a secret whose end was not looked at."""
    most = BODY_SHOWN_BYTES + LONGEST_SPELLING
    text = hider.hide(body[:most].decode("utf-8", "replace"), is_cut=len(body) > most)
    return text.encode()[:BODY_SHOWN_BYTES].decode("utf-8", "ignore")
