"""The router: from the log of a bus to the deliveries that its events are owed to, and to its archives.

A log is routed by a *live cursor*: the position up to which every event has been matched, and what it is
owed to has been committed. One step of a router

1. reads a batch of records after the cursor, bounded in records and, by the store, in bytes;
2. matches each record once, against all rules and archives of the bus at once;
3. asks the dispatcher for slots in the lanes that the batch goes to. A delivery that has a slot is *born
   claimed*: it is attempted at once, without being read again, unless the store holds it back for an elder
   one of its key. The others wait in the store, and the dispatcher is told of their lane;
4. commits the owed deliveries, the copies for archives and the cursor together (`store.advance`).

A crash before step 4 repeats the step; repeating it after step 4 is impossible, since the cursor has moved.
What was born claimed and never attempted is due again when its lease ends. So each event is owed exactly
once to each subscription that matches it when it is routed, and is once in each archive.

A record that is not what was stored any more is passed over: the cursor moves past it alone, and it stays
unrouted in the ledger. Where other nodes have it as it was stored, the step fails instead.

`Router` knows nothing of other logs and ends where it is told to, so a cursor of another name with an end (a
replay) is another instance. `Routers` holds the live ones: a log costs something only while it has news. A
bounded number of steps runs at once, logs take turns step by step, and a log whose step failed waits a moment
while the others go on.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from partnerbus.engine.agenda import Agenda
from partnerbus.engine.bus_logs import BusLogs
from partnerbus.engine.damage import Damage
from partnerbus.engine.dispatcher import Dispatcher, Wanted
from partnerbus.engine.leases import LEASE
from partnerbus.engine.matching import Match
from partnerbus.engine.shares import Everything, Shares
from partnerbus.engine.traces import Traces
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import CursorMoved, EventDamaged
from partnerbus.kernel.failpoints import Failpoint, Failpoints
from partnerbus.kernel.telemetry import Log, Metrics
from partnerbus.model.delivery import NewDelivery, Record, delivery_id
from partnerbus.model.paths import EventDocument
from partnerbus.store.protocol import LIVE, START, Kept, Store

RECORDS_PER_BATCH = 256
DELIVERIES_PER_BATCH = 2_000
"""A batch is cut after the record that reaches this many deliveries."""

RECORDS_PER_TURN = 32
"""How many records are matched before others get the event loop."""

STEPS_AT_ONCE = 16
PAUSE = timedelta(seconds=1)
ROUTERS_REMEMBERED = 1_024
IDS_PER_LINE = 10


class Cursor(msgspec.Struct, frozen=True):
    """Which log is routed, by which cursor, and up to where (None: as far as it goes)."""

    log: str
    name: str = LIVE
    end: int | None = None


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """What routers work with. Without `damage` nothing is passed over."""

    store: Store
    match: Callable[[Record], Match]
    dispatcher: Dispatcher
    clock: Clock
    failpoints: Failpoints
    metrics: Metrics
    log: Log
    bus_logs: BusLogs
    traces: Traces
    shares: Shares = Everything()
    damage: Damage | None = None


class _Routed(msgspec.Struct, frozen=True, gc=False):
    """A record, what it matched, and what it is owed to."""

    record: Record
    match: Match
    deliveries: Sequence[NewDelivery]


class Router:
    """Moves one cursor. After a step failed, use another instance: this one no longer knows the position."""

    def __init__(self, cursor: Cursor, routing: Routing) -> None:
        self._cursor = cursor
        self._routing = routing
        self._position: int | None = None
        self.lanes: frozenset[str] = frozenset()
        """The lanes of what the last step routed."""

    async def position(self) -> int:
        """How far the cursor is."""
        if self._position is None:
            self._position = await self._routing.store.cursor(self._cursor.log, self._cursor.name)
        return self._position

    async def step(self) -> bool:
        """Route one batch; False if there was nothing to route."""
        after = await self.position()
        log, end = self._cursor.log, self._cursor.end
        try:
            records = await self._routing.store.read(log, after, until=end, limit=RECORDS_PER_BATCH)
        except EventDamaged as found:
            if self._routing.damage is None:
                raise
            await self._pass_over(found, self._routing.damage)
            return True
        if not records:
            return False
        routed = await self._match(records)
        self._routing.failpoints.hit(Failpoint.ROUTER_MATCHED)
        await self._commit(routed)
        self._position = routed[-1].record.position
        self.lanes = frozenset(delivery.lane for found in routed for delivery in found.deliveries)
        self._tell(routed)
        return True

    async def _pass_over(self, found: EventDamaged, damage: Damage) -> None:
        """Go on behind a record that nobody can read any more; the ledger goes on to count it as unrouted."""
        await damage.note(found)
        await self._routing.store.advance(
            found.log,
            self._cursor.name,
            found.position,
            owed=(),
            unmatched=0,
            after=self._position,
            damaged=1,
        )
        self._position, self.lanes = found.position, frozenset()

    async def _match(self, records: Sequence[Record]) -> Sequence[_Routed]:
        routed: list[_Routed] = []
        deliveries = 0
        for record in records:
            if routed and len(routed) % RECORDS_PER_TURN == 0:
                await asyncio.sleep(0)
            match = self._routing.match(record)
            document = EventDocument(record.event)
            owed = [
                NewDelivery(
                    subscription=found.id,
                    lane=found.lane,
                    position=record.position,
                    key=found.key(document),
                )
                for found in match.owed
            ]
            routed.append(_Routed(record, match, owed))
            deliveries += len(owed)
            if deliveries >= DELIVERIES_PER_BATCH:
                break
        return routed

    async def _commit(self, routed: Sequence[_Routed]) -> None:
        """Commit the batch, and hand what was born claimed to the dispatcher."""
        owed = [delivery for found in routed for delivery in found.deliveries]
        with self._routing.dispatcher.reserve(_wanted(routed)) as reservation:
            claims = await self._routing.store.advance(
                self._cursor.log,
                self._cursor.name,
                routed[-1].record.position,
                owed=_born(owed, dict(reservation.granted)),
                unmatched=sum(not found.deliveries for found in routed),
                kept=[Kept(log=log, record=found.record) for found in routed for log in found.match.kept],
                lease=LEASE,
                after=self._position,
            )
            reservation.use(claims)

    def _tell(self, routed: Sequence[_Routed]) -> None:
        matched = sum(bool(found.deliveries) for found in routed)
        self._routing.metrics.routed.labels("true").inc(matched)
        self._routing.metrics.routed.labels("false").inc(len(routed) - matched)
        now = self._routing.clock.now()
        for found in routed:
            self._tell_of_event(found, now)
            self._routing.bus_logs.matched(found.record, found.match.owed)
            self._routing.traces.routed(found.record, found.match.rules, found.deliveries, now)

    def _tell_of_event(self, found: _Routed, now: datetime) -> None:
        record, event = found.record, found.record.event
        self._routing.log.info(
            "event",
            event_id=event.id,
            source=event.source,
            detail_type=event.detail_type,
            account=event.account,
            region=event.region,
            log=record.log,
            position=record.position,
            detail_bytes=len(event.detail),
            rules_matched=found.match.rules,
            archives=len(found.match.kept),
            owed=len(found.deliveries),
            deliveries=[
                delivery_id(delivery.subscription, delivery.position)
                for delivery in found.deliveries[:IDS_PER_LINE]
            ],
            seconds_since_stored=(now - record.stored_at).total_seconds(),
        )


def _wanted(routed: Sequence[_Routed]) -> dict[str, Wanted]:
    """What the deliveries of a batch want of each lane."""
    wanted: dict[str, Wanted] = {}
    for found in routed:
        size = len(found.record.event.detail)
        for delivery in found.deliveries:
            lane = wanted.get(delivery.lane)
            if lane is None:
                lane = wanted[delivery.lane] = Wanted()
            lane.slots += 1
            lane.payload_bytes += size
    return wanted


def _born(owed: Sequence[NewDelivery], granted: dict[str, int]) -> Sequence[NewDelivery]:
    """The deliveries, as many of each lane born claimed as there are slots for it."""
    born = []
    for delivery in owed:
        if granted.get(delivery.lane, 0) > 0:
            granted[delivery.lane] -= 1
            born.append(msgspec.structs.replace(delivery, claimed=True))
        else:
            born.append(delivery)
    return born


class Routers:
    """The live routers of all logs. `changed` is called when one may have become idle."""

    def __init__(self, routing: Routing, changed: Callable[[], None]) -> None:
        self._routing = routing
        self._changed = changed
        self._agenda: Agenda[str] = Agenda(routing.clock)
        self._newest: dict[str, int] = {}
        self._routed: dict[str, int] = {}
        self._paused: set[str] = set()
        self._idle: OrderedDict[str, Router] = OrderedDict()
        self._steps: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(STEPS_AT_ONCE)

    @property
    def is_quiet(self) -> bool:
        """Whether everything that was told of is routed, save what waits for the clock after a failure."""
        return len(self._newest) == len(self._paused) and not self._agenda.anything_due

    def news(self, log: str, position: int) -> None:
        """There is a record at `position` of `log`. Old news costs nothing, nor do others' logs."""
        if not self._routing.shares.routes(log):
            return
        if position <= self._routed.get(log, START):
            return
        known = self._newest.get(log)
        self._newest[log] = position if known is None else max(known, position)
        if known is None:
            self._agenda.put(log)

    async def run(self) -> None:
        """Route what there is news of, until cancelled."""
        while True:
            await self._slots.acquire()
            try:
                log = await self._agenda.next()
            except BaseException:
                self._slots.release()
                raise
            step = asyncio.create_task(self._turn(log))
            self._steps.add(step)
            step.add_done_callback(self._ended)

    async def finish(self) -> None:
        """Wait for the steps that are under way; `run` must have been cancelled."""
        await asyncio.gather(*self._steps)

    def _ended(self, step: asyncio.Task[None]) -> None:
        self._steps.discard(step)
        self._slots.release()
        self._changed()

    async def _turn(self, log: str) -> None:
        """One step of a log; it gets another turn if it is behind, and after a pause if the step failed."""
        self._paused.discard(log)
        if not self._routing.shares.routes(log):
            del self._newest[log]
            self._idle.pop(log, None)
            return
        try:
            router = self._idle.pop(log, None) or Router(Cursor(log), self._routing)
            known = self._newest[log]
            has_moved = await router.position() < known and await router.step()
            is_behind = await router.position() < self._newest[log]
        except CursorMoved:
            self._routing.log.info("log routed by another node", log=log)
            self._agenda.put(log)  # with another router, which asks where the cursor is
            return
        except Exception:
            self._routing.log.exception("routing failed, will be tried again", log=log)
            self._paused.add(log)
            self._agenda.put(log, self._routing.clock.now() + PAUSE)
            return
        self._remember(log, router)
        if is_behind and (has_moved or known < self._newest[log]):
            self._agenda.put(log)
        else:
            self._routed[log] = self._newest.pop(log)

    def _remember(self, log: str, router: Router) -> None:
        self._idle[log] = router
        if len(self._idle) > ROUTERS_REMEMBERED:
            self._idle.popitem(last=False)
