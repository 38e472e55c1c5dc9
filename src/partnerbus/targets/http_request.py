"""The HTTP request of an API destination or an API of API Gateway, from its parts.

Three layers give headers, query parameters and the body's members: the service's defaults, the target's
HttpParameters, the connection's; a later one wins over an equal name of an earlier one (documented). The
target's values may be dynamic paths into the event, so they are hostile input: percent-encoded in a path
or query, and refused in a header if they would end its line.
"""

import re
import ssl
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote_plus, urlencode

import msgspec

from partnerbus.model.event import Event
from partnerbus.model.paths import EventDocument, is_dynamic, resolve
from partnerbus.model.resources import ConnectionParameter, HttpParameters, ParameterPlace
from partnerbus.targets.outbound import OutboundRequest

USER_AGENT = "Amazon/EventBridge/ApiDestinations"

_DEFAULT_HEADERS = {"Content-Type": "application/json; charset=utf-8"}
_FIXED_HEADERS = {
    "User-Agent": USER_AGENT,
    "Range": "bytes=0-1048575",
    "Accept-Encoding": "gzip,deflate",
}
"""What the service sends whatever anybody asks for (documented).

Its `Connection: close` is left out: connections are used again.
"""

STRIPPED_HEADERS = frozenset({
    "a-im", "accept-charset", "accept-datetime", "accept-encoding", "cache-control", "connection",
    "content-encoding", "content-length", "content-md5", "date", "expect", "forwarded", "from", "host",
    "http2-settings", "if-match", "if-modified-since", "if-none-match", "if-range",
    "if-unmodified-since", "max-forwards", "origin", "pragma", "proxy-authorization", "range", "referer",
    "te", "trailer", "transfer-encoding", "user-agent", "upgrade", "via", "warning",
})  # fmt: skip
"""Headers that are left out, without a word, if a target or connection sets them (documented)."""

REQUESTS_REMEMBERED = 4_096

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BREAKS_A_LINE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class BadRequest(ValueError):
    """The request cannot be made for this event; the text says why, and holds no secret."""


class RequestParts(msgspec.Struct, frozen=True, kw_only=True):
    """What a request is made of besides its event.

    `parameters` are a connection's, opened; `authorization` is its header, `tls` the context that shows its
    client certificate, if it has one.
    """

    method: str
    url: str
    target: HttpParameters
    parameters: tuple[ConnectionParameter, ...] = ()
    authorization: tuple[str, str] | None = None
    tls: ssl.SSLContext | None = None


class Requests:
    """Makes requests. What of a target's requests does not depend on the event is made once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[RequestParts, OutboundRequest]] = {}

    def make(self, subscription: str, parts: RequestParts, payload: bytes, event: Event) -> OutboundRequest:
        """The request of `subscription` for an event; `BadRequest` if it cannot be made."""
        known = self._known.get(subscription)
        if known is not None and known[0] == parts:
            body = _body(payload, placed(parts.parameters, ParameterPlace.BODY))
            return msgspec.structs.replace(known[1], body=body)
        request = build_request(parts, payload, EventDocument(event))
        if _is_same_for_all(parts.target):
            if len(self._known) >= REQUESTS_REMEMBERED:
                self._known.clear()
            self._known[subscription] = parts, request
        return request


def _is_same_for_all(target: HttpParameters) -> bool:
    values = (*target.path_values, *target.query.values(), *target.headers.values())
    return not any(map(is_dynamic, values))


def build_request(parts: RequestParts, payload: bytes, document: EventDocument) -> OutboundRequest:
    """The request; `BadRequest` if it cannot be made."""
    return OutboundRequest(
        method=parts.method,
        url=_url(parts, document),
        headers=_headers(parts, document),
        body=_body(payload, placed(parts.parameters, ParameterPlace.BODY)),
        tls=parts.tls,
    )


def _url(parts: RequestParts, document: EventDocument) -> str:
    base, mark, query = parts.url.partition("?")
    added = {name: _resolved(value, name, document) for name, value in parts.target.query.items()}
    added |= placed(parts.parameters, ParameterPlace.QUERY)
    return with_query(_fill_path(base, parts.target.path_values, document) + mark + query, added)


def with_query(url: str, added: Mapping[str, str]) -> str:
    """`url` with the parameters `added`; one of its own that has the name of an added one gives way."""
    base, _, own = url.partition("?")
    kept = [pair for pair in own.split("&") if pair and unquote_plus(pair.partition("=")[0]) not in added]
    query = "&".join((*kept, *([urlencode(added, quote_via=quote)] if added else ())))
    return f"{base}?{query}" if query else base


def path_wildcards(url: str) -> int:
    """How many path parameter values a request to `url` needs."""
    base = url.partition("?")[0]
    origin_end = _origin_end(base)
    return 0 if origin_end < 0 else base.count("*", origin_end)


def _origin_end(url: str) -> int:
    """Where the path begins; negative if there is none."""
    return url.find("/", url.find("//") + 2)


def _fill_path(url: str, values: Iterable[str], document: EventDocument) -> str:
    """Each `*` of the path becomes the next value, percent-encoded, from left to right (documented)."""
    origin_end = _origin_end(url)
    if origin_end < 0:
        return url
    pieces = url[origin_end:].split("*")
    filled = [url[:origin_end], pieces[0]]
    given = iter(values)
    for piece in pieces[1:]:
        value = next(given, None)
        if value is None:
            raise BadRequest("The URL's path has more * than the target has path parameter values.")
        filled += (_segment(_resolved(value, "*", document)), piece)
    return "".join(filled)


def _segment(value: str) -> str:
    """A value as (part of) a path segment; one that would name another path is refused."""
    if value in ("", ".", ".."):
        raise BadRequest("A path parameter value is empty or made of dots.")
    return quote(value, safe="")


def _headers(parts: RequestParts, document: EventDocument) -> dict[str, str]:
    target = {name: _resolved(value, name, document) for name, value in parts.target.headers.items()}
    merged = merge_headers(_DEFAULT_HEADERS, target, placed(parts.parameters, ParameterPlace.HEADER))
    if parts.authorization is not None:
        name, value = parts.authorization
        if name.lower() in STRIPPED_HEADERS:
            raise BadRequest("The API key's header is one that cannot be set.")
        merged[name.lower()] = (name, value)
    headers = {**dict(merged.values()), **_FIXED_HEADERS}
    check_headers(headers)
    return headers


def merge_headers(*layers: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """(name, value) by lower-case name; a later layer wins, and what nobody may set is left out."""
    return {
        name.lower(): (name, value)
        for layer in layers
        for name, value in layer.items()
        if name.lower() not in STRIPPED_HEADERS
    }


def check_headers(headers: Mapping[str, str]) -> None:
    """`BadRequest` for a header that would not stay one."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise BadRequest("A header's name is not valid.")
        if _BREAKS_A_LINE.search(value):
            raise BadRequest(f"The value of header {name} holds a control character.")


def _body(payload: bytes, members: Mapping[str, str]) -> bytes:
    """The input with the connection's body parameters as members of it (assumed: if it is an object)."""
    if not members:
        return payload
    try:
        found = _decode_object(payload)
    except (msgspec.DecodeError, RecursionError):
        return payload
    return _encode({**found, **members})


def _resolved(value: str, name: str, document: EventDocument) -> str:
    found = resolve(value, document)
    if found is None:
        raise BadRequest(f"The path of HTTP parameter {name} leads to nothing in the event.")
    return found


def placed(parameters: Iterable[ConnectionParameter], place: ParameterPlace) -> dict[str, str]:
    """The parameters of a connection that go to `place`."""
    return {parameter.name: parameter.value for parameter in parameters if parameter.place is place}
