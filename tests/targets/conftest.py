"""What the tests of targets share."""

import ssl
from collections.abc import AsyncIterator

import pytest

from partnerbus.targets.registry import Targets
from partnerbus.testing.receiver import Receiver
from tests.certificates import Authority
from tests.targets.aws_calls import make
from tests.targets.sending import Sending


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def sending(receiver: Receiver) -> AsyncIterator[Sending]:
    sending = Sending(receiver)
    yield sending
    await sending.close()


@pytest.fixture
def no_aws_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A machine without AWS credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    nowhere = tmp_path_factory.getbasetemp() / "no-such-file"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nowhere))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(nowhere))


@pytest.fixture
async def targets(receiver: Receiver, no_aws_credentials: None) -> AsyncIterator[Targets]:
    """Targets whose AWS services are all at the receiver."""
    targets = make(aws_endpoint_url=receiver.url)
    yield targets
    await targets.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def private_ca(authority: Authority) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server, client) contexts: a certificate for localhost, and a client that trusts its issuer."""
    return authority.server(), authority.client()
