"""A request as the bytes that are written, and where they go.

What comes in here may have been made from an event, so nothing is repaired: what could be read in two ways
(a control character, a space in a URL, a user name before a host) is refused. Framing is ours alone.
"""

import re
import ssl
from functools import lru_cache
from urllib.parse import urlsplit

import msgspec

from partnerbus.targets.addresses import is_host
from partnerbus.targets.outbound import OutboundRequest

PLACES_REMEMBERED = 4_096
NAMES_REMEMBERED = 256

_PORTS = {"http": 80, "https": 443}
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_URL = re.compile(r"[!-\[\]-~]+")
"""Printable ASCII without the space and the backslash, which some read as a slash."""
_BREAKS_A_LINE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_FRAMING = frozenset({"host", "content-length", "transfer-encoding"})
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods whose requests say nothing of a length if they have no body (RFC 9110, 8.6)."""


class Origin(msgspec.Struct, frozen=True):
    """A server. A host that is an IPv6 address has no brackets here."""

    host: str
    port: int
    is_secure: bool


class Party(msgspec.Struct, frozen=True):
    """Whom a connection is to, and the TLS context it shows itself with, if not the usual one."""

    origin: Origin
    tls: ssl.SSLContext | None


class Place(msgspec.Struct, frozen=True):
    """What a URL says: where to connect to, and what a request says of itself there."""

    origin: Origin
    authority: str
    target: str


class Places:
    """URLs, taken apart; most are seen again."""

    def __init__(self) -> None:
        self._known: dict[str, Place] = {}

    def find(self, url: str) -> Place:
        """The place of a URL; `ValueError` if nothing can be sent there."""
        found = self._known.get(url)
        if found is None:
            if len(self._known) >= PLACES_REMEMBERED:
                self._known.clear()
            found = self._known[url] = read_url(url)
        return found


def read_url(url: str) -> Place:
    """Take a URL apart, its path and query to the byte; `ValueError` if nothing can be sent there."""
    if not _URL.fullmatch(url):
        raise ValueError("a character that must be percent-encoded")
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme not in _PORTS or "@" in parts.netloc or port == 0 or not is_host(host):
        raise ValueError("no place to send a request to")
    host.encode("idna")  # as resolvers and certificates are asked for it
    origin = Origin(host, port or _PORTS[parts.scheme], parts.scheme == "https")
    path = url[len(parts.scheme) + len("://") + len(parts.netloc) :].partition("#")[0]
    return Place(origin, _authority(parts.scheme, origin), path if path.startswith("/") else f"/{path}")


def _authority(scheme: str, origin: Origin) -> str:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return host if origin.port == _PORTS[scheme] else f"{host}:{origin.port}"


def written(request: OutboundRequest, place: Place) -> bytes:
    """The request, ready to be written; `ValueError` if it would not stay one request with these headers."""
    _check(request)
    lines = [f"{request.method} {place.target} HTTP/1.1", f"Host: {place.authority}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items() if name.lower() not in _FRAMING]
    if request.body or request.method not in _BODILESS:
        lines.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join((*lines, "\r\n")).encode() + request.body


def _check(request: OutboundRequest) -> None:
    if not _are_tokens((request.method, *request.headers)):
        raise ValueError("a method or header that is no token")
    if _BREAKS_A_LINE.search("".join(request.headers.values())):
        raise ValueError("a header with a control character")


@lru_cache(NAMES_REMEMBERED)
def _are_tokens(names: tuple[str, ...]) -> bool:
    """Of one kind of target, all requests have the same names."""
    return all(map(_TOKEN.fullmatch, names))
