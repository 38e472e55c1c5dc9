"""What the engine does with a store: append, route, claim, settle, extend."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from partnerbus.model.delivery import SETTLED, Attempt, DeliveryState, NewDelivery, Record, Settlement
from partnerbus.model.reply import Reply
from partnerbus.store.protocol import LIVE, START, Kept
from partnerbus.testing.store_contract.world import new_record
from partnerbus.testing.store_machine.world import LANES, LEASE, LOGS, MachineWorld, Owed

ORDER = (None, b"a" * 16, b"b" * 16)
"""The keys of deliveries; None for those that need no order."""


Ways = list[tuple[str, bytes | None]]
WAYS = st.lists(st.tuples(st.sampled_from(LANES), st.sampled_from(ORDER)), min_size=8, max_size=8)
"""Lane and key of each delivery that a step may owe."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """How a batch is routed: up to `limit` records, each owed to `fan_out` subscriptions."""

    limit: int
    fan_out: int
    born: bool
    ways: Ways
    keep: bool = False


class EngineSteps(MachineWorld):
    """Steps that keep the six invariants as the engine would."""

    @rule(
        numbers=st.lists(st.tuples(st.integers(1, 60), st.sampled_from(LOGS)), max_size=6),
        ordered=st.booleans(),
    )
    def append(self, numbers: list[tuple[int, str]], *, ordered: bool) -> None:
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

    @property
    def unrouted(self) -> list[str]:
        """The logs that hold something their cursor has not passed."""
        return [
            log for log in LOGS if any(record.position > self.cursors[log] for record in self.records[log])
        ]

    @rule(log=st.sampled_from(LOGS), count=st.integers(1, 4), born=st.booleans(), ways=WAYS)
    def arrive(self, log: str, count: int, born: bool, ways: Ways) -> None:
        """New events that are routed as they come: the usual case."""
        first = max(self.numbers, default=0) + 1
        self.append([(number, log) for number in range(first, first + count)], ordered=False)
        self._route(log, Route(limit=4, fan_out=1, born=born, ways=ways))

    @precondition(lambda self: self.unrouted)
    @rule(
        data=st.data(),
        limit=st.integers(1, 4),
        fan_out=st.integers(0, 2),
        born=st.booleans(),
        keep=st.booleans(),
        ways=WAYS,
    )
    def route(self, data: Any, **how: Any) -> None:
        self._route(data.draw(st.sampled_from(self.unrouted)), Route(**how))

    def _route(self, log: str, how: Route) -> None:
        after = self.run_async(self.store.cursor(log, LIVE))
        assert after == self.cursors[log]
        records = self.run_async(self.store.read(log, after, limit=how.limit))
        assert (
            list(records) == [record for record in self.records[log] if record.position > after][: how.limit]
        )
        to_owe = [(record.position, f"{log}{n}") for record in records for n in range(how.fan_out)]
        owed = [
            NewDelivery(subscription=name, lane=lane, position=position, claimed=how.born, key=key)
            for (position, name), (lane, key) in zip(to_owe, how.ways, strict=False)
        ]
        kept = [Kept(log="archive", record=record) for record in records] if how.keep else []
        unmatched = 0 if owed or kept else len(records)
        to = records[-1].position
        advance = self.store.advance(log, LIVE, to, owed=owed, unmatched=unmatched, kept=kept, lease=LEASE)
        claims = self.run_async(advance)
        self._routed(log, records, owed, unmatched)
        free = [new for new in owed if not self.elders(new.position, new.subscription)]
        assert len(claims) == (len(free) if how.born else 0)
        self.claimed(claims)
        if how.keep:
            self.kept |= {record.position for record in records}
            self._see_archive()
        again = self.store.advance(log, LIVE, to, owed=owed, unmatched=unmatched, kept=kept, lease=LEASE)
        assert list(self.run_async(again)) == []

    def _routed(self, log: str, records: Sequence[Record], owed: list[NewDelivery], unmatched: int) -> None:
        self.cursors[log] = records[-1].position
        self.counts[log]["unmatched"] += unmatched
        self.counts[log]["matched"] += len(records) - unmatched
        self.counts[log]["owed"] += len(owed)
        for new in owed:
            made = Owed(new.lane, log, DeliveryState.OWED, self.clock.now(), new.key)
            self.owed[new.position, new.subscription] = made
            if self.elders(new.position, new.subscription):
                made.due_at = None

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
        assert [self.of(claim).due_at for claim in claimed.claims] == due[:limit]
        self.claimed(claimed.claims)

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
            self.release(claim.subscription, owed.key)

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
