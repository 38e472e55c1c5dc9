"""A NATS user's key (nkey): what is in its seed, and its signatures.

The form is nkeys' (documented): base 32 of a prefix that says whose key it is, the key, and a CRC-16. We
read it ourselves, since the package that does has no wheels.
"""

import base64
import binascii

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SEED = 18 << 3
_USER = 20 << 3
_SEED_OF_USER = bytes([_SEED | _USER >> 5, (_USER & 31) << 3])
_KEY_BYTES = 32


class NotAUserKey(ValueError):
    """The text is no seed of a user's key; the text of this error holds nothing of it."""

    def __init__(self) -> None:
        super().__init__("not the seed of a NATS user's key")


class UserKey:
    """The key in `seed` (`SU…`); raises `NotAUserKey`."""

    def __init__(self, seed: str) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(_private_bytes(seed))

    @property
    def public(self) -> str:
        """What a server knows the user by (`U…`)."""
        known = bytes([_USER]) + self._key.public_key().public_bytes_raw()
        return base64.b32encode(known + _checksum(known)).decode().rstrip("=")

    def sign(self, nonce: str) -> bytes:
        """The proof for a server that asked with `nonce`, in base 64."""
        return base64.b64encode(self._key.sign(nonce.encode()))

    def __repr__(self) -> str:
        return f"UserKey({self.public})"


def _private_bytes(seed: str) -> bytes:
    try:
        raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    except ValueError:
        raise NotAUserKey from None
    known, checksum = raw[:-2], raw[-2:]
    is_whole = len(known) == len(_SEED_OF_USER) + _KEY_BYTES and checksum == _checksum(known)
    if not is_whole or not known.startswith(_SEED_OF_USER):
        raise NotAUserKey
    return known[len(_SEED_OF_USER) :]


def _checksum(known: bytes) -> bytes:
    return binascii.crc_hqx(known, 0).to_bytes(2, "little")
