"""Which addresses a customer's target may make this node connect to.

A URL that a customer chose must not reach what only this machine can reach: its own ports, the private
network around it, the cloud's metadata service. The check is made on the address that is connected to, not
on the name, so a name that resolves differently the second time gains nothing (DNS rebinding).
"""

import re
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_PRIVATE_V4 = tuple(
    IPv4Network(net)
    for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8")
)
_PRIVATE_V6 = tuple(IPv6Network(net) for net in ("::1/128", "fc00::/7"))

_NEVER_V4 = tuple(
    IPv4Network(net)
    for net in (
        "0.0.0.0/8",  # this host, this network
        "169.254.0.0/16",  # link-local, with the metadata services of most clouds
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata service
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "100.100.100.200/32",  # Alibaba Cloud's metadata service, in shared address space
        "168.63.129.16/32",  # Azure's platform service, a public address that only its machines reach
    )
)
_NEVER_V6 = tuple(
    IPv6Network(net)
    for net in (
        "::/96",  # unspecified, IPv4-compatible
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b:1::/48",  # local NAT64, whose embedding is the network's own affair
        "100::/64",  # discard
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
        "5f00::/16",
        "fd00:ec2::254/128",  # AWS's metadata service over IPv6
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")

_ODD_IPV4 = re.compile(r"(?:0[xX][0-9a-fA-F]+|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]+|[0-9]+)){0,3}\.?")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]{0,252})")


LOOPBACK = IPv4Address("127.0.0.1")


class AddressGuard:
    """Says which addresses may be connected to.

    Of private and loopback addresses those in `networks` are allowed, and with `allow_private` all: for
    tests and for a node whose customers share its network. Link-local (metadata), multicast and reserved
    ones never are.
    """

    def __init__(self, allow_private: bool = False, networks: Sequence[Network] = ()) -> None:
        self._allow_private = allow_private
        self._networks = tuple(networks)

    def allows(self, address: Address) -> bool:
        """Whether this node may connect to `address`."""
        address = _embedded(address)
        if _within(address, _PRIVATE_V4, _PRIVATE_V6) and not self._is_metadata(address):
            return self._allow_private or any(address in network for network in self._networks)
        return not _within(address, _NEVER_V4, _NEVER_V6)

    def url_refusal(self, url: str) -> str | None:
        """Why a target must not have this URL, as a sentence; None if it may.

        `https` is required; `http` may be used for a private address or `localhost` where those are
        allowed. A name is not resolved here: what it resolves to is checked at each connection.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return "The URL is not valid."
        return _shape_refusal(url, parts, port) or self._host_refusal(parts)

    def _host_refusal(self, parts: SplitResult) -> str | None:
        host = parts.hostname or ""
        literal = literal_address(host)
        is_local_name = host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost")
        if literal is not None and not self.allows(literal):
            return "The URL's address is not allowed as a target."
        if is_local_name and not self.allows(LOOPBACK):
            return "The URL's host is not allowed as a target."
        if parts.scheme == "http" and not (is_local_name or (literal is not None and _is_private(literal))):
            return "The URL must start with https://."
        return None

    @staticmethod
    def _is_metadata(address: Address) -> bool:
        return str(address) in ("100.100.100.200", "fd00:ec2::254")


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks that private targets may be in, from `10.1.0.0/16,fd00:1::/64`.

    Only private ones can be named: public addresses are allowed anyway, and the others never. `ValueError`
    says what is wrong.
    """
    return tuple(_parse_network(part.strip()) for part in text.split(",")) if text.strip() else ()


def _parse_network(text: str) -> Network:
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is no network; write one like 10.1.0.0/16") from None
    private = (
        any(network.subnet_of(one) for one in _PRIVATE_V4)
        if isinstance(network, IPv4Network)
        else any(network.subnet_of(one) for one in _PRIVATE_V6)
    )
    if not private:
        raise ValueError(f"{text} is no part of a private network, and only these can be allowed")
    return network


def literal_address(host: str) -> Address | None:
    """The address that `host` spells, also in the odd ways of `inet_aton` (`0x7f.1`); None for a name."""
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        pass
    if not _ODD_IPV4.fullmatch(host):
        return None
    try:
        return IPv4Address(socket.inet_aton(host.rstrip(".")))
    except OSError:
        return None


def is_host(text: str) -> bool:
    """Whether a URL's host, without brackets, is a name or an address."""
    return bool(_HOST.fullmatch(text)) or (":" in text and literal_address(text) is not None)


def _shape_refusal(url: str, parts: SplitResult, port: int | None) -> str | None:
    """What is wrong with a URL before its host is looked at."""
    if parts.scheme not in ("https", "http"):
        return "The URL must start with https://."
    if not url.isascii() or re.search(r"[\x00-\x20\x7f\\]", url):
        return "The URL holds a character that must be percent-encoded."
    if "@" in parts.netloc:
        return "The URL must not hold a user name or password."
    if "#" in url:
        return "The URL must not hold a fragment."
    if port == 0:
        return "The URL's port is not valid."
    host = parts.hostname or ""
    if not is_host(host):
        return "The URL's host is not valid."
    return None


def _embedded(address: Address) -> Address:
    """The IPv4 address that is meant by an IPv4-mapped or NAT64 address."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_private(address: Address) -> bool:
    return _within(_embedded(address), _PRIVATE_V4, _PRIVATE_V6)


def _within(address: Address, v4: tuple[IPv4Network, ...], v6: tuple[IPv6Network, ...]) -> bool:
    if isinstance(address, IPv4Address):
        return any(address in network for network in v4)
    return any(address in network for network in v6)
