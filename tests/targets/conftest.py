"""What the tests of targets share."""

import ssl
from collections.abc import AsyncIterator

import pytest

from partnerbus.testing.receiver import Receiver
from tests.certificates import Authority
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


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def private_ca(authority: Authority) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server, client) contexts: a certificate for localhost, and a client that trusts its issuer."""
    return authority.server(), authority.client()
