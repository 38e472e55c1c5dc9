"""The cluster's stream has room for little, and three nodes publish into it."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import pytest

from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.wire import Wire, WireError
from tests.cluster.nodes import PARTNER, SOURCE, nodes, until
from tests.store.nats_servers import nats_server
from tests.store.test_jetstream_opening import ask

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOM_BYTES = 400_000
EVENT_BYTES = 8_000
PUBLISHERS = 4
"""So many at each node."""

EVENTS = 30
"""So many each of them puts."""


class Publishing:
    """Publishes at one node until it has taken so many events; what it said besides."""

    def __init__(self, server: ServerProcess, numbers: Sequence[int]) -> None:
        self.server = server
        self.numbers = numbers
        self.ids: dict[int, str] = {}
        self.refused: list[str] = []

    async def run(self) -> None:
        async with Wire(self.server.url, PARTNER) as wire:
            for number in self.numbers:
                await until(partial(self._put, wire, number))

    async def _put(self, wire: Wire, number: int) -> bool:
        detail = f'{{"n": {number}, "x": "{"x" * EVENT_BYTES}"}}'
        entry = {"Source": SOURCE, "DetailType": "number", "Detail": detail}
        try:
            answer = await wire.call("PutPartnerEvents", Entries=[entry])
        except WireError as error:
            self.refused.append(error.code)
            return False
        [result] = msgspec.convert(answer["Entries"], list[dict[str, str]])
        self.ids[number] = result["EventId"]
        return True


async def test_a_full_stream_makes_room_and_no_node_is_lost(tmp_path: Path) -> None:
    with nats_server(tmp_path) as server:
        async with nodes(tmp_path, [server.url] * 3) as cluster:
            await cluster.prepare("one")
            url = f"{server.url}/partnerbus"
            found = await ask(url, "STREAM.INFO.partnerbus")
            found["config"]["max_bytes"] = found["state"]["bytes"] + ROOM_BYTES
            assert "error" not in await ask(url, "STREAM.UPDATE.partnerbus", found["config"])
            publishing = [
                Publishing(node, range(EVENTS * number, EVENTS * (number + 1)))
                for number, node in enumerate([*cluster.servers] * PUBLISHERS)
            ]
            await asyncio.gather(*(each.run() for each in publishing))
            ids = {number: event_id for each in publishing for number, event_id in each.ids.items()}
            ledgers = [await cluster.balanced(node.data, len(ids)) for node in cluster.servers]
            assert ledgers[1:] == ledgers[:-1]
            assert ledgers[0]["accepted"] >= len(ids) == EVENTS * len(publishing)
            assert ledgers[0]["delivered"] == ledgers[0]["owed"] == ledgers[0]["accepted"]
            arrived = cluster.ids_by_number()
            assert all(event_id in arrived[number] for number, event_id in ids.items())
            refused = {code for each in publishing for code in each.refused}
            assert refused <= {"ThrottlingException", "InternalException"}
            found = await ask(url, "STREAM.INFO.partnerbus")
            assert found["state"]["first_seq"] > 1, "it was never full"
            assert all(node.is_running for node in cluster.servers)
