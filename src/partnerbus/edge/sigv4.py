"""Who signed this request? Signature Version 4 and 4A, the server's side.

Theory of operation
-------------------
The caller and we share a secret that never travels. Both sides write the request down in one canonical
text, hash it, and sign the hash together with the instant and a *scope* (day, region, service) with a key
derived from the secret. If our signature equals the caller's, the caller had the secret and nothing that
is in the text was changed on the way:

    canonical request   method \\n path \\n query \\n headers \\n names of the headers \\n hash of the body
    string to sign      AWS4-HMAC-SHA256 \\n instant \\n scope \\n hash of the canonical request
    signing key         HMAC(HMAC(HMAC(HMAC("AWS4" + secret, day), region), "events"), "aws4_request")
    signature           hex of HMAC(signing key, string to sign)

SigV4A, with which SDKs sign for a global endpoint, has a key pair in place of the signing key and no region
in its scope (`sigv4a`); the rest is the same.

What keeps a captured request from being worth anything: the signed instant must be near ours (or, presigned,
not past its own expiry), the body's hash is always computed here, and no `x-amz-*` header may stand unsigned,
since `X-Amz-Target` decides what the body means.

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
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote

import msgspec

from partnerbus.edge.familiar import Familiar
from partnerbus.edge.head import RequestHead
from partnerbus.edge.presented import (
    BASIC_FORMAT,
    Algorithm,
    Presented,
    instant_of,
    mismatch,
    present,
    query_pairs,
    unrecognized,
)
from partnerbus.edge.sigv4a import PublicKey
from partnerbus.engine.accounts import KeyHolder
from partnerbus.kernel.clock import Clock

SERVICE = "events"
TERMINATOR = "aws4_request"
REMEMBERED_KEYS = 1_024

REGION = re.compile(r"[a-z]{2,8}(-[a-z]{1,16}){1,4}-[0-9]{1,2}")
NO_TIME = timedelta(0)
_DATES = frozenset((b"x-amz-date", b"date"))


class KeyLookup(Protocol):
    """Where secrets come from."""

    def holder(self, access_key: str) -> KeyHolder | None:
        """Who holds an access key; None if nobody does."""


class Signer(Protocol):
    """What tells the signatures of one holder from others."""

    def has_signed(self, text: str, signature: str) -> bool:
        """Whether `signature` is the holder's for `text`."""


class SharedKey:
    """The signing key of SigV4, which both sides have. Each signature is made with a copy of its hash."""

    def __init__(self, key: bytes) -> None:
        self._hash = hmac.new(key, digestmod="sha256")

    def has_signed(self, text: str, signature: str) -> bool:
        """Whether `signature` is the one that we would make; in constant time."""
        wanted = self._hash.copy()
        wanted.update(text.encode())
        given = signature.encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, wanted.hexdigest().encode())


class Signed(msgspec.Struct, frozen=True):
    """A request whose head is in order; only the body, and with it the signature, is still open."""

    head: RequestHead
    presented: Presented
    holder: KeyHolder
    signer: Signer

    def confirm(self, body: bytes) -> KeyHolder:
        """Whose request it is; an `ApiError` if the signature is not the holder's."""
        digest = hashlib.sha256(body).hexdigest()
        canonical = canonical_request(self.head, self.presented.signed_headers, digest)
        text = string_to_sign(self.presented, canonical)
        if not self.signer.has_signed(text, self.presented.signature):
            raise mismatch()
        return self.holder


def canonical_request(head: RequestHead, signed_headers: Sequence[str], digest: str) -> str:
    """The one text that both sides sign."""
    lines = [head.method, _canonical_path(head.path), canonical_query(head.query)]
    lines += [_canonical_header(name, head.raw(_name(name))) for name in signed_headers]
    return "\n".join([*lines, "", ";".join(signed_headers), digest])


def _canonical_header(name: str, values: tuple[bytes, ...]) -> str:
    value = _collapsed(values[0]) if len(values) == 1 else ",".join(map(_collapsed, values))
    return f"{name}:{value}"


def _canonical_path(path: bytes) -> str:
    """The path, escaped once more than it was sent (documented, for every service but S3)."""
    return "/" if path == b"/" else quote(path, safe="/-_.~")


def _name(signed: str) -> bytes:
    """The header that a signer means; one with other letters than headers have is none."""
    return signed.encode("latin-1", "backslashreplace")


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
    return f"{presented.algorithm}\n{presented.signed_at}\n{presented.scope}\n{hashed}"


def signing_key(secret: str, day: str, region: str) -> bytes:
    """The key of one day, region and secret."""
    key = f"AWS4{secret}".encode()
    for word in (day, region, SERVICE, TERMINATOR):
        key = hmac.digest(key, word.encode(), "sha256")
    return key


def _shared_key(secret: str, day: str, region: str) -> SharedKey:
    return SharedKey(signing_key(secret, day, region))


class Verifier:
    """Judges signatures by `clock`, which may be `skew` away from the caller's either way."""

    def __init__(self, keys: KeyLookup, clock: Clock, skew: timedelta = timedelta(minutes=5)) -> None:
        self._keys = keys
        self._clock = clock
        self._skew = skew
        self._familiar = Familiar()
        self._shared_key = lru_cache(maxsize=REMEMBERED_KEYS)(_shared_key)
        self._public_key = lru_cache(maxsize=REMEMBERED_KEYS)(PublicKey)

    def read(self, head: RequestHead) -> Signed:
        """Judge all that can be judged before the body is read; an `ApiError` if anything is wrong."""
        presented = self._familiar.recall(head)
        if presented is None:
            return self._read_anew(head)
        self._check_instant(presented)
        return self._signed(head, presented)

    def _read_anew(self, head: RequestHead) -> Signed:
        presented = present(head)
        _check_scope(presented)
        _check_signed_headers(presented, head)
        self._check_instant(presented)
        if head.values(b"x-amz-security-token") or b"X-Amz-Security-Token=" in head.query:
            raise unrecognized()  # no key of this server is temporary
        signed = self._signed(head, presented)
        self._familiar.remember(head, presented)
        return signed

    def _signed(self, head: RequestHead, presented: Presented) -> Signed:
        holder = self._keys.holder(presented.access_key)
        if holder is None:
            raise unrecognized()
        return Signed(head, presented, holder, self._signer(presented, holder.secret))

    def _signer(self, presented: Presented, secret: str) -> Signer:
        if presented.algorithm is Algorithm.SIGV4A:
            return self._public_key(secret, presented.access_key)
        return self._shared_key(secret, presented.day, presented.regions[0])

    def _check_instant(self, presented: Presented) -> None:
        now = self._clock.now()
        signed_at = instant_of(presented.signed_at)
        lifetime = presented.expires or self._skew
        if NO_TIME <= now - signed_at <= lifetime:
            return
        now = now.replace(microsecond=0)
        if now - signed_at > lifetime:
            raise mismatch(
                f"Signature expired: {presented.signed_at} is now earlier than "
                f"{_text(now - lifetime)} ({_text(now)} - {_minutes(lifetime)})"
            )
        if signed_at - now > self._skew:
            raise mismatch(
                f"Signature not yet current: {presented.signed_at} is still later than "
                f"{_text(now + self._skew)} ({_text(now)} + {_minutes(self._skew)})"
            )


def _text(instant: datetime) -> str:
    return instant.strftime(BASIC_FORMAT)


def _minutes(duration: timedelta) -> str:
    return f"{duration.total_seconds() / 60:g} min."


def _check_scope(presented: Presented) -> None:
    if presented.terminator != TERMINATOR:
        raise mismatch(
            f"Credential should be scoped with a valid terminator: '{TERMINATOR}', "
            f"not '{presented.terminator[:64]}'."
        )
    if presented.service != SERVICE:
        raise mismatch(f"Credential should be scoped to correct service: '{SERVICE}'.")
    if presented.algorithm is Algorithm.SIGV4 and REGION.fullmatch(presented.regions[0]) is None:
        raise mismatch("Credential should be scoped to a valid region.")
    if presented.day != presented.signed_at[:8]:
        raise mismatch(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{presented.day[:64]}' != '{presented.signed_at[:8]}', from '{presented.signed_at}'."
        )


def _check_signed_headers(presented: Presented, head: RequestHead) -> None:
    signed = frozenset(map(_name, presented.signed_headers))
    if len(signed) != len(presented.signed_headers):
        raise mismatch("SignedHeaders has a header more than once.")
    if b"host" not in signed:
        raise mismatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if presented.expires is None and not head.names & signed & _DATES:
        raise mismatch("The date of the request must be signed.")
    unsigned = sorted(name for name in head.names - signed if name.startswith(b"x-amz-"))
    if unsigned:
        raise mismatch(
            "There were headers present in the request which were not signed: "
            f"{unsigned[0][:64].decode('latin-1')}."
        )
