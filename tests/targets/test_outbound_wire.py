"""Requests as bytes."""

import pytest

from partnerbus.targets.outbound import OutboundRequest
from partnerbus.targets.outbound_wire import Origin, Places, read_url, written


def bytes_of(request: OutboundRequest) -> bytes:
    return written(request, read_url(request.url))


@pytest.mark.parametrize(
    ("url", "origin", "authority", "target"),
    [
        ("http://a.example", Origin("a.example", 80, False), "a.example", "/"),
        ("https://a.example:443/", Origin("a.example", 443, True), "a.example", "/"),
        ("https://A.example:8443/b", Origin("a.example", 8443, True), "a.example:8443", "/b"),
        ("http://a.example?b=c#d", Origin("a.example", 80, False), "a.example", "/?b=c"),
        (
            "http://a.example/%2F/..//?",
            Origin("a.example", 80, False),
            "a.example",
            "/%2F/..//?",
        ),
        ("http://[::1]:81/", Origin("::1", 81, False), "[::1]:81", "/"),
    ],
)
def test_what_a_url_says(url: str, origin: Origin, authority: str, target: str):
    place = read_url(url)
    assert (place.origin, place.authority, place.target) == (origin, authority, target)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example",
        "ftp://a.example/",
        "file:///etc/passwd",
        "http:///path",
        "http://",
        "http://user:password@a.example/",
        "http://a.example@b.example/",
        "http://a.example:0/",
        "http://a.example:65536/",
        "http://a.example:x/",
        "http://a.example /",
        "http://a.example/a b",
        "http://a.example/\r\nX: y",
        "http://a.example/\x00",
        "http://a.example\\@b.example/",
        "http://ä.example/",
        "http://a.example/ä",
        "http://a..example/",
        f"http://{'a' * 64}.example/",
        "http://[::1/",
        "http://[a]/",
    ],
)
def test_nothing_is_sent_to_what_is_no_url(url: str):
    with pytest.raises(ValueError):
        read_url(url)


def test_a_request_to_the_byte():
    request = OutboundRequest(
        method="POST", url="http://a.example/p?q", headers={"X-A": "ä\tb", "x-b": ""}, body=b"{}"
    )
    assert bytes_of(request) == (
        "POST /p?q HTTP/1.1\r\nHost: a.example\r\nX-A: ä\tb\r\nx-b: \r\nContent-Length: 2\r\n\r\n{}".encode()
    )


def test_the_framing_is_not_the_caller_s():
    headers = {"host": "other", "Content-Length": "9", "transfer-Encoding": "chunked"}
    request = OutboundRequest(method="PUT", url="http://a.example/", headers=headers, body=b"ab")
    assert bytes_of(request) == b"PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nab"


@pytest.mark.parametrize(
    ("method", "has_length"), [("GET", False), ("HEAD", False), ("POST", True), ("DELETE", True)]
)
def test_a_request_without_a_body(method: str, has_length: bool):
    text = bytes_of(OutboundRequest(method=method, url="http://a.example/"))
    assert (b"\r\nContent-Length: 0\r\n" in text) is has_length
    assert text.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET / HTTP/1.1\r\nX:", {}),
        ("", {}),
        ("GÄT", {}),
        ("GET", {"": "a"}),
        ("GET", {"A:B": "a"}),
        ("GET", {"A\r\nB": "a"}),
        ("GET", {"Ä": "a"}),
        ("GET", {"A": "a\r\nB: b"}),
        ("GET", {"A": "a\n"}),
        ("GET", {"A": "\x00"}),
        ("GET", {"A": "\x7f"}),
    ],
)
def test_what_would_not_stay_one_request(method: str, headers: dict[str, str]):
    with pytest.raises(ValueError):
        bytes_of(OutboundRequest(method=method, url="http://a.example/", headers=headers))


def test_places_are_remembered_but_not_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("partnerbus.targets.outbound_wire.PLACES_REMEMBERED", 2)
    places = Places()
    first = places.find("http://a.example/1")
    assert places.find("http://a.example/1") is first
    places.find("http://a.example/2")
    places.find("http://a.example/3")
    assert places.find("http://a.example/1") is not first
