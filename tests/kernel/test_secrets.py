from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.secrets import SecretBox


def test_a_sealed_secret_opens_with_the_same_key_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    sealed = SecretBox.from_file(path).seal("s3cret")
    assert "s3cret" not in sealed
    assert SecretBox.from_file(path).open(sealed) == "s3cret"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    SecretBox.from_file(path)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="mode 0600"):
        SecretBox.from_file(path)


def test_another_key_does_not_open_it() -> None:
    sealed = SecretBox(Fernet.generate_key()).seal("s3cret")
    with pytest.raises(ConfigurationError, match="does not open"):
        SecretBox(Fernet.generate_key()).open(sealed)


def test_a_process_that_died_while_it_made_the_key_harms_nobody(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.with_suffix(".draft").write_bytes(b"half a k")
    sealed = SecretBox.from_file(path).seal("s3cret")
    assert SecretBox.from_file(path).open(sealed) == "s3cret"
    assert [each.name for each in tmp_path.iterdir()] == ["secret.key"]
