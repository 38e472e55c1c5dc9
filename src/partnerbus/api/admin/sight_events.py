"""What one viewer may see of stored events, and of what was recorded of them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from partnerbus.api.admin.sight_registry import RegistrySight
from partnerbus.api.admin.viewer import OPERATOR
from partnerbus.engine.newest_first import Found, Mark, merged
from partnerbus.kernel.errors import EventDamaged
from partnerbus.model.arns import DEFAULT_BUS, Arn
from partnerbus.model.bus_log import BusLogRecord
from partnerbus.model.delivery import Record
from partnerbus.model.exchange import RoutedEvent, TraceLine, decode_line
from partnerbus.model.resources import Archive, PartnerSource, Rule, source_key
from partnerbus.store.protocol import LIVE, Store

RECORDS_PER_TURN = 32
EVER = datetime.fromtimestamp(0, UTC)
"""Before anything."""


class EventSight(RegistrySight):
    """The part of a `Sight` that is about events."""

    async def find(self, event_id: str) -> Sequence[Record]:
        """The events that were stored with that id, on buses of the viewer's."""
        try:
            dedup_id = uuid.UUID(event_id).bytes
        except ValueError:
            return []
        found = [each for each in await self._services.store.find([dedup_id]) if each.event.id == event_id]
        if self.viewer.is_operator:
            return found
        own, since = self.buses_by_log([each.log for each in found]), self.since or EVER
        return [each for each in found if each.log in own and each.stored_at >= since]

    async def find_as_partner(self, event_id: str) -> Record | None:
        """The event with that id which the viewer, as a partner, has put on the bus of a customer."""
        for record in await type(self)(self._services, OPERATOR).find(event_id):
            if record.event.replay_name is None and self._source_of(record) is not None:
                return record
        return None

    def shares_errors(self, record: Record) -> bool:
        """Whether the customer lets the partner see what errors its targets gave for this event."""
        source = self._source_of(record)
        return source is not None and source.shares_errors

    def _source_of(self, record: Record) -> PartnerSource | None:
        """The source of the viewer's, as a partner, whose bus an event is on."""
        source = self._services.catalog.get(
            PartnerSource, source_key(record.event.region, record.event.source)
        )
        if source is None or not self.is_partner(source):
            return None
        bus = self._services.catalog.bus(source.account, source.region, source.name)
        return source if bus is not None and bus.log == record.log else None

    async def is_routed(self, record: Record) -> bool:
        """Whether the rules of its bus have been asked about an event that was shown."""
        return await self._services.store.cursor(record.log, LIVE) >= record.position

    async def trace_lines(self, event_id: str, limit: int) -> Sequence[TraceLine]:
        """What was recorded of an event, the newest first."""
        text, since = event_id.encode(errors="replace"), self.since or EVER

        def pick(line: bytes) -> TraceLine | None:
            found = decode_line(line) if text in line else None
            if found is None or found.event_id != event_id or not self.viewer.is_own(found.account):
                return None
            return found if _instant_of(found) >= since else None

        return await self._services.traces.find(pick, limit, text)

    async def bus_log(
        self, read: Callable[[bytes], BusLogRecord | None], limit: int
    ) -> Sequence[BusLogRecord]:
        """What the viewer's buses wrote of their events, as far as `read` makes a record of it, the newest
        first.
        """
        if self.viewer.is_operator:
            return await self._services.bus_logs.find(read, limit)
        makers = {
            rule.arn: _Maker(rule.created_by, _milliseconds(rule.created_at))
            for rule in self._services.catalog.list(Rule, "rule:")
        }
        since = _milliseconds(self.since or EVER)

        def pick(line: bytes) -> BusLogRecord | None:
            record = read(line)
            if record is None or record.message_timestamp_ms < since:
                return None
            return record if self._owns_line(record, makers) else None

        return await self._services.bus_logs.find(pick, limit, (self.viewer.account or "").encode())

    def _owns_line(self, record: BusLogRecord, makers: "Mapping[str, _Maker]") -> bool:
        """Whether a line is of a bus of the viewer's, and not of what another's rule on it delivers.

        A line that is older than the rule of its name is of one that is gone: its targets say whose it was.
        """
        details = record.details
        if not self._is_of_own(record.resource_arn):
            return False
        if details is None or details.rule_arn is None:
            return True
        maker = makers.get(details.rule_arn)
        if maker is not None and record.message_timestamp_ms >= maker.since_ms:
            return self.viewer.is_own(maker.account)
        targets = [details.target_arn] if details.target_arn is not None else (details.target_arns or ())
        return all(map(self._is_of_own, targets))

    def _is_of_own(self, text: str) -> bool:
        arn = Arn.parse(text)
        return arn is not None and self.viewer.is_own(arn.account)

    async def newest(
        self,
        logs: Sequence[str],
        *,
        before: Mark | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[Found]:
        """The events of those of `logs` that are the viewer's, the newest first; as `newest_first.merged`."""
        wanted = set(logs)
        own = [info for info in await self.logs() if info.log in wanted]
        since = max((each for each in (since, self.since) if each is not None), default=None)
        every = merged(self._services.store, own, before=before, since=since, until=until)
        async for found in _in_turns(every):
            yield found

    async def newest_of_archive(
        self,
        archive: Archive,
        *,
        before: Mark | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[Found]:
        """The copies in an archive of the viewer's, the newest first."""
        assert self.viewer.is_own(archive.account)
        infos = [info for info in await self._services.store.logs() if info.log == archive.log]
        every = merged(self._services.store, infos, before=before, since=since, until=until)
        async for found in _in_turns(every):
            yield found

    async def head(self, log: str) -> int:
        """The newest position of a log."""
        return await self._services.store.seek(log)

    async def stored_behind(self, places: Mapping[str, int], limit: int) -> Sequence[Record]:
        """As `arrived`, without waiting."""
        store, own = self._services.store, await self._own_places(places)
        return [record for log, place in own.items() for record in await read_sound(store, log, place, limit)]

    async def arrived(self, places: Mapping[str, int], limit: int) -> Sequence[Record]:
        """Up to `limit` records of each log behind its place, once there are some in one of them.

        Only of logs of the viewer's; nothing once the node is about to stop.
        """
        own = await self._own_places(places)
        store, leaving = self._services.store, asyncio.create_task(self._services.leaving.wait())
        reads = [
            asyncio.create_task(read_sound(store, log, place, limit, wait=True)) for log, place in own.items()
        ]
        try:
            await asyncio.wait([leaving, *reads], return_when=asyncio.FIRST_COMPLETED)
            return [record for read in reads if read.done() for record in read.result()]
        finally:
            for task in (leaving, *reads):
                task.cancel()

    async def _own_places(self, places: Mapping[str, int]) -> Mapping[str, int]:
        """The places in logs of the viewer's, none before what was stored since there is its account.

        Only the log of a default bus can be older than the account: it is named after its number.
        """
        own, since = self.buses_by_log(list(places)), self.since
        found = {log: places[log] for log in own}
        for log, bus in own.items():
            if since is not None and bus.name == DEFAULT_BUS:
                found[log] = max(found[log], await self._services.store.seek(log, since))
        return found


class _Maker(msgspec.Struct, frozen=True):
    """Who made a rule, and when."""

    account: str
    since_ms: int


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1_000)


def _instant_of(line: TraceLine) -> datetime:
    return line.stored_at if isinstance(line, RoutedEvent) else line.started_at


async def _in_turns(every: AsyncIterator[Found]) -> AsyncIterator[Found]:
    """Lets others have the event loop every so often, whatever is done with each record."""
    count = 0
    async for found in every:
        count += 1
        if count % RECORDS_PER_TURN == 0:
            await asyncio.sleep(0)
        yield found


async def read_sound(
    store: Store, log: str, place: int, limit: int, *, wait: bool = False
) -> Sequence[Record]:
    """As `Store.read`, past what is damaged."""
    while True:
        try:
            return await store.read(log, place, limit=limit, wait=wait)
        except EventDamaged as found:
            place = found.position
