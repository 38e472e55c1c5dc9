"""IP addresses as the service's matcher reads them.

IPv4 is four decimal parts, leading zeroes allowed, 15 characters at most; IPv6 is hexadecimal words with at
most one `::`, without dots, zone or brackets, and one that maps an IPv4 address is that address (observed).
"""

import re

from partnerbus.patterns.affixes import set_bits

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


class AddressTable:
    """Masks by the blocks that an address is in; an address by itself is a block of one.

    There are as many look-ups as sizes of blocks, however many blocks there are.
    """

    __slots__ = ("blocks",)

    def __init__(self) -> None:
        self.blocks: dict[tuple[int, int], dict[int, int]] = {}
        """By the bytes of an address and the bits that a block shares: masks by these bits."""

    def change(self, address: bytes, shared: int, bits: int, *, adding: bool) -> None:
        """Add or remove `bits` for the block of addresses that share the first bits of `address`."""
        size = len(address), shared
        table = self.blocks.setdefault(size, {})
        set_bits(table, network(address, shared), bits, adding=adding)
        if not table:
            del self.blocks[size]

    def hits(self, text: str) -> int:
        """The bits of all blocks that `text` is an address in."""
        address = parse_address(text) if self.blocks else None
        found = 0
        if address is not None:
            for (size, shared), table in self.blocks.items():
                if size == len(address):
                    found |= table.get(network(address, shared), 0)
        return found


def network(address: bytes, bits: int) -> int:
    """The first `bits` of `address` as a number: what the addresses of one block share."""
    return int.from_bytes(address, "big") >> (8 * len(address) - bits)
