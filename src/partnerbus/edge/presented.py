"""A signature as it came: taken apart, and refused if it has not the form of one.

Signatures of both algorithms travel in the `Authorization` header or (presigned) in the query, never in both.
The scope of SigV4 names a region; that of SigV4A does not, `X-Amz-Region-Set` says for which regions it is.
`sigv4` judges what is read here.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from urllib.parse import unquote_to_bytes

import msgspec

from partnerbus.api.errors import ApiError
from partnerbus.edge.head import RequestHead

REFUSED_STATUS = 403
LONGEST_EXPIRY_SECONDS = 604_800
"""A presigned request lives at most seven days (documented)."""

REGION_SET = re.compile(r"[a-z0-9*-]{1,32}(,[a-z0-9*-]{1,32}){0,15}")
"""Regions, `*` standing for any text (documented); how many is ours."""

BASIC = re.compile(r"[0-9]{8}T[0-9]{6}Z")
BASIC_FORMAT = "%Y%m%dT%H%M%SZ"
_ECHOED = 512

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details."
)
INVALID_TOKEN = "The security token included in the request is invalid."  # noqa: S105 - a sentence


class Algorithm(StrEnum):
    """How a request is signed: with a shared key, or with a private key derived from the secret."""

    SIGV4 = "AWS4-HMAC-SHA256"
    SIGV4A = "AWS4-ECDSA-P256-SHA256"


def missing() -> ApiError:
    return _refused("MissingAuthenticationTokenException", "Request is missing Authentication Token")


def incomplete(message: str) -> ApiError:
    return _refused("IncompleteSignatureException", message)


def mismatch(message: str = MISMATCH) -> ApiError:
    return _refused("InvalidSignatureException", message)


def unrecognized() -> ApiError:
    return _refused("UnrecognizedClientException", INVALID_TOKEN)


def _refused(code: str, message: str) -> ApiError:
    return ApiError(code, message, REFUSED_STATUS)


class Presented(msgspec.Struct, frozen=True, kw_only=True):
    """A signature as it came. `expires` is set for presigned requests.

    SigV4 names one region, SigV4A a set of them.
    """

    algorithm: Algorithm
    access_key: str
    day: str
    regions: tuple[str, ...]
    service: str
    terminator: str
    signed_headers: tuple[str, ...]
    signature: str
    signed_at: str
    expires: timedelta | None = None

    @property
    def scope(self) -> str:
        parts = (self.day, *self._region, self.service, self.terminator)
        return "/".join(parts)

    @property
    def _region(self) -> tuple[str, ...]:
        return self.regions if self.algorithm is Algorithm.SIGV4 else ()


def present(head: RequestHead) -> Presented:
    """The signature in the head, in either form."""
    authorization = head.values(b"authorization")
    presigned = b"X-Amz-Signature=" in head.query
    if not authorization and not presigned:
        raise missing()
    if len(authorization) + presigned > 1:
        raise incomplete("The request must be signed once: in one Authorization header or in the query.")
    if presigned:
        return _from_query(query_pairs(head.query))
    return _from_header(authorization[0], head)


def _from_header(authorization: str, head: RequestHead) -> Presented:
    named, _, rest = authorization.partition(" ")
    algorithm = _algorithm(named)
    parts = _parts(rest)
    dates = head.values(b"x-amz-date") or head.values(b"date")
    lacking = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not parts.get(name)
    ]
    if not dates:
        lacking.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if lacking:
        raise incomplete(f"{' '.join(lacking)} Authorization={authorization[:_ECHOED]}")
    if len(dates) > 1:
        raise incomplete("The request has more than one date.")
    return _presented(
        algorithm,
        parts["Credential"],
        parts["SignedHeaders"],
        parts["Signature"],
        dates[0],
        head.one(b"x-amz-region-set"),
    )


def _algorithm(named: str) -> Algorithm:
    try:
        return Algorithm(named)
    except ValueError:
        raise incomplete(f"Unsupported AWS 'algorithm': '{named[:64]}'.") from None


def _parts(rest: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in rest.split(","):
        name, _, value = part.strip().partition("=")
        if name in parts:
            raise incomplete(f"The Authorization header has '{name[:64]}' more than once.")
        parts[name] = value.strip()
    return parts


def _from_query(pairs: Sequence[tuple[str, str]]) -> Presented:
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise incomplete("The query has a parameter more than once.")
    lacking = [
        f"AWS query-string parameters must include 'X-Amz-{name}'."
        for name in ("Algorithm", "Credential", "Signature", "SignedHeaders", "Date", "Expires")
        if not parameters.get(f"X-Amz-{name}")
    ]
    if lacking:
        raise incomplete(f"{' '.join(lacking)} Re-examine the query-string parameters.")
    found = _presented(
        _algorithm(parameters["X-Amz-Algorithm"]),
        parameters["X-Amz-Credential"],
        parameters["X-Amz-SignedHeaders"],
        parameters["X-Amz-Signature"],
        parameters["X-Amz-Date"],
        parameters.get("X-Amz-Region-Set"),
    )
    return msgspec.structs.replace(found, expires=_expiry(parameters["X-Amz-Expires"]))


def _expiry(seconds: str) -> timedelta:
    if not re.fullmatch("[0-9]{1,6}", seconds) or not 1 <= int(seconds) <= LONGEST_EXPIRY_SECONDS:
        raise incomplete(f"X-Amz-Expires must be a number from 1 to {LONGEST_EXPIRY_SECONDS}.")
    return timedelta(seconds=int(seconds))


def _presented(
    algorithm: Algorithm,
    credential: str,
    signed_headers: str,
    signature: str,
    date: str,
    region_set: str | None,
) -> Presented:
    access_key, day, *region, service, terminator = _elements(algorithm, credential)
    return Presented(
        algorithm=algorithm,
        access_key=access_key,
        day=day,
        regions=tuple(region) if algorithm is Algorithm.SIGV4 else _regions(region_set),
        service=service,
        terminator=terminator,
        signed_headers=tuple(signed_headers.split(";")),
        signature=signature,
        signed_at=_basic(date),
    )


def _elements(algorithm: Algorithm, credential: str) -> list[str]:
    elements = credential.split("/")
    region = "region/" if algorithm is Algorithm.SIGV4 else ""
    if len(elements) != (5 if region else 4):
        raise incomplete(
            f"Credential must have exactly {5 if region else 4} slash-delimited elements, e.g. "
            f"keyid/date/{region}service/term, got '{credential[:_ECHOED]}'."
        )
    return elements


def _regions(region_set: str | None) -> tuple[str, ...]:
    found = (region_set or "").replace(" ", "")
    if REGION_SET.fullmatch(found) is None:
        raise incomplete("A signature for several regions must name them in one 'X-Amz-Region-Set'.")
    return tuple(found.split(","))


def _basic(date: str) -> str:
    """A date in ISO 8601 basic format; one in the format of HTTP is turned into it."""
    if BASIC.fullmatch(date):
        instant_of(date)
        return date
    try:
        return parsedate_to_datetime(date).astimezone(UTC).strftime(BASIC_FORMAT)
    except (ValueError, OverflowError, TypeError, IndexError):
        raise _bad_date(date) from None


def instant_of(basic: str) -> datetime:
    """The instant that a date in basic format names."""
    try:
        return datetime.fromisoformat(basic)
    except ValueError:
        raise _bad_date(basic) from None


def _bad_date(date: str) -> ApiError:
    return incomplete(
        f"Date must be in ISO-8601 'basic format'. Got '{date[:64]}'. "
        "See http://en.wikipedia.org/wiki/ISO_8601"
    )


def query_pairs(query: bytes) -> list[tuple[str, str]]:
    """The names and values of a raw query, percent escapes undone; `+` stands for itself."""
    pairs = []
    for item in filter(None, query.split(b"&")):
        name, _, value = item.partition(b"=")
        pairs.append((_unquoted(name), _unquoted(value)))
    return pairs


def _unquoted(text: bytes) -> str:
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")
