"""Secrets at rest: sealed with a key that lives in a file only its owner may read."""

import os
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from partnerbus.kernel.errors import ConfigurationError

SECRETS_REMEMBERED = 1_024


class SecretBox:
    """Seals and opens small secrets (authenticated encryption, `cryptography.Fernet`).

    Those that were opened last are remembered: most deliveries open one, which takes tens of microseconds.
    """

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)
        self.fingerprint = blake2b(key, digest_size=8, person=b"partnerbus").hexdigest()
        """Tells this key from others, and nothing of it."""
        self._opened = lru_cache(SECRETS_REMEMBERED)(self._decrypt)

    @classmethod
    def from_file(cls, path: Path) -> "SecretBox":
        """Read the key file, or make it with mode 0600. Refuses one that others may read."""
        if not path.exists():
            _make_key_file(path)
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(f"{path} may be read by others; make it mode 0600")
        return cls(path.read_bytes().strip())

    def seal(self, secret: str) -> str:
        """Encrypt `secret` to text that is safe to store."""
        return self._fernet.encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """The secret that was sealed; a `ConfigurationError` if it was sealed with another key."""
        return self._opened(sealed)

    def _decrypt(self, sealed: str) -> str:
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise ConfigurationError("a stored secret does not open with this key file") from None


def copy_key_file(source: Path, folder: Path) -> None:
    """Let `folder` have the key file `source`, under its name. Another one there is refused."""
    target, key = folder / source.name, source.read_bytes()
    if not target.exists():
        _write_key_file(target, key)
    elif target.read_bytes().strip() != key.strip():
        raise ConfigurationError(
            f"{target} is another key file than {source}: it opens no secret of the store"
        )


def _make_key_file(path: Path) -> None:
    _write_key_file(path, Fernet.generate_key())


def _write_key_file(path: Path, key: bytes) -> None:
    """Write a key under another name first: a process that dies on the way leaves no half of it."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
