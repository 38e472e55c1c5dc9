"""Keys of operators, accounts and users, and what they sign: what NATS's own tools would make."""

import base64
import binascii
import os

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def seed_of(kind: str, private: bytes) -> str:
    """The seed (`SO…`, `SA…`, `SU…`) of a key of that kind."""
    prefix = _LETTERS.index("S") << 11 | _LETTERS.index(kind) << 6
    return _checked(prefix.to_bytes(2, "big") + private)


class Key:
    """A new key of that kind: O, A or U."""

    def __init__(self, kind: str) -> None:
        private = os.urandom(32)
        self._key = Ed25519PrivateKey.from_private_bytes(private)
        self.seed = seed_of(kind, private)
        prefix = bytes([_LETTERS.index(kind) << 3])
        self.public = _checked(prefix + self._key.public_key().public_bytes_raw())

    def jwt(self, body: object) -> str:
        """`body`, signed."""
        head = {"typ": "JWT", "alg": "ed25519-nkey"}
        signed = ".".join(_base64(msgspec.json.encode(part)) for part in (head, body))
        return f"{signed}.{_base64(self._key.sign(signed.encode()))}"


def _checked(known: bytes) -> str:
    checksum = binascii.crc_hqx(known, 0).to_bytes(2, "little")
    return base64.b32encode(known + checksum).decode().rstrip("=")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
