"""Who signed this request? Signature Version 4, the server's side.

Theory of operation
-------------------
The caller and we share a secret that never travels. Both sides write the request down in one canonical
text, hash it, and sign the hash together with the instant and a *scope* (day, region, service) with a key
derived from the secret. If our signature equals the caller's, the caller had the secret and nothing that
is in the text was changed on the way:

    canonical request   method \\n / \\n query \\n headers \\n names of the headers \\n hash of the body
    string to sign      AWS4-HMAC-SHA256 \\n instant \\n scope \\n hash of the canonical request
    signing key         HMAC(HMAC(HMAC(HMAC("AWS4" + secret, day), region), "events"), "aws4_request")
    signature           hex of HMAC(signing key, string to sign)

The signature travels in the `Authorization` header or, presigned, in the query, never in both. What keeps
a captured request from being worth anything: the signed instant must be near ours (or, presigned, not past
its own expiry), the body's hash is always computed here, and no `x-amz-*` header may stand unsigned, since
`X-Amz-Target` decides what the body means.

The work is split where the body begins. `read` judges what the head alone tells (form, scope, instant, key),
so that a stranger's body is never read; `confirm` then compares signatures, in constant time. Which of
several faults is named first follows that order and is ours. Signing keys are remembered, a bounded number
of them, under the secret they come from, so that a rotated secret cannot verify with an old key.

Errors are `ApiError`s with the service's code and text. Statuses are the documented ones (assumed: some
services answer 400 instead); SDKs go by the code.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote, unquote_to_bytes

import msgspec

from partnerbus.api.errors import ApiError
from partnerbus.edge.head import RequestHead
from partnerbus.engine.accounts import KeyHolder
from partnerbus.kernel.clock import Clock

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "events"
TERMINATOR = "aws4_request"
REFUSED_STATUS = 403
LONGEST_EXPIRY_SECONDS = 604_800
"""A presigned request lives at most seven days (documented)."""
REMEMBERED_KEYS = 1_024

REGION = re.compile(r"[a-z]{2,8}(-[a-z]{1,16}){1,4}-[0-9]{1,2}")
_BASIC = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_BASIC_FORMAT = "%Y%m%dT%H%M%SZ"
_ECHOED = 512

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
    "Access Key and signing method. Consult the service documentation for details."
)
INVALID_TOKEN = "The security token included in the request is invalid."  # noqa: S105 - a sentence


class KeyLookup(Protocol):
    """Where secrets come from."""

    def holder(self, access_key: str) -> KeyHolder | None:
        """Who holds an access key; None if nobody does."""


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


# -- what the caller claims ------------------------------------------------------------------------------


class Presented(msgspec.Struct, frozen=True, kw_only=True):
    """A signature as it came. `expires` is set for presigned requests."""

    access_key: str
    day: str
    region: str
    service: str
    terminator: str
    signed_headers: tuple[str, ...]
    signature: str
    signed_at: str
    expires: timedelta | None = None

    @property
    def scope(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/{self.terminator}"


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
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        raise incomplete(f"Unsupported AWS 'algorithm': '{algorithm[:64]}'.")
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
    return _presented(parts["Credential"], parts["SignedHeaders"], parts["Signature"], dates[0])


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
    if parameters["X-Amz-Algorithm"] != ALGORITHM:
        raise incomplete(f"Unsupported AWS 'algorithm': '{parameters['X-Amz-Algorithm'][:64]}'.")
    found = _presented(
        parameters["X-Amz-Credential"],
        parameters["X-Amz-SignedHeaders"],
        parameters["X-Amz-Signature"],
        parameters["X-Amz-Date"],
    )
    return msgspec.structs.replace(found, expires=_expiry(parameters["X-Amz-Expires"]))


def _expiry(seconds: str) -> timedelta:
    if not re.fullmatch("[0-9]{1,6}", seconds) or not 1 <= int(seconds) <= LONGEST_EXPIRY_SECONDS:
        raise incomplete(f"X-Amz-Expires must be a number from 1 to {LONGEST_EXPIRY_SECONDS}.")
    return timedelta(seconds=int(seconds))


def _presented(credential: str, signed_headers: str, signature: str, date: str) -> Presented:
    elements = credential.split("/")
    if len(elements) != 5:
        raise incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{credential[:_ECHOED]}'."
        )
    return Presented(
        access_key=elements[0],
        day=elements[1],
        region=elements[2],
        service=elements[3],
        terminator=elements[4],
        signed_headers=tuple(signed_headers.split(";")),
        signature=signature,
        signed_at=_basic(date),
    )


def _basic(date: str) -> str:
    """A date in ISO 8601 basic format; one in the format of HTTP is turned into it."""
    if _BASIC.fullmatch(date):
        _instant(date)
        return date
    try:
        return parsedate_to_datetime(date).astimezone(UTC).strftime(_BASIC_FORMAT)
    except (ValueError, OverflowError, TypeError, IndexError):
        raise _bad_date(date) from None


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


# -- judging it ------------------------------------------------------------------------------------------


class Signed(msgspec.Struct, frozen=True):
    """A request whose head is in order; only the body, and with it the signature, is still open."""

    head: RequestHead
    presented: Presented
    holder: KeyHolder
    signing_key: bytes

    def confirm(self, body: bytes) -> KeyHolder:
        """Whose request it is; an `ApiError` if the signature is not the holder's."""
        digest = hashlib.sha256(body).hexdigest()
        canonical = canonical_request(self.head, self.presented.signed_headers, digest)
        text = string_to_sign(self.presented, canonical)
        wanted = hmac.digest(self.signing_key, text.encode(), "sha256").hex()
        if not _same(self.presented.signature, wanted):
            raise mismatch()
        return self.holder


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())


def canonical_request(head: RequestHead, signed_headers: Sequence[str], digest: str) -> str:
    """The one text that both sides sign. The path is always `/`."""
    lines = [head.method, "/", canonical_query(head.query)]
    lines += [f"{name}:{','.join(values)}" for name, values in _grouped(head, signed_headers).items()]
    return "\n".join([*lines, "", ";".join(signed_headers), digest])


def _grouped(head: RequestHead, names: Sequence[str]) -> Mapping[str, list[str]]:
    """The values of the headers `names`, in the order of `names`."""
    grouped: dict[str, list[str]] = {name: [] for name in names}
    for name, value in head.headers:
        found = grouped.get(name.decode("latin-1"))
        if found is not None:
            found.append(_collapsed(value))
    return grouped


def _collapsed(value: bytes) -> str:
    """A header's value without outer blanks and with inner runs of them as one. Bytes stay what they are."""
    return " ".join(value.decode("utf-8", "surrogateescape").split())


def canonical_query(query: bytes) -> str:
    """Every parameter but the signature, escaped anew and sorted."""
    if not query:
        return ""
    pairs = [
        (_quoted(name), _quoted(value)) for name, value in query_pairs(query) if name != "X-Amz-Signature"
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~", errors="surrogateescape")


def string_to_sign(presented: Presented, canonical: str) -> str:
    hashed = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{ALGORITHM}\n{presented.signed_at}\n{presented.scope}\n{hashed}"


def signing_key(secret: str, day: str, region: str) -> bytes:
    """The key of one day, region and secret."""
    key = f"AWS4{secret}".encode()
    for word in (day, region, SERVICE, TERMINATOR):
        key = hmac.digest(key, word.encode(), "sha256")
    return key


class Verifier:
    """Judges signatures by `clock`, which may be `skew` away from the caller's either way."""

    def __init__(self, keys: KeyLookup, clock: Clock, skew: timedelta = timedelta(minutes=5)) -> None:
        self._keys = keys
        self._clock = clock
        self._skew = skew
        self._signing_key = lru_cache(maxsize=REMEMBERED_KEYS)(signing_key)

    def read(self, head: RequestHead) -> Signed:
        """Judge all that can be judged before the body is read; an `ApiError` if anything is wrong."""
        presented = present(head)
        _check_scope(presented)
        _check_signed_headers(presented, head)
        self._check_instant(presented)
        if head.values(b"x-amz-security-token") or b"X-Amz-Security-Token=" in head.query:
            raise unrecognized()  # no key of this server is temporary
        holder = self._keys.holder(presented.access_key)
        if holder is None:
            raise unrecognized()
        key = self._signing_key(holder.secret, presented.day, presented.region)
        return Signed(head, presented, holder, key)

    def _check_instant(self, presented: Presented) -> None:
        now = self._clock.now().replace(microsecond=0)
        signed_at = _instant(presented.signed_at)
        lifetime = presented.expires or self._skew
        minutes = f"{lifetime.total_seconds() / 60:g} min."
        if now - signed_at > lifetime:
            raise mismatch(
                f"Signature expired: {presented.signed_at} is now earlier than "
                f"{_text(now - lifetime)} ({_text(now)} - {minutes})"
            )
        if signed_at - now > self._skew:
            raise mismatch(
                f"Signature not yet current: {presented.signed_at} is still later than "
                f"{_text(now + self._skew)} ({_text(now)} + {self._skew.total_seconds() / 60:g} min.)"
            )


def _instant(basic: str) -> datetime:
    try:
        return datetime.fromisoformat(basic)
    except ValueError:
        raise _bad_date(basic) from None


def _text(instant: datetime) -> str:
    return instant.strftime(_BASIC_FORMAT)


def _check_scope(presented: Presented) -> None:
    if presented.terminator != TERMINATOR:
        raise mismatch(
            f"Credential should be scoped with a valid terminator: '{TERMINATOR}', "
            f"not '{presented.terminator[:64]}'."
        )
    if presented.service != SERVICE:
        raise mismatch(f"Credential should be scoped to correct service: '{SERVICE}'.")
    if REGION.fullmatch(presented.region) is None:
        raise mismatch("Credential should be scoped to a valid region.")
    if presented.day != presented.signed_at[:8]:
        raise mismatch(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{presented.day[:64]}' != '{presented.signed_at[:8]}', from '{presented.signed_at}'."
        )


def _check_signed_headers(presented: Presented, head: RequestHead) -> None:
    signed = frozenset(presented.signed_headers)
    if len(signed) != len(presented.signed_headers):
        raise mismatch("SignedHeaders has a header more than once.")
    if "host" not in signed:
        raise mismatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    names = {name.decode("latin-1") for name, _ in head.headers}
    if presented.expires is None and not names & signed & {"x-amz-date", "date"}:
        raise mismatch("The date of the request must be signed.")
    unsigned = sorted(name for name in names - signed if name.startswith("x-amz-"))
    if unsigned:
        raise mismatch(
            f"There were headers present in the request which were not signed: {unsigned[0][:64]}."
        )
