"""What a NATS server asks of this node, read from files when the node starts."""

import re
import ssl
from pathlib import Path

import msgspec

from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.nats_key import UserKey

_SEED = re.compile(r"S[A-Z2-7]{57}")
_CREDENTIALS_FILE = re.compile(r"-----BEGIN NATS USER JWT-----")
_PARTS = re.compile(r"-{3,}BEGIN [A-Z ]+-{3,}\s+(\S+)\s+-{3,}END [A-Z ]+-{3,}")


class Credentials(msgspec.Struct, frozen=True):
    """What to show to the servers: a user with a password, a token, a key, a JWT with its key, or nothing."""

    user: str | None = None
    password: str | None = None
    token: str | None = None
    key: UserKey | None = None
    jwt: str | None = None

    def __repr__(self) -> str:
        return "Credentials(***)"


def read_credentials(file: Path | None, prefix: str = "nats") -> Credentials:
    """What is in `file`, told by its form; a `ConfigurationError`, without a secret, if it cannot be used.

    `prefix` is what the settings that name the files begin with.
    """
    if file is None:
        return Credentials()
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"{prefix}-credentials: {file} cannot be read") from None
    try:
        return _credentials(text)
    except ValueError as error:
        raise ConfigurationError(f"{prefix}-credentials: {file}: {error}") from None


def _credentials(text: str) -> Credentials:
    if not text:
        raise ValueError("it is empty")
    if _CREDENTIALS_FILE.search(text):
        match _PARTS.findall(text):
            case [jwt, seed]:
                return Credentials(jwt=jwt, key=UserKey(seed))
        raise ValueError("a NATS credentials file has a user's JWT and the seed of the user's key")
    if _SEED.fullmatch(text):
        return Credentials(key=UserKey(text))
    user, colon, password = text.partition(":")
    return Credentials(user=user, password=password) if colon else Credentials(token=text)


def tls_context(authorities: Path | None, certificate: Path | None, prefix: str = "nats") -> ssl.SSLContext:
    """Trusts who signed for `authorities` (None: those that the system trusts), shows `certificate`.

    Raises `ConfigurationError`.
    """
    try:
        context = ssl.create_default_context(cafile=authorities)
    except OSError:
        raise ConfigurationError(f"{prefix}-ca: {authorities} holds no certificates in PEM") from None
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, password=_no_password)
        except OSError:
            raise ConfigurationError(
                f"{prefix}-certificate: {certificate} is not a certificate and its key in PEM, "
                "without a password"
            ) from None
    return context


def _no_password() -> str:
    """Without this the library would ask on the terminal."""
    return ""
