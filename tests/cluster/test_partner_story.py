"""Several nodes are one bus: what is told to one of them, all of them do, once."""

from collections import Counter
from pathlib import Path

import pytest

from partnerbus.testing.operator import Operator
from partnerbus.testing.wire import Wire, WireError
from tests.cluster.nodes import PARTNER, entries, nodes, until
from tests.store.nats_servers import nats_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RULES = [f"rule{number}" for number in range(6)]
"""So many that hardly ever one node has the lanes of all."""


async def test_each_node_does_what_its_roles_say(tmp_path: Path) -> None:
    with nats_server(tmp_path) as server:
        async with nodes(tmp_path, [server.url] * 3, roles=["edge", "route", "deliver"]) as cluster:
            edge, *others = cluster.servers
            for node in others:
                async with Wire(node.url, PARTNER) as partner:
                    with pytest.raises(WireError, match="its role is another one"):
                        await partner.call("PutPartnerEvents", Entries=entries([0]))
            await cluster.prepare(*RULES, at=[edge])
            async with Wire(edge.url, PARTNER) as partner:
                await partner.call("PutPartnerEvents", Entries=entries(range(10)))
            ledger = await cluster.balanced(edge.data, 10)
            assert ledger["delivered"] == 10 * len(RULES)
            async with Operator(edge.data) as operator:

                async def all_said_where_they_are() -> bool:
                    return all(node.url for node in (await operator.status()).nodes)

                await until(all_said_where_they_are)
                found = {(node.url, *node.roles) for node in (await operator.status()).nodes}
            urls = [node.url for node in cluster.servers]
            assert found == set(zip(urls, ["edge", "route", "deliver"], strict=True))


async def test_what_is_put_on_any_node_is_delivered_once(tmp_path: Path) -> None:
    with nats_server(tmp_path) as server:
        async with nodes(tmp_path, [server.url] * 3) as cluster:
            await cluster.prepare(*RULES)
            for number, node in enumerate(cluster.servers):
                async with Wire(node.url, PARTNER) as partner:
                    answer = await partner.call(
                        "PutPartnerEvents", Entries=entries(range(number * 10, number * 10 + 10))
                    )
                    assert answer["FailedEntryCount"] == 0
            for node in cluster.servers:
                ledger = await cluster.balanced(node.data, 30)
                assert ledger["accepted"] == ledger["matched"] == 30
                assert ledger["delivered"] == 30 * len(RULES)
            for rule in RULES:
                assert cluster.numbers_at(rule) == Counter(range(30))
