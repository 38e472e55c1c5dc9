"""Requests that are not quite HTTP: whatever bytes arrive, there is an answer or an end, then the next one.

The bytes are drawn from good requests: lines of the head that are changed, doubled, left out or moved, bodies
in chunks that are well made or not, all of it cut anywhere.
"""

import os
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire.client import Client

pytestmark = pytest.mark.slow

CALM = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "200")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
BODY = b'{"Name":"odd"}'

LINES = (
    b"Content-Length: 14", b"Content-Length: 13", b"Content-Length: 15", b"Content-Length: 0",
    b"Content-Length: -1", b"Content-Length: 1e1", b"Content-Length: 0x0e", b"Content-Length: 14, 14",
    b"Content-Length:", b"Content-Length : 14", b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity", b"Transfer-Encoding: \x0bchunked", b"Content-Encoding: gzip",
    b"Content-Encoding: identity", b"Expect: 100-continue", b"Expect: magic", b"Connection: close",
    b"Connection: keep-alive", b"Connection: upgrade", b"Upgrade: h2c", b"Host: a", b"Host: b", b"Host:",
    b"X-Amz-Target: AWSEvents.ListRules", b"X-Amz-Target: AWSEvents.DescribeEventBus",
    b"Content-Type: application/x-amz-json-1.1", b"Authorization: AWS4-HMAC-SHA256 Credential=",
    b"Authorization: \xff", b"X-Amz-Date: x", b"Trailer: X", b"TE: trailers", b" folded", b"\tfolded",
    b": nameless", b"No colon", b"\x00: \x00", b"X-\x80: \x80", b"X: " + b"y" * 3_000, b"",
)  # fmt: skip

STARTS = (
    b"POST / HTTP/1.1", b"POST / HTTP/1.0", b"POST / HTTP/1.1 ", b"post / HTTP/1.1", b"GET / HTTP/1.1",
    b"POST /", b"POST / HTTP/2.0", b"POST http://a/ HTTP/1.1", b"POST * HTTP/1.1",
    b"POST /?X-Amz-Signature=x HTTP/1.1", b"POST /?%zz&&=&X-Amz-Credential HTTP/1.1",
    b"GET /_partnerbus/status HTTP/1.1", b"GET /metrics HTTP/1.1",
)  # fmt: skip

CHUNK = b"e\r\n" + BODY + b"\r\n"
BODIES = (
    BODY,
    b"",
    BODY[:5],
    BODY * 2,
    CHUNK + b"0\r\n\r\n",
    b"7\r\n" + BODY[:7] + b"\r\n7\r\n" + BODY[7:] + b"\r\n0\r\n\r\n",
    CHUNK.replace(b"e", b"e;x=y", 1) + b"0\r\nX: y\r\n\r\n",
    b"ffffffffffffffffff\r\n" + BODY,
    b"-1\r\n",
    b"0\r\n\r\n",
    CHUNK.replace(b"\r", b"") + b"0\n\n",
    b"g\r\n",
    BODY + b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """The bytes of a request or two."""
    lines = [
        b"Host: a",
        b"X-Amz-Target: AWSEvents.DescribeEventBus",
        b"Content-Type: application/x-amz-json-1.1",
    ]
    lines += draw(st.lists(st.sampled_from(LINES), max_size=3))
    lines += draw(st.sampled_from([[], [b"Content-Length: 14"], [b"Transfer-Encoding: chunked"]]))
    if draw(st.booleans()):
        lines = draw(st.permutations(lines))
    end = draw(st.sampled_from([b"\r\n"] * 9 + [b"\n"]))
    start = draw(st.sampled_from([STARTS[0]] * 9 + list(STARTS)))
    whole = end.join([start, *lines, b"", b""]) + draw(st.sampled_from(BODIES))
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.integers(0, 3)) == 3 else whole


@CALM
@given(sent=st.lists(requests(), min_size=1, max_size=3), cut=st.integers(1, 400))
def test_whatever_bytes_arrive(process_url: str, sent: list[bytes], cut: int) -> None:
    heard = exchange(process_url, b"".join(sent), cut)
    for status in statuses(heard):
        assert status < 500 or status in (501, 505), heard
    assert b"Traceback" not in heard


@pytest.fixture(scope="module", autouse=True)
def still_well(process_url: str) -> Iterator[None]:
    """After all of it the server answers as before, and nothing was made."""
    yield
    with Client(process_url, "000000000000") as client:
        assert [each["Name"] for each in client("ListEventBuses")["EventBuses"]] == ["default"]
        assert client.request("GET", "/readyz", b"", {}).status == 200


def exchange(url: str, sent: bytes, cut: int) -> bytes:
    """Send bytes in pieces and say that there are no more; everything that comes until the end."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        heard = []
        try:
            for start in range(0, len(sent), cut):
                connection.sendall(sent[start : start + cut])
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65_536):
                heard.append(piece)
        except OSError:  # cut off, after an answer or instead of one
            pass
    return b"".join(heard)


def statuses(heard: bytes) -> list[int]:
    """The status of each answer."""
    found = []
    while heard:
        head, _, rest = heard.partition(b"\r\n\r\n")
        version, status, *_ = head.split(b" ", 2)
        assert version == b"HTTP/1.1", heard
        found.append(int(status))
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        heard = rest[int(length or 0) :]
    return found
