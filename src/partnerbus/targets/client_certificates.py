"""Client certificates of connections: checked when they are given, opened when they are first shown.

`ssl` reads a key only from a file. The file that it gets here holds the key encrypted with a password that
is drawn for it and forgotten, so the key is on no disk in clear, not even for a moment.
"""

import asyncio
import secrets as randoms
import ssl
from collections.abc import Callable
from datetime import datetime
from tempfile import NamedTemporaryFile

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.secrets import SecretBox
from partnerbus.model.resources import ClientCertificate

LARGEST_PEM = 65_536
CONTEXTS_KEPT = 1_000

Key = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey


class CertificateRefused(ValueError):
    """The certificate or key cannot be used; the text is a sentence without a secret."""


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What people are shown of a client certificate."""

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime


def seal_certificate(chain: str, key: str, secrets: SecretBox, now: datetime) -> ClientCertificate:
    """A certificate as it is stored; `CertificateRefused` if it could not be shown to anybody."""
    if len(chain) > LARGEST_PEM or len(key) > LARGEST_PEM:
        raise CertificateRefused(f"The certificate or the key is larger than {LARGEST_PEM} bytes.")
    leaf, *others = _read_chain(chain)
    private = _read_key(key)
    if leaf.public_key() != private.public_key():
        raise CertificateRefused("The key does not belong to the first certificate.")
    if leaf.not_valid_after_utc <= now:
        raise CertificateRefused(f"The certificate is valid only until {leaf.not_valid_after_utc}.")
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    kept = b"".join(one.public_bytes(Encoding.PEM) for one in (leaf, *others)).decode()
    return ClientCertificate(chain=kept, sealed_key=secrets.seal(pem))


def describe_certificate(certificate: ClientCertificate) -> Described:
    """What a stored certificate says of itself."""
    leaf = _read_chain(certificate.chain)[0]
    return Described(
        subject=leaf.subject.rfc4514_string(),
        issuer=leaf.issuer.rfc4514_string(),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
    )


def _read_chain(chain: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(chain.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateRefused("The certificate is not one in PEM.") from None


def _read_key(key: str) -> Key:
    try:
        found = load_pem_private_key(key.encode(), password=None)
    except TypeError:
        raise CertificateRefused("The key is encrypted; give it without a password.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateRefused("The key is not a private key in PEM.") from None
    if not isinstance(found, Key):
        raise CertificateRefused("The key is of a kind that TLS does not use.")
    return found


class ClientContexts:
    """A TLS context for each client certificate, kept, since making one takes milliseconds.

    `make` gives a context that trusts whom this node trusts.
    """

    def __init__(
        self, secrets: SecretBox, make: Callable[[], ssl.SSLContext] = ssl.create_default_context
    ) -> None:
        self._secrets = secrets
        self._make = make
        self._contexts: dict[ClientCertificate, ssl.SSLContext] = {}

    async def get(self, certificate: ClientCertificate) -> ssl.SSLContext:
        """The context that shows `certificate`; `ConfigurationError` if its key does not open."""
        found = self._contexts.get(certificate)
        if found is None:
            found = await asyncio.to_thread(self._open, certificate)
            if len(self._contexts) >= CONTEXTS_KEPT:
                self._contexts.clear()
            self._contexts[certificate] = found
        return found

    def _open(self, certificate: ClientCertificate) -> ssl.SSLContext:
        key = _read_key(self._secrets.open(certificate.sealed_key))
        password = randoms.token_bytes(32).hex().encode()
        sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
        context = self._make()
        with NamedTemporaryFile() as file:
            file.write(certificate.chain.encode() + sealed)
            file.flush()
            try:
                context.load_cert_chain(file.name, password=password)
            except ssl.SSLError:
                raise ConfigurationError("a client certificate is not accepted by TLS") from None
        return context
