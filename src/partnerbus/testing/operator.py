"""What a harness asks a running server as its operator."""

from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
import msgspec

from partnerbus.api.admin.deliveries import DeliveryDetails, DeliveryList, DeliveryView
from partnerbus.api.admin.events import EventList
from partnerbus.api.admin.health_views import Health
from partnerbus.api.admin.logs import LedgerList, LedgerView
from partnerbus.api.admin.status import Status
from partnerbus.engine.shares import owner
from partnerbus.model import arns
from partnerbus.model.resources import ClusterNode, Role
from partnerbus.node.folder import DataFolder
from partnerbus.store.protocol import Ledger

V = TypeVar("V", bound=msgspec.Struct)


class Operator:
    """The admin face of the server that owns a data folder."""

    def __init__(self, data: Path) -> None:
        found = DataFolder(data).read_operator()
        if found is None:
            raise LookupError(f"no server has announced itself in {data}")
        self._url = f"{found.url}/_partnerbus"
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {found.token}"}, raise_for_status=True
        )

    async def ledger(self, account: str, bus: str, region: str = "us-east-1") -> Ledger:
        """The ledger of a bus; all zeros if it has never stored an event."""
        arn = arns.bus_arn(region, account, bus)
        found = await self._ask("GET", "/ledgers", LedgerList, {"bus": arn})
        return found.ledgers[0].ledger if found.ledgers else Ledger(log="")

    async def health(self) -> Health:
        """What is wrong, and the counts of everything."""
        return await self._ask("GET", "/health", Health, {})

    async def events(self) -> EventList:
        """The latest hundred events, the newest first."""
        return await self._ask("GET", "/events", EventList, {})

    async def ledgers(self) -> list[LedgerView]:
        """The ledger of every log, those of replays too."""
        return (await self._ask("GET", "/ledgers", LedgerList, {})).ledgers

    async def status(self) -> Status:
        """What the node is and holds."""
        return await self._ask("GET", "/status", Status, {})

    async def deliverer(self, target_arn: str) -> str | None:
        """The name of the node of a cluster that makes the attempts at a target."""
        found = await self.status()
        living = [
            ClusterNode(
                name=node.name,
                url=node.url,
                roles=[Role(role) for role in node.roles],
                started_at=node.started_at,
                leased_until=node.leased_until,
            )
            for node in found.nodes
            if node.leased_until > found.now
        ]
        return owner(living, Role.DELIVER, target_arn)

    async def deliveries(self) -> list[DeliveryView]:
        """The latest hundred deliveries in every state, the newest event first."""
        return (await self._ask("GET", "/deliveries", DeliveryList, {})).deliveries

    async def dead_letters(self, rule: str) -> list[DeliveryView]:
        """All dead letters of a rule."""
        query = {"rule": rule, "limit": "1000"}
        page = await self._ask("GET", "/dead-letters", DeliveryList, query)
        found = page.deliveries
        while page.next is not None:
            page = await self._ask("GET", "/dead-letters", DeliveryList, query | {"after": page.next})
            found += page.deliveries
        return found

    async def delivery(self, delivery_id: str) -> DeliveryDetails:
        """One delivery with its attempts and its event."""
        return await self._ask("GET", f"/deliveries/{delivery_id}", DeliveryDetails, {})

    async def shift_clock(self, duration: timedelta) -> None:
        """Move the time of a server with a test clock forwards."""
        body = {"seconds": duration.total_seconds()}
        async with self._session.post(f"{self._url}/clock/advance", json=body) as answer:
            await answer.read()

    async def _ask(self, method: str, path: str, kind: type[V], query: dict[str, str]) -> V:
        async with self._session.request(method, self._url + path, params=query) as answer:
            return msgspec.json.decode(await answer.read(), type=kind)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
