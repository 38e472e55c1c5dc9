"""The nodes of a cluster, as `partnerbus status` shows them."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from partnerbus.cli.node import _nodes
from partnerbus.kernel.clock import SystemClock


def test_a_node_with_a_lease_is_there_although_the_test_clock_is_a_day_ahead() -> None:
    now = SystemClock().now()
    node = SimpleNamespace(
        name="n", url="http://n", roles=("edge",), started_at=now, leased_until=now + timedelta(hours=1)
    )
    found: Any = SimpleNamespace(now=now + timedelta(days=1), nodes=[node])
    assert "gone" not in "\n".join(_nodes(found))
