"""What happens to a store besides: trimming, people's redrives, the registry, time, restarts."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from partnerbus.kernel.errors import RevisionConflict
from partnerbus.model.delivery import DeliveryState, Redrive
from partnerbus.store.protocol import Change, DeliveryQuery
from partnerbus.testing.store_machine.world import LANES, LOGS, PENDING, MachineWorld, Owed

NAMES = ("k1", "k2", "k3")
"""The keys of the registry."""


class OtherSteps(MachineWorld):
    """Steps of sweeps, people and time."""

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
        self.forget_trimmed()

    @precondition(lambda self: self.owed)
    @rule(
        data=st.data(),
        delay=st.integers(0, 50),
        gap=st.integers(0, 20),
        back=st.none() | st.integers(0, 100),
        to=st.none() | st.tuples(st.sampled_from(["a1", "elsewhere"]), st.sampled_from(LANES)),
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
        self.put_back(owed.log, position)
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
        owed.attempts_made, owed.redriven_at, owed.key = 0, due_at, None
        owed.redriven += 1

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
        self.forget_trimmed()

    @rule(key=st.sampled_from(NAMES), value=st.binary(max_size=4) | st.none(), is_current=st.booleans())
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


async def _next(changes: AsyncIterator[Change]) -> Change:
    return await anext(changes)
