"""IP addresses as the service's matcher reads them.

IPv4 is four decimal parts, leading zeroes allowed, 15 characters at most; IPv6 is hexadecimal words with at
most one `::`, without dots, zone or brackets, and one that maps an IPv4 address is that address (observed).
"""

import re

_IPV4 = re.compile(r"[0-9]+(\.[0-9]+){3}", re.ASCII)
_IPV6 = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*", re.ASCII)
_MAPPED = bytes(10) + b"\xff\xff"
_MAX_IPV4_CHARACTERS = 15
_MAX_IPV6_CHARACTERS = 100


def looks_like_address(text: str) -> bool:
    """Whether `text` is written like an address, right or wrong."""
    return _IPV4.fullmatch(text) is not None or _IPV6.fullmatch(text) is not None


def parse_address(text: str) -> bytes | None:
    """The 4 or 16 bytes of an address; None if `text` is none."""
    if "." not in text and ":" not in text:
        return None
    if _IPV4.fullmatch(text):
        return _parse_ipv4(text)
    if len(text) <= _MAX_IPV6_CHARACTERS and _IPV6.fullmatch(text):
        return _parse_ipv6(text)
    return None


def _parse_ipv4(text: str) -> bytes | None:
    if len(text) > _MAX_IPV4_CHARACTERS:
        return None
    parts = [int(part) for part in text.split(".")]
    return bytes(parts) if max(parts) <= 255 else None


def _parse_ipv6(text: str) -> bytes | None:
    head, gap, tail = text.partition("::")
    front, back = _words(head), _words(tail)
    if front is None or back is None or "::" in tail:
        return None
    missing = 8 - len(front) - len(back)
    if missing < 1 if gap else missing != 0:
        return None
    address = b"".join(word.to_bytes(2, "big") for word in [*front, *[0] * missing, *back])
    return address[12:] if address.startswith(_MAPPED) else address


def _words(text: str) -> list[int] | None:
    if not text:
        return []
    words = text.split(":")
    if not all(words):
        return None
    numbers = [int(word, 16) for word in words]
    return numbers if max(numbers) <= 0xFFFF else None


def network(address: bytes, bits: int) -> int:
    """The first `bits` of `address` as a number: what the addresses of one block share."""
    return int.from_bytes(address, "big") >> (8 * len(address) - bits)
