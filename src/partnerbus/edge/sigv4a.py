"""SigV4A: a signature for several regions at once, made with a private key.

The key pair is derived from the secret and the access key's id, for all days and regions: HMAC-SHA256 as a
key derivation function in counter mode (NIST SP 800-108), repeated with the next counter until its output is
a private key of the curve P-256. We derive the same pair and keep its public half; what is signed is the same
text as in SigV4, with a scope that has no region.
"""

import hmac
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from partnerbus.edge.presented import Algorithm

ORDER = 0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551
"""How many points the curve has."""

LAST_COUNTER = 254
_SIGNATURE = re.compile(r"([0-9a-f]{2}){8,72}")
"""Two numbers of up to 33 bytes in DER, in hex."""


def private_key(secret: str, access_key: str) -> ec.EllipticCurvePrivateKey:
    """The private key of an access key and its secret."""
    for counter in range(1, LAST_COUNTER + 1):
        found = int.from_bytes(_derived(secret, access_key, counter))
        if found <= ORDER - 2:
            return ec.derive_private_key(found + 1, ec.SECP256R1())
    raise ValueError("no private key can be derived")  # one secret in 2**8000


def _derived(secret: str, access_key: str, counter: int) -> bytes:
    label = Algorithm.SIGV4A.encode()
    context = access_key.encode() + bytes([counter])
    block = (1).to_bytes(4) + label + b"\0" + context + (256).to_bytes(4)
    return hmac.digest(f"AWS4A{secret}".encode(), block, "sha256")


class PublicKey:
    """Tells what the holder of an access key has signed."""

    def __init__(self, secret: str, access_key: str) -> None:
        self._key = private_key(secret, access_key).public_key()

    def has_signed(self, text: str, signature: str) -> bool:
        """Whether `signature` (hex of DER) is the holder's for `text`."""
        if _SIGNATURE.fullmatch(signature) is None:
            return False
        try:
            self._key.verify(bytes.fromhex(signature), text.encode(), ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True
