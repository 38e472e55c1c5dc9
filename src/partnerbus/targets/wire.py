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

    __slots__ = ("answer", "request", "secrets")

    def __init__(self) -> None:
        self.request: OutboundRequest | None = None
        self.answer: OutboundResponse | None = None
        self.secrets: Collection[str] = ()

    def note(
        self,
        request: OutboundRequest,
        answer: OutboundResponse | OutboundFailure,
        secrets: Collection[str],
    ) -> None:
        """This was sent, and this came of it."""
        self.request = request
        self.answer = answer if isinstance(answer, OutboundResponse) else None
        self.secrets = secrets

    @property
    def size_bytes(self) -> int:
        """How long the bodies are that it holds."""
        sent = 0 if self.request is None else len(self.request.body)
        return sent if self.answer is None else sent + len(self.answer.body)


class Describer:
    """Says what went over some wires, with every secret hidden.

    It lives for a moment only, no longer than they do: it remembers secrets and headers that many share.
    """

    def __init__(self) -> None:
        self._hiders: dict[tuple[str, ...], Hider] = {}
        self._heads: dict[tuple[int, int], dict[str, str]] = {}

    def sent(self, wire: Wire, payload: bytes) -> Sent:
        """What was sent: the request, or without one the target's input."""
        request, hider = wire.request, self._hider(wire.secrets)
        if request is None:
            return Sent(body=_shown(payload, hider), body_bytes=len(payload))
        return Sent(
            method=request.method,
            url=hider.hide(request.url),
            headers=self._shared_headers(request.headers, hider),
            body=_shown(request.body, hider),
            body_bytes=len(request.body),
        )

    def answered(self, wire: Wire, reply: Reply) -> Answered | None:
        """What came back: the answer, or without one what the reply has kept of it."""
        answer = wire.answer
        if answer is not None:
            hider = self._hider(wire.secrets)
            return Answered(
                status=answer.status,
                headers=_headers(answer.headers, hider),
                body=readable_head(answer, hider, BODY_SHOWN_BYTES),
                body_bytes=len(answer.body),
            )
        if wire.request is not None or (reply.status is None and not reply.body_head):
            return None
        return Answered(status=reply.status, body=reply.body_head, body_bytes=len(reply.body_head.encode()))

    def _hider(self, secrets: Collection[str]) -> Hider:
        key = tuple(secrets)
        found = self._hiders.get(key)
        if found is None:
            found = self._hiders[key] = Hider(key)
        return found

    def _shared_headers(self, headers: Mapping[str, str], hider: Hider) -> dict[str, str]:
        """The requests to a target have the very same headers, as long as they do not depend on the event."""
        key = (id(headers), id(hider))  # of things that outlive this
        found = self._heads.get(key)
        if found is None:
            found = self._heads[key] = _headers(headers, hider)
        return found


def _headers(headers: Mapping[str, str], hider: Hider) -> dict[str, str]:
    return {
        name: HIDDEN if name.lower() in HIDDEN_HEADERS else hider.hide(value)
        for name, value in headers.items()
    }


def _shown(body: bytes, hider: Hider) -> str:
    """The first of a body, without what may be the beginning of a secret whose end was not looked at."""
    most = BODY_SHOWN_BYTES + LONGEST_SPELLING
    text = hider.hide(body[:most].decode("utf-8", "replace"), is_cut=len(body) > most)
    if len(text) <= BODY_SHOWN_BYTES and text.isascii():
        return text
    return text.encode()[:BODY_SHOWN_BYTES].decode("utf-8", "ignore")
