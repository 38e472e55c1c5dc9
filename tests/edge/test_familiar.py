"""Heads like one that was judged before: they are judged as a verifier judges that sees them first."""

import re
from datetime import timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from partnerbus.api.errors import ApiError
from partnerbus.edge.familiar import LONGEST_BYTES, REMEMBERED, Familiar
from partnerbus.edge.head import RequestHead
from partnerbus.edge.presented import present
from partnerbus.edge.sigv4 import Verifier
from partnerbus.engine.accounts import KeyHolder
from partnerbus.kernel.clock import ManualClock
from partnerbus.testing.load import signed_request
from tests.edge.world import ACCOUNT, REGION

BODY = b"{}"


class OneKey:
    def __init__(self):
        self.secret = "secret"

    def holder(self, access_key: str) -> KeyHolder | None:
        return KeyHolder(account=ACCOUNT, partner=None, secret=self.secret) if access_key == "key" else None


def head_of(headers, query=b""):
    return RequestHead(method="POST", query=query, headers=headers)


def genuine():
    """The headers of a request that botocore signed, at an instant of ours."""
    lines = signed_request("http://a", "PutEvents", {}, "key", "secret", REGION).split(b"\r\n\r\n")[0]
    headers = [tuple(line.split(b": ", 1)) for line in lines.split(b"\r\n")[1:]]
    return [(name.lower(), value) for name, value in headers]


def signed_at(headers):
    [found] = [value for name, value in headers if name == b"x-amz-date"]
    return found.decode()


def clock_at(basic):
    clock = ManualClock()
    clock._now = clock.now().fromisoformat(basic)
    return clock


def verdict(verifier, head):
    try:
        return verifier.read(head).confirm(BODY)
    except ApiError as error:
        return error.code, error.message


HEADERS = genuine()
AUTHORIZATION = dict(HEADERS)[b"authorization"]
DAY = signed_at(HEADERS)[:8].encode()

VALUES = st.sampled_from(
    [
        AUTHORIZATION,
        AUTHORIZATION[:-1] + b"0",
        AUTHORIZATION[:-1],
        AUTHORIZATION[:-1] + b",",
        AUTHORIZATION + b", Signature=0",
        AUTHORIZATION.replace(b"key/", b"other/"),
        AUTHORIZATION.replace(b"key/" + DAY, b"key/20200101"),
        AUTHORIZATION.replace(b"SignedHeaders=", b"SignedHeaders=accept;"),
        AUTHORIZATION.replace(b"host;", b""),
        AUTHORIZATION.replace(b"AWS4-HMAC-SHA256", b"AWS4-ECDSA-P256-SHA256"),
        re.sub(rb"Signature=(.*)", rb"Signature= \1", AUTHORIZATION),
        DAY + b"T000000Z",
        DAY + b"T996000Z",
        b"20200101T000000Z",
        b"Thu, 01 Jan 2026 00:00:00 GMT",
        b"",
        b"token",
    ]
)
NAMES = st.sampled_from(
    [name for name, _ in HEADERS] + [b"date", b"x-amz-security-token", b"x-amz-odd", b"accept"]
)
CHANGE = st.one_of(
    st.tuples(st.just("set"), NAMES, VALUES),
    st.tuples(st.just("add"), NAMES, VALUES),
    st.tuples(st.just("drop"), NAMES, st.just(b"")),
)
QUERIES = st.sampled_from([b"", b"", b"X-Amz-Security-Token=x", b"X-Amz-Signature=x", b"a=b"])


def changed(headers, change):
    how, name, value = change
    if how == "add":
        return [*headers, (name, value)]
    if how == "drop":
        return [each for each in headers if each[0] != name]
    return [(each[0], value if each[0] == name else each[1]) for each in headers]


@given(st.lists(CHANGE, max_size=3), QUERIES)
@example([("set", b"x-amz-date", b"20200101T000000Z")], b"")
@example([("set", b"authorization", AUTHORIZATION[:-1] + b"\xff")], b"")
@example([("add", b"authorization", AUTHORIZATION)], b"")
@example([("add", b"x-amz-odd", b"")], b"")
@example([], b"X-Amz-Security-Token=x")
def test_who_is_known_is_judged_like_a_stranger(changes, query):
    clock = clock_at(signed_at(HEADERS))
    knows = Verifier(OneKey(), clock)
    assert verdict(knows, head_of(HEADERS)).account == ACCOUNT
    headers = HEADERS
    for change in changes:
        headers = changed(headers, change)
    head = head_of(headers, query)
    assert verdict(knows, head) == verdict(Verifier(OneKey(), clock), head)


def test_a_known_head_is_recalled_with_its_own_instant_and_signature():
    familiar, first = Familiar(), head_of(HEADERS)
    familiar.remember(first, present(first))
    at, signature = DAY + b"T010203Z", b"ab" * 32
    later = changed(HEADERS, ("set", b"x-amz-date", at))
    later = changed(later, ("set", b"authorization", AUTHORIZATION[:-64] + signature))
    found = familiar.recall(head_of(later))
    assert found == present(head_of(later))
    assert (found.signed_at, found.signature) == (at.decode(), signature.decode())


async def test_a_known_caller_is_refused_once_its_key_or_its_time_is_over():
    clock, keys = clock_at(signed_at(HEADERS)), OneKey()
    verifier = Verifier(keys, clock)
    assert verdict(verifier, head_of(HEADERS)).account == ACCOUNT
    keys.secret = "rotated"
    assert verdict(verifier, head_of(HEADERS))[0] == "InvalidSignatureException"
    keys.secret = "secret"
    await clock.advance(timedelta(minutes=6))
    assert verdict(verifier, head_of(HEADERS))[1].startswith("Signature expired")


def test_what_is_remembered_is_bounded():
    familiar = Familiar()
    for number in range(REMEMBERED + 10):
        head = head_of([*HEADERS, (b"x%d" % number, b"")])
        familiar.remember(head, present(head))
    assert len(familiar) == REMEMBERED
    assert familiar.recall(head_of([*HEADERS, (b"x0", b"")])) is None
    assert familiar.recall(head) is not None


def test_a_long_head_is_not_remembered():
    familiar, head = Familiar(), head_of([*HEADERS, (b"x" * LONGEST_BYTES, b"")])
    familiar.remember(head, present(head))
    assert len(familiar) == 0
