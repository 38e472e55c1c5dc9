"""What the machinery around a server asks: is it alive, is it ready, how is it doing."""

from collections.abc import Callable

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from partnerbus.edge.answers import JSON, Header, error_body

Ready = Callable[[], str | None]
"""Why this node cannot take requests, as a sentence; None if it can."""


class ProbeAnswer(msgspec.Struct, frozen=True):
    """An answer to a probe."""

    status: int
    body: bytes
    content_type: Header = JSON


class Probes:
    """Answers `/healthz`, `/readyz` and `/metrics`; nobody needs a key for them."""

    def __init__(self, ready: Ready, registry: CollectorRegistry) -> None:
        self._ready = ready
        self._registry = registry

    def answer(self, method: str, path: str) -> ProbeAnswer | None:
        """The answer, or None if this is no probe."""
        if method not in ("GET", "HEAD"):
            return None
        match path:
            case "/healthz":
                return ProbeAnswer(200, b'{"status":"alive"}')
            case "/readyz":
                return self._readiness()
            case "/metrics":
                content_type = (b"content-type", CONTENT_TYPE_PLAIN_0_0_4.encode())
                return ProbeAnswer(200, generate_latest(self._registry), content_type)
        return None

    def _readiness(self) -> ProbeAnswer:
        reason = self._ready()
        if reason is None:
            return ProbeAnswer(200, b'{"status":"ready"}')
        return ProbeAnswer(503, error_body(reason))
