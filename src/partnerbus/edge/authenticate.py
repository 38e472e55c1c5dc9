"""Who calls: by their signature, or, without authentication, by what they say."""

import re
from typing import Protocol

import msgspec

from partnerbus.api.errors import access_denied
from partnerbus.edge.head import RequestHead
from partnerbus.edge.presented import Algorithm, query_pairs
from partnerbus.edge.sigv4 import REGION, Signed, Verifier


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Whose request it is, and for which region; `signed_for` as in `Call`."""

    account: str
    region: str
    partner: str | None = None
    any_partner: bool = False
    signed_for: tuple[str, ...] = ("*",)


class Arrived(Protocol):
    """A request whose head was accepted."""

    def confirm(self, body: bytes) -> Caller:
        """The caller, now that the body is known; an `ApiError` if it is not who it says."""


class Authenticator(Protocol):
    """Tells callers apart."""

    def read(self, head: RequestHead) -> Arrived:
        """Judge the head, before the body is read; an `ApiError` if that is enough to refuse."""


class SignedCalls:
    """Every request must be signed with a key of this server.

    One that is signed for several regions is for the first that is named in full, or else for `region`.
    """

    def __init__(self, verifier: Verifier, region: str) -> None:
        self._verifier = verifier
        self._region = region

    def read(self, head: RequestHead) -> Arrived:
        return _SignedCall(self._verifier.read(head), self._region)


class _SignedCall(msgspec.Struct, frozen=True):
    signed: Signed
    default_region: str

    def confirm(self, body: bytes) -> Caller:
        holder, presented = self.signed.confirm(body), self.signed.presented
        if presented.algorithm is Algorithm.SIGV4:
            return Caller(account=holder.account, region=presented.regions[0], partner=holder.partner)
        named = (region for region in presented.regions if REGION.fullmatch(region))
        return Caller(
            account=holder.account,
            region=next(named, self.default_region),
            partner=holder.partner,
            signed_for=presented.regions,
        )


class AnyCalls:
    """Nobody is checked (for tests and laptops): an access key of twelve digits names the account.

    Web pages are the one caller that is refused: a page that a browser shows could otherwise reach a
    server on the same machine. SDKs and command lines send no `Origin`.
    """

    def __init__(self, default_account: str, region: str) -> None:
        self._default = Caller(account=default_account, region=region, any_partner=True)

    def read(self, head: RequestHead) -> Arrived:
        if head.values(b"origin"):
            raise access_denied("Without authentication, requests from web pages are refused.")
        return _AnyCall(self._caller(head))

    def _caller(self, head: RequestHead) -> Caller:
        key, region = _credential(head)
        return Caller(
            account=key if _ACCOUNT.fullmatch(key) else self._default.account,
            region=region if REGION.fullmatch(region) else self._default.region,
            any_partner=True,
        )


class _AnyCall(msgspec.Struct, frozen=True):
    caller: Caller

    def confirm(self, body: bytes) -> Caller:  # noqa: ARG002 - whatever the body, it is believed
        return self.caller


_ACCOUNT = re.compile(r"[0-9]{12}")
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/[^/,\s]*/([^/,\s]*)/")


def _credential(head: RequestHead) -> tuple[str, str]:
    """The access key and the region that a request names, each empty if it names none."""
    for text in head.values(b"authorization"):
        found = _CREDENTIAL.search(text)
        if found is not None:
            return found.group(1), found.group(2)
    for name, value in query_pairs(head.query):
        if name == "X-Amz-Credential":
            key, _, scope = value.partition("/")
            return key, scope.partition("/")[2].partition("/")[0]
    return "", ""
