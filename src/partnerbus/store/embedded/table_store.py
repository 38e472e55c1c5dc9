"""Every verb of `partnerbus.store.protocol` on the tables, whoever decides in which order they are changed.

A verb that changes something becomes a command, which carries its instant: what it does to the tables
follows from them and from it alone. `Commits` is who runs commands, one after the other: in the embedded
store the `Writer` of the only process.

Reading takes two connections, one for the engine and one for people, so that a long look at the deliveries
delays no event. The clock is read in the event loop when a verb is called, so a test that moves a clock
knows what it gets.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeVar

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import StoreOverloaded, StoreUnavailable
from partnerbus.model.delivery import Claim, Delivery, NewDelivery, NewRecord, Record, Redrive, Settlement
from partnerbus.store.embedded import dead_letters, people, registry, routing, trimming
from partnerbus.store.embedded import deliveries as verbs
from partnerbus.store.embedded import records as record_verbs
from partnerbus.store.embedded.database import END, to_micros
from partnerbus.store.embedded.probe import PROBE, Probing
from partnerbus.store.embedded.reader import OnDamage, Reader
from partnerbus.store.embedded.reset import RESET, Resetting
from partnerbus.store.embedded.seen import Seen
from partnerbus.store.embedded.states import SETTLES_TO
from partnerbus.store.embedded.tail import RECORD_OVERHEAD
from partnerbus.store.embedded.watchers import Watcher
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.protocol import (
    AT_ONCE,
    Backlog,
    Claimed,
    DeliveryQuery,
    Kept,
    LaneDue,
    Ledger,
    LogInfo,
    LogSize,
    Place,
    Revised,
)

T = TypeVar("T")
A = TypeVar("A")

PENDING_BYTES = 64 * 1024 * 1024
TAIL_BYTES = 32 * 1024 * 1024

CHUNK = 50
CHUNK_AT_MOST = 500
"""How many rows a sweep changes at once: what an append may have to wait for.

Between the two it is twice what was appended meanwhile: appends wait for about as long again as they take
themselves, and sweeps keep up with any load.
"""


class Commits(Protocol):
    """Runs commands, each once, in an order of its own, and gives each one's result when it is committed."""

    pending_bytes: int
    """The `weight` of those that wait."""

    def submit(self, verb: Verb[A, T], argument: A, weight: int = 0) -> Awaitable[T]:
        """Run a command, even if nobody waits any more. Raises `StoreUnavailable` once it is closed."""
        ...


class TableStore:
    """A `partnerbus.store.protocol.Store`, but for its opening and its end."""

    def __init__(
        self,
        path: Path,
        seen: Seen,
        clock: Clock,
        commits: Commits,
        room: int,
        damaged: OnDamage | None = None,
    ) -> None:
        self._clock = clock
        self._room = room
        self._closed = False
        self._appended = 0
        self._seen = seen
        self._commits = commits
        self._reader = Reader(path, "reader", damaged)
        self._people = Reader(path, "people", damaged)

    async def _stop_reading(self) -> None:
        """Let go of those who wait for something, and of the connections."""
        self._seen.watchers.close()
        self._seen.tail.wake_all()
        await self._reader.close()
        await self._people.close()

    async def lost(self) -> str:
        """Wait until nothing more can be done with the store until it is opened anew; why."""
        await asyncio.Event().wait()
        return ""

    async def close(self) -> None:
        """See `Store.close`."""
        raise NotImplementedError

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("The store is closed.")

    def _now(self) -> int:
        return to_micros(self._clock.now())

    def _until(self, lease: timedelta) -> int:
        return to_micros(self._clock.now() + lease)

    # -- logs ------------------------------------------------------------------------------------------

    async def append(self, records: Sequence[NewRecord], *, ordered: bool = False) -> Sequence[Record]:
        """See `LogStore.append`."""
        weight = sum(len(record.event.detail) for record in records) + RECORD_OVERHEAD * len(records)
        if self._commits.pending_bytes and self._commits.pending_bytes + weight > self._room:
            raise StoreOverloaded
        command = record_verbs.Appending(records, [record.event.encode() for record in records], self._now())
        self._appended += len(records)
        verb = record_verbs.APPEND_ORDERED if ordered else record_verbs.APPEND
        return await self._commits.submit(verb, command, weight)

    async def read(
        self, log: str, after: int, *, until: int | None = None, limit: int = 256, wait: bool = False
    ) -> Sequence[Record]:
        """See `LogStore.read`."""
        last = END if until is None else until
        while True:
            self._check_open()
            tail = self._seen.tail.log(log)
            arrived = tail.arrived
            if after >= tail.head:
                found: Sequence[Record] = ()
            elif after >= tail.floor:
                found = tail.after(after, last, limit)
            else:
                found = await self._reader.run(
                    lambda connection: record_verbs.read_records(connection, log, after, last, limit)
                )
            if found or not wait or tail.head >= last:
                return found
            await arrived.wait()

    async def read_by_minute(
        self, log: str, after: Place, *, before: int, until: int | None = None, limit: int = 256
    ) -> Sequence[Record]:
        """See `LogStore.read_by_minute`."""
        last = END if until is None else until
        return await self._people.run(
            lambda connection: record_verbs.read_by_minute(connection, log, after, before, last, limit)
        )

    async def find(self, dedup_ids: Sequence[bytes]) -> Sequence[Record]:
        """See `LogStore.find`."""
        return await self._people.run(lambda connection: people.find(connection, dedup_ids))

    async def size(self, log: str) -> LogSize:
        """See `LogStore.size`."""
        return await self._people.run(lambda connection: record_verbs.size(connection, log))

    async def seek(self, log: str, stored_at: datetime | None = None) -> int:
        """See `LogStore.seek`."""
        if stored_at is None:
            return await self._reader.run(lambda connection: record_verbs.head(connection, log))
        instant = to_micros(stored_at)
        return await self._reader.run(lambda connection: record_verbs.seek(connection, log, instant))

    async def trim(self, log: str, before: int, limit: int = 10_000) -> int:
        """See `LogStore.trim`. It goes in small steps, so that appends get in between."""
        gone = 0
        while gone < limit:
            step = min(self._chunk(), limit - gone)
            command = trimming.Trimming(log, before, step)
            trimmed = await self._commits.submit(trimming.TRIM, command)
            gone += trimmed.count
            if trimmed.count < step:
                break
        return gone

    def _chunk(self) -> int:
        """How large the next step of a sweep may be."""
        appended, self._appended = self._appended, 0
        return min(max(CHUNK, 2 * appended), CHUNK_AT_MOST)

    async def logs(self) -> Sequence[LogInfo]:
        """See `LogStore.logs`."""
        return await self._people.run(record_verbs.log_infos)

    # -- cursors ---------------------------------------------------------------------------------------

    async def cursor(self, log: str, name: str) -> int:
        """See `CursorStore.cursor`."""
        return await self._reader.run(lambda connection: routing.cursor(connection, log, name))

    async def advance(
        self,
        log: str,
        name: str,
        to: int,
        *,
        owed: Sequence[NewDelivery],
        unmatched: int,
        kept: Sequence[Kept] = (),
        lease: timedelta = timedelta(seconds=60),
        after: int | None = None,
        damaged: int = 0,
    ) -> Sequence[Claim]:
        """See `CursorStore.advance`."""
        now, until, at_hand = self._now(), self._until(lease), self._at_hand(log, owed)
        command = routing.Advancing(log, name, to, owed, unmatched, kept, now, until, at_hand, after, damaged)
        done = await self._commits.submit(routing.ADVANCE, command)
        return done.claims

    def _at_hand(self, log: str, owed: Sequence[NewDelivery]) -> dict[int, Record]:
        tail = self._seen.tail.log(log)
        found = ((new.position, tail.at(new.position)) for new in owed if new.claimed)
        return {position: record for position, record in found if record is not None}

    # -- deliveries ------------------------------------------------------------------------------------

    async def lanes(self) -> Sequence[LaneDue]:
        """See `DeliveryStore.lanes`."""
        return await self._reader.run(people.lanes)

    async def claim(self, lane: str, limit: int, lease: timedelta) -> Claimed:
        """See `DeliveryStore.claim`."""
        command = verbs.Claiming(lane, limit, self._now(), self._until(lease))
        return await self._commits.submit(verbs.CLAIM, command)

    async def extend(self, claims: Sequence[Claim], lease: timedelta) -> Sequence[bool]:
        """See `DeliveryStore.extend`."""
        command = verbs.Extending([verbs.held(claim) for claim in claims], self._until(lease))
        return await self._commits.submit(verbs.EXTEND, command)

    async def settle(self, claim: Claim, settlement: Settlement) -> bool:
        """See `DeliveryStore.settle`."""
        if settlement.state not in SETTLES_TO:
            raise ValueError(f"a claim does not end {settlement.state}")
        command = verbs.Settling(verbs.held(claim), settlement, self._now())
        return await self._commits.submit(verbs.SETTLE, command)

    async def deliveries(self, query: DeliveryQuery) -> Sequence[Delivery]:
        """See `DeliveryStore.deliveries`."""
        return await self._people.run(lambda connection: people.deliveries(connection, query))

    async def backlog(self) -> Sequence[Backlog]:
        """See `DeliveryStore.backlog`."""
        now = self._now()
        return await self._people.run(lambda connection: people.backlog(connection, now))

    async def redrive(self, ids: Sequence[tuple[str, int]], how: Redrive = AT_ONCE) -> int:
        """See `DeliveryStore.redrive`."""
        possible = [(subscription, position) for subscription, position in ids if position <= END]
        command = dead_letters.Redriving(possible, how, self._now())
        return await self._commits.submit(dead_letters.REDRIVE, command)

    async def drop_dead(self, settled_before: datetime, limit: int = 10_000) -> int:
        """See `DeliveryStore.drop_dead`. It goes in small steps, so that appends get in between."""
        gone = 0
        while gone < limit:
            step = min(self._chunk(), limit - gone)
            command = dead_letters.Dropping(to_micros(settled_before), step)
            dropped = await self._commits.submit(dead_letters.DROP, command)
            gone += dropped
            if dropped < step:
                break
        return gone

    async def ledger(self, log: str) -> Ledger:
        """See `DeliveryStore.ledger`."""
        return await self._people.run(lambda connection: people.ledger(connection, log))

    # -- registry --------------------------------------------------------------------------------------

    async def get(self, key: str) -> Revised | None:
        """See `RegistryStore.get`."""
        return await self._reader.run(lambda connection: registry.get(connection, key))

    async def put(self, key: str, value: bytes, expected: int) -> int:
        """See `RegistryStore.put`."""
        return await self._commits.submit(registry.SET, registry.Setting(key, value, expected))

    async def delete(self, key: str, expected: int) -> int:
        """See `RegistryStore.delete`."""
        return await self._commits.submit(registry.SET, registry.Setting(key, None, expected))

    async def list(self, prefix: str) -> Sequence[Revised]:
        """See `RegistryStore.list`."""
        return await self._reader.run(lambda connection: registry.list_values(connection, prefix))

    def watch(self) -> Watcher:
        """See `RegistryStore.watch`."""
        return self._seen.watchers.add()

    # -- everything ------------------------------------------------------------------------------------

    async def probe(self) -> None:
        """See `Store.probe`."""
        await self._commits.submit(PROBE, Probing())

    async def reset(self, keep: Sequence[str], noted: tuple[str, int] | None = None) -> None:
        """See `Store.reset`."""
        await self._commits.submit(RESET, Resetting(keep, noted))
