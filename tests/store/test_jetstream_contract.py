"""The store on JetStream keeps every promise of the protocol."""

from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_hex

import pytest

from partnerbus.store.jetstream.removal import remove_store
from partnerbus.testing.store_contract import StoreContract
from tests.store.jetstream_maker import JetStreamMaker
from tests.store.nats_servers import NatsServer


class TestJetStreamStore(StoreContract):
    """Each test has a stream of its own."""

    @pytest.fixture
    async def maker(self, server: NatsServer, tmp_path: Path) -> AsyncIterator[JetStreamMaker]:
        maker = JetStreamMaker(server, tmp_path / "data", token_hex(4))
        yield maker
        await maker.close()
        await remove_store(maker.settings)  # or the server would start more slowly each time
