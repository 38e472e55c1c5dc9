"""A Hypothesis machine that drives a store and a simple model side by side.

The model is a few dicts and knows nothing of tables, groups or leases in memory. After every step the six
invariants and the ledger hold, and what the store says is what the model says. Subclass `StoreMachine`
with `open_store`, and run `run_state_machine_as_test` or the class's `TestCase`.
"""

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.model.delivery import (
    SETTLED,
    Attempt,
    Claim,
    DeliveryState,
    NewDelivery,
    Record,
    Redrive,
    Settlement,
)
from partnerbus.model.reply import Reply
from partnerbus.store.protocol import LIVE, START, DeliveryQuery, Kept, Ledger, Store
from partnerbus.testing.store_contract.world import new_record

T = TypeVar("T")

LOGS = ("a", "b")
LANES = ("lane-1", "lane-2")
KEYS = ("k1", "k2", "k3")
LEASE = timedelta(seconds=60)
PENDING = (DeliveryState.OWED, DeliveryState.CLAIMED)


class Owed(msgspec.Struct):
    """A delivery as the model knows it."""

    lane: str
    log: str
    state: DeliveryState
    due_at: datetime | None
    attempts_made: int = 0
    attempts: int = 0
    claims: int = 0
    redriven: int = 0
    token: int | None = None
    settled_at: datetime | None = None
    redriven_at: datetime | None = None


class StoreMachine(RuleBasedStateMachine):
    """Steps of engine, people, restarts and time, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.store = self.run_async(self.open_store())
        self.records: dict[str, list[Record]] = {log: [] for log in LOGS}
        self.set_aside: dict[int, Record] = {}
        self.archive: list[Record] = []
        self.kept: set[int] = set()
        self.given: set[int] = set()
        self.numbers: dict[int, Record] = {}
        self.cursors: dict[str, int] = dict.fromkeys(LOGS, START)
        self.owed: dict[tuple[int, str], Owed] = {}
        self.claims: list[Claim] = []
        self.counts = {log: dict.fromkeys(msgspec.structs.asdict(Ledger(log=log)), 0) for log in LOGS}
        self.values: dict[str, tuple[bytes, int]] = {}
        self.revision = 0
        self.changes = self.store.watch()

    async def open_store(self) -> Store:
        """Open the store under test; also called after `close`, as a restart."""
        raise NotImplementedError

    def run_async(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    # -- the engine's steps ----------------------------------------------------------------------------

    @rule(
        numbers=st.lists(st.tuples(st.integers(1, 60), st.sampled_from(LOGS)), max_size=6),
        ordered=st.booleans(),
    )
    def append(self, numbers: list[tuple[int, str]], ordered: bool) -> None:
        new = [new_record(number, log) for number, log in numbers]
        stored = self.run_async(self.store.append(new, ordered=ordered))
        assert len(stored) == len(new)
        for (number, log), record in zip(numbers, stored, strict=True):
            if number in self.numbers:
                assert record == self.numbers[number]
                continue
            assert record.position not in self.given
            assert not self.given or record.position > max(self.given)
            assert (record.log, record.event) == (log, new_record(number, log).event)
            self.numbers[number] = record
            self.given.add(record.position)
            self.records[log].append(record)
            self.counts[log]["accepted"] += 1

    @rule(
        log=st.sampled_from(LOGS),
        limit=st.integers(1, 4),
        fan_out=st.integers(0, 2),
        born=st.booleans(),
        lane=st.sampled_from(LANES),
        keep=st.booleans(),
    )
    def route(self, log: str, limit: int, fan_out: int, born: bool, lane: str, keep: bool) -> None:
        after = self.run_async(self.store.cursor(log, LIVE))
        assert after == self.cursors[log]
        records = self.run_async(self.store.read(log, after, limit=limit))
        assert list(records) == [record for record in self.records[log] if record.position > after][:limit]
        if not records:
            return
        owed = [
            NewDelivery(subscription=f"s{n}", lane=lane, position=record.position, claimed=born)
            for record in records
            for n in range(fan_out)
        ]
        kept = [Kept(log="archive", record=record) for record in records] if keep else []
        unmatched = 0 if owed or kept else len(records)
        to = records[-1].position
        advance = self.store.advance(log, LIVE, to, owed=owed, unmatched=unmatched, kept=kept, lease=LEASE)
        claims = self.run_async(advance)
        self._routed(log, records, owed, unmatched)
        assert len(claims) == (len(owed) if born else 0)
        self._claimed(claims)
        if keep:
            self.kept |= {record.position for record in records}
            self._see_archive()
        again = self.store.advance(log, LIVE, to, owed=owed, unmatched=unmatched, kept=kept, lease=LEASE)
        assert list(self.run_async(again)) == []

    def _routed(self, log: str, records: Any, owed: list[NewDelivery], unmatched: int) -> None:
        self.cursors[log] = records[-1].position
        self.counts[log]["unmatched"] += unmatched
        self.counts[log]["matched"] += len(records) - unmatched
        self.counts[log]["owed"] += len(owed)
        for new in owed:
            self.owed[new.position, new.subscription] = Owed(
                new.lane, log, DeliveryState.OWED, self.clock.now()
            )

    def _see_archive(self) -> None:
        found = list(self.run_async(self.store.read("archive", START)))
        assert found[: len(self.archive)] == self.archive
        self.given |= {record.position for record in found}
        self.archive = found
        assert len(found) == len(self.kept)

    @rule(lane=st.sampled_from(LANES), limit=st.integers(1, 5))
    def claim(self, lane: str, limit: int) -> None:
        claimed = self.run_async(self.store.claim(lane, limit, LEASE))
        waiting = sorted(
            owed.due_at for owed in self.owed.values() if owed.lane == lane and owed.due_at is not None
        )
        due = [instant for instant in waiting if instant <= self.clock.now()]
        assert len(claimed.claims) == min(limit, len(due))
        left = waiting[len(claimed.claims) :]
        assert claimed.next_due_at == (left[0] if left else None)
        assert [self._of(claim).due_at for claim in claimed.claims] == due[:limit]
        self._claimed(claimed.claims)

    def _of(self, claim: Claim) -> Owed:
        return self.owed[claim.record.position, claim.subscription]

    def _claimed(self, claims: Any) -> None:
        for claim in claims:
            owed = self._of(claim)
            assert claim.record in self.records[owed.log]
            assert claim.owed_at == (owed.redriven_at or claim.record.stored_at)
            assert claim.token not in {other.token for other in self.claims}
            owed.state, owed.token, owed.due_at = DeliveryState.CLAIMED, claim.token, self.clock.now() + LEASE
            owed.attempts_made += 1
            owed.claims += 1
            assert claim.attempt == owed.attempts_made
            self.claims.append(claim)

    @precondition(lambda self: self.claims)
    @rule(
        data=st.data(),
        state=st.sampled_from(
            [DeliveryState.DELIVERED, DeliveryState.OWED, DeliveryState.DEAD, DeliveryState.CANCELLED]
        ),
        seconds=st.integers(0, 90),
        sent=st.booleans(),
    )
    def settle(self, data: Any, state: DeliveryState, seconds: int, sent: bool) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        due_at = self.clock.now() + timedelta(seconds=seconds) if state is DeliveryState.OWED else None
        attempt = Attempt(number=claim.attempt, started_at=self.clock.now(), seconds=0.5, reply=Reply())
        settlement = Settlement(state=state, due_at=due_at, attempt=attempt if sent else None)
        settled = self.run_async(self.store.settle(claim, settlement))
        owed = self.owed.get((claim.record.position, claim.subscription))
        assert settled == (owed is not None and owed.token == claim.token)
        if owed is None or not settled:
            return
        owed.state, owed.due_at, owed.token = state, due_at, None
        owed.attempts += sent
        if state in SETTLED:
            owed.attempts_made -= not sent
            owed.settled_at = self.clock.now()
            self.counts[owed.log][state.value] += 1

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), seconds=st.integers(1, 120))
    def extend(self, data: Any, seconds: int) -> None:
        claims = data.draw(st.lists(st.sampled_from(self.claims), max_size=4))
        lease = timedelta(seconds=seconds)
        held = self.run_async(self.store.extend(claims, lease))
        for claim, is_held in zip(claims, held, strict=True):
            owed = self.owed.get((claim.record.position, claim.subscription))
            assert is_held == (owed is not None and owed.token == claim.token)
            if owed is not None and is_held:
                owed.due_at = self.clock.now() + lease

    # -- sweeps and people -----------------------------------------------------------------------------

    @rule(log=st.sampled_from(LOGS), back=st.integers(0, 20), limit=st.integers(1, 30))
    def trim(self, log: str, back: int, limit: int) -> None:
        before = max(self.given, default=0) + 1 - back
        gone = []
        for record in self.records[log][:limit]:
            needed = record.position > self.cursors[log] or any(
                position == record.position and owed.state in PENDING
                for (position, _), owed in self.owed.items()
            )
            if needed or record.position >= before:
                break
            gone.append(record)
        assert self.run_async(self.store.trim(log, before, limit)) == len(gone)
        self.records[log] = self.records[log][len(gone) :]
        self.set_aside |= {record.position: record for record in gone}
        self._forget_trimmed()

    def _forget_trimmed(self) -> None:
        """Of what is in no log any more only dead letters, and their records, are left."""
        self.owed = {
            key: owed
            for key, owed in self.owed.items()
            if owed.state is DeliveryState.DEAD or key[0] not in self.set_aside
        }
        needed = {position for position, _ in self.owed}
        gone = self.set_aside.keys() - needed
        self.set_aside = {position: self.set_aside[position] for position in self.set_aside.keys() & needed}
        self.numbers = {n: record for n, record in self.numbers.items() if record.position not in gone}

    @precondition(lambda self: self.owed)
    @rule(
        data=st.data(),
        delay=st.integers(0, 50),
        gap=st.integers(0, 20),
        back=st.none() | st.integers(0, 100),
        to=st.none() | st.tuples(st.sampled_from(["s1", "elsewhere"]), st.sampled_from(LANES)),
    )
    def redrive(self, data: Any, delay: int, gap: int, back: int | None, to: tuple[str, str] | None) -> None:
        keys = data.draw(st.lists(st.sampled_from(sorted(self.owed)), max_size=4, unique=True))
        now, step = self.clock.now(), timedelta(seconds=gap)
        due_at, died_by = now + timedelta(seconds=delay), now - timedelta(seconds=back or 0)
        how = Redrive(due_at=due_at, gap=step, died_by=None if back is None else died_by, to=to)
        ids = [(subscription, position) for position, subscription in keys]
        redriven = self.run_async(self.store.redrive(ids, how))
        for position, subscription in keys:
            owed = self.owed[position, subscription]
            if (
                owed.state is DeliveryState.DEAD
                and owed.settled_at is not None
                and owed.settled_at <= died_by
            ):
                self._redriven(position, owed, due_at, None if to is None or to[0] == subscription else to)
                due_at, redriven = due_at + step, redriven - 1
        assert redriven == 0

    def _redriven(self, position: int, owed: Owed, due_at: datetime, to: tuple[str, str] | None) -> None:
        self._put_back(owed.log, position)
        self.counts[owed.log]["dead"] -= 1
        if to is not None:
            owed.state = DeliveryState.DROPPED
            self.counts[owed.log]["dropped"] += 1
            if (position, to[0]) not in self.owed:
                made = Owed(to[1], owed.log, DeliveryState.OWED, due_at, redriven=1, redriven_at=due_at)
                self.owed[position, to[0]] = made
                self.counts[owed.log]["owed"] += 1
                return
            owed = self.owed[position, to[0]]
            if owed.state is not DeliveryState.DEAD:
                return
            self.counts[owed.log]["dead"] -= 1
        owed.state, owed.due_at, owed.settled_at = DeliveryState.OWED, due_at, None
        owed.attempts_made, owed.redriven_at = 0, due_at
        owed.redriven += 1

    def _put_back(self, log: str, position: int) -> None:
        record = self.set_aside.pop(position, None)
        if record is not None:
            self.records[log] = sorted([*self.records[log], record], key=lambda each: each.position)

    @rule(seconds=st.integers(0, 100), limit=st.integers(1, 4))
    def drop_dead(self, seconds: int, limit: int) -> None:
        before = self.clock.now() - timedelta(seconds=seconds)
        old = [
            (owed.settled_at, key)
            for key, owed in self.owed.items()
            if owed.state is DeliveryState.DEAD and owed.settled_at is not None and owed.settled_at < before
        ]
        dropped = self.run_async(self.store.drop_dead(before, limit))
        assert dropped == min(limit, len(old))
        found = self.run_async(self.store.deliveries(DeliveryQuery(limit=1000)))
        dead = {(each.position, each.subscription) for each in found if each.state is DeliveryState.DEAD}
        gone = [key for _, key in old if key not in dead]
        assert len(gone) == dropped
        for key in gone:
            self.owed[key].state = DeliveryState.DROPPED
            self.counts[self.owed[key].log]["dead"] -= 1
            self.counts[self.owed[key].log]["dropped"] += 1
        self._forget_trimmed()

    @rule(key=st.sampled_from(KEYS), value=st.binary(max_size=4) | st.none(), is_current=st.booleans())
    def change_registry(self, key: str, value: bytes | None, is_current: bool) -> None:
        revision = self.values[key][1] if key in self.values else 0
        expected = revision if is_current else revision + 1
        call = self.store.delete(key, expected) if value is None else self.store.put(key, value, expected)
        may = is_current and (value is not None or key in self.values)
        try:
            given = self.run_async(call)
        except RevisionConflict:
            assert not may
            return
        assert may
        assert given > self.revision
        self.revision = given
        if value is None:
            del self.values[key]
        else:
            self.values[key] = (value, given)
        change = self.run_async(_next(self.changes))
        assert (change.key, change.value, change.revision) == (key, value, given)

    # -- time and restarts -----------------------------------------------------------------------------

    @rule(seconds=st.integers(1, 100))
    def pass_time(self, seconds: int) -> None:
        self.run_async(self.clock.advance(timedelta(seconds=seconds)))

    @rule()
    def restart(self) -> None:
        self.run_async(self.store.close())
        self.store = self.run_async(self.open_store())
        self.changes = self.store.watch()
        for owed in self.owed.values():
            if owed.state is DeliveryState.CLAIMED:
                owed.state, owed.token, owed.due_at = DeliveryState.OWED, None, self.clock.now()

    # -- what always holds -----------------------------------------------------------------------------

    @invariant()
    def the_logs_are_the_models(self) -> None:
        for log in LOGS:
            assert list(self.run_async(self.store.read(log, START, limit=1000))) == self.records[log]
        for log, records in {**self.records, "archive": self.archive}.items():
            size = self.run_async(self.store.size(log))
            assert size.records == len(records)
            assert size.bytes == sum(len(record.event.encode()) for record in records)

    @invariant()
    def the_deliveries_are_the_models(self) -> None:
        found = self.run_async(self.store.deliveries(DeliveryQuery(limit=1000)))
        assert {(each.position, each.subscription) for each in found} == set(self.owed)
        for each in found:
            owed = self.owed[each.position, each.subscription]
            assert (each.state, each.lane, each.log) == (owed.state, owed.lane, owed.log)
            assert (each.attempts_made, each.redriven) == (owed.attempts_made, owed.redriven)
            assert (each.due_at, each.settled_at) == (owed.due_at, owed.settled_at)
            assert len(each.attempts) == min(owed.attempts, 20)
            assert owed.attempts <= owed.claims
            assert each.record is not None
            assert each.record in self.records[owed.log] or each.record == self.set_aside[each.position]
            assert each.owed_at == (owed.redriven_at or each.record.stored_at)

    @invariant()
    def the_lanes_are_the_models(self) -> None:
        due: dict[str, datetime] = {}
        for owed in self.owed.values():
            if owed.due_at is not None:
                due[owed.lane] = min(owed.due_at, due.get(owed.lane, owed.due_at))
        assert {found.lane: found.due_at for found in self.run_async(self.store.lanes())} == due

    @invariant()
    def the_ledger_balances(self) -> None:
        for log in LOGS:
            found = self.run_async(self.store.ledger(log))
            expected = self.counts[log]
            expected["unrouted"] = expected["accepted"] - expected["matched"] - expected["unmatched"]
            expected["pending"] = sum(
                owed.log == log and owed.state in PENDING for owed in self.owed.values()
            )
            assert msgspec.structs.asdict(found) == {**expected, "log": log}
            ended = found.delivered + found.dead + found.dropped + found.cancelled
            assert found.owed == ended + found.pending
            unrouted = [record for record in self.records[log] if record.position > self.cursors[log]]
            assert found.unrouted == len(unrouted)

    @invariant()
    def the_registry_is_the_models(self) -> None:
        found = {each.key: (each.value, each.revision) for each in self.run_async(self.store.list(""))}
        assert found == self.values

    def teardown(self) -> None:
        self.run_async(self.store.close())
        self.runner.close()


async def _next(changes: Any) -> Any:
    return await anext(changes)
