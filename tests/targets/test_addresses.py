"""Which addresses and URLs a customer's target may have."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partnerbus.targets.addresses import AddressGuard, literal_address, parse_networks

CLOSED = AddressGuard()
OPEN = AddressGuard(allow_private=True)

PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "192.167.255.255", "2606:4700::1111", "64:ff9b::808:808"]
PRIVATE = [
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "127.0.0.1", "127.255.255.254",
    "::1", "fc00::1", "fd12:3456::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1",
]  # fmt: skip
NEVER = [
    "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16",
    "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255", "192.88.99.1", "::", "::7f00:1", "::ffff:169.254.169.254",
    "::ffff:0.0.0.0", "::ffff:0:7f00:1", "64:ff9b::169.254.169.254", "64:ff9b:1::a00:1", "2002:7f00:1::",
    "2002:0808:0808::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "fe80::1", "fec0::1",
    "ff02::1", "fd00:ec2::254", "100::1",
]  # fmt: skip


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_allowed(text: str):
    assert CLOSED.allows(ip_address(text))
    assert OPEN.allows(ip_address(text))


@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses_are_for_those_who_allow_them(text: str):
    assert not CLOSED.allows(ip_address(text))
    assert OPEN.allows(ip_address(text))


@pytest.mark.parametrize("text", NEVER)
def test_some_addresses_are_never_allowed(text: str):
    assert not CLOSED.allows(ip_address(text))
    assert not OPEN.allows(ip_address(text))


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("10.1.0.0", True),
        ("10.1.255.255", True),
        ("10.2.0.0", False),
        ("10.0.255.255", False),
        ("192.168.1.1", False),
        ("127.0.0.1", False),
        ("::ffff:10.1.2.3", True),
        ("64:ff9b::10.1.2.3", True),
        ("64:ff9b::10.2.2.3", False),
        ("2002:0a01:0203::", False),
        ("fd00:1::7", True),
        ("fd00:2::7", False),
        ("::1", False),
        ("169.254.169.254", False),
        ("8.8.8.8", True),
    ],
)
def test_single_networks_can_be_allowed(text: str, allowed: bool):
    guard = AddressGuard(networks=parse_networks("10.1.0.0/16, fd00:1::/32"))
    assert guard.allows(ip_address(text)) is allowed


def test_an_allowed_network_does_not_reach_a_metadata_service():
    guard = AddressGuard(networks=parse_networks("100.64.0.0/10,fc00::/7"))
    assert guard.allows(ip_address("100.64.0.1"))
    assert not guard.allows(ip_address("100.100.100.200"))
    assert not guard.allows(ip_address("fd00:ec2::254"))


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://10.1.2.3/hook", True),
        ("https://10.1.2.3/hook", True),
        ("http://10.2.2.3/hook", False),
        ("http://localhost/hook", False),
        ("http://example.com/hook", False),
    ],
)
def test_urls_where_a_network_is_allowed(url: str, allowed: bool):
    guard = AddressGuard(networks=parse_networks("10.1.0.0/16"))
    assert (guard.url_refusal(url) is None) is allowed


def test_localhost_is_allowed_with_its_network():
    guard = AddressGuard(networks=parse_networks("127.0.0.0/8"))
    assert guard.url_refusal("http://localhost:8080/") is None


def test_networks_are_read():
    assert parse_networks("") == parse_networks("  ") == ()
    assert [str(one) for one in parse_networks(" 10.0.0.0/8,::1/128 ")] == ["10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("10.1.0.1/16", "is no network"),
        ("ten", "is no network"),
        ("10.0.0.0/8,", "is no network"),
        ("0.0.0.0/0", "no part of a private network"),
        ("::/0", "no part of a private network"),
        ("8.8.8.0/24", "no part of a private network"),
        ("169.254.0.0/16", "no part of a private network"),
        ("10.0.0.0/7", "no part of a private network"),
        ("fe80::/10", "no part of a private network"),
    ],
)
def test_networks_that_cannot_be_allowed(text: str, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        parse_networks(text)


@given(st.ip_addresses(v=4))
def test_what_is_refused_covers_what_python_calls_not_global(address):
    if not address.is_global:
        assert not CLOSED.allows(address)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:0:0", "64:ff9b::"]))
def test_an_embedded_address_is_judged_as_itself(address, prefix):
    embedded = ip_address(int(ip_address(prefix)) | int(address))
    assert CLOSED.allows(embedded) == CLOSED.allows(address)
    assert OPEN.allows(embedded) == OPEN.allows(address)


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1", "127.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "017700000001", "127.0.1."],
)
def test_every_spelling_of_loopback_is_seen(text: str):
    address = literal_address(text)
    assert address is not None
    assert address.is_loopback


@pytest.mark.parametrize(
    "text", ["example.com", "127.0.0.1.example.com", "0x.example", "1.2.3.4.5", "999.1.1.1"]
)
def test_names_are_no_addresses(text: str):
    assert literal_address(text) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/path/*/more?x=1",
        "https://example.com:8443/",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
        "HTTPS://EXAMPLE.com/",
    ],
)
def test_urls_that_may_be_put(url: str):
    assert CLOSED.url_refusal(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "example.com",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://example.com/#fragment",
        "https://example.com/#",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:port/",
        "https://exa mple.com/",
        "https://example.com/a b",
        "https://example.com/\r\nX: 1",
        "https://example.com\\@localhost/",
        "https://ex%61mple.com/",
        "https://éxample.com/",
        "https://[::1",
        "https://127.0.0.1/",
        "https://0x7f.1/",
        "https://2130706433/",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "http://localhost:8080/",
    ],
)
def test_urls_that_may_not(url: str):
    assert CLOSED.url_refusal(url) is not None


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://localhost:8080/hook", True),
        ("http://127.0.0.1:8080/hook", True),
        ("http://10.1.2.3/hook", True),
        ("http://[::1]:8080/hook", True),
        ("https://localhost/", True),
        ("https://10.1.2.3/", True),
        ("http://example.com/", False),
        ("http://8.8.8.8/", False),
        ("http://169.254.169.254/", False),
        ("https://169.254.169.254/", False),
        ("http://localhost.example.com/", False),
    ],
)
def test_urls_where_private_addresses_are_allowed(url: str, allowed: bool):
    assert (OPEN.url_refusal(url) is None) is allowed


@given(st.text(max_size=40))
def test_no_text_breaks_the_judgement(text: str):
    CLOSED.url_refusal(text)
    OPEN.url_refusal("https://" + text)
