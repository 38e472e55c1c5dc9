"""The connections that wait to be used again, by whom they are to.

Lives in the event loop. The one that was used last is used first, so that what is not needed gets old. Ages
are in the machine's time, by which the other side lives too.
"""

import asyncio
from collections import OrderedDict

from partnerbus.targets.outbound_connection import OutboundConnection
from partnerbus.targets.outbound_wire import Party

IDLE_CONNECTIONS = 1_024
"""How many unused connections are kept."""

IDLE_SECONDS = 15.0
"""How long an unused connection is kept; short, so that few are closed by the other side first."""


class Pool:
    """Unused connections; a closed one is not among them."""

    def __init__(self) -> None:
        self._by_party: dict[Party, list[OutboundConnection]] = {}
        self._since: OrderedDict[OutboundConnection, float] = OrderedDict()
        self._sweep: asyncio.TimerHandle | None = None

    def take(self, party: Party) -> OutboundConnection | None:
        """A connection to `party` that is out of use, if there is one."""
        idle = self._by_party.get(party)
        if not idle:
            return None
        connection = idle.pop()
        del self._since[connection]
        if not idle:
            del self._by_party[party]
        return connection

    def put(self, connection: OutboundConnection) -> None:
        """Keep a connection, in the place of the oldest one if there are too many."""
        now = asyncio.get_running_loop().time()
        self._by_party.setdefault(connection.party, []).append(connection)
        self._since[connection] = now
        if len(self._since) > IDLE_CONNECTIONS:
            self._close_oldest()
        if self._sweep is None:
            self._sweep_at(now + IDLE_SECONDS)

    def forget(self, connection: OutboundConnection) -> None:
        """It is closed."""
        if self._since.pop(connection, None) is None:
            return
        idle = self._by_party[connection.party]
        idle.remove(connection)
        if not idle:
            del self._by_party[connection.party]

    def close(self) -> None:
        """Close them all."""
        if self._sweep is not None:
            self._sweep.cancel()
        while self._since:
            self._close_oldest()

    def _sweep_at(self, instant: float) -> None:
        self._sweep = asyncio.get_running_loop().call_at(instant, self._close_old)

    def _close_old(self) -> None:
        self._sweep = None
        old = asyncio.get_running_loop().time() - IDLE_SECONDS
        while self._since and next(iter(self._since.values())) <= old:
            self._close_oldest()
        if self._since:
            self._sweep_at(next(iter(self._since.values())) + IDLE_SECONDS)

    def _close_oldest(self) -> None:
        connection = next(iter(self._since))
        self.forget(connection)
        connection.close()
