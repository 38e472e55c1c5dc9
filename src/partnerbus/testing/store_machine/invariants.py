"""What always holds: the store says what the model says, and the ledger balances."""

from datetime import datetime

import msgspec
from hypothesis.stateful import invariant

from partnerbus.model.delivery import ATTEMPTS_KEPT, DeliveryState, Record
from partnerbus.store.protocol import START, DeliveryQuery
from partnerbus.testing.store_machine.world import LOGS, PENDING, Id, MachineWorld, Owed


class Invariants(MachineWorld):
    """Asked after every step."""

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
            assert len(each.attempts) == min(owed.attempts, ATTEMPTS_KEPT)
            assert owed.attempts <= owed.claims
            assert each.record is not None
            assert each.record in self.records[owed.log] or each.record == self.set_aside[each.position]
            assert each.owed_at == (owed.redriven_at or each.record.stored_at)

    @invariant()
    def the_backlog_is_the_models(self) -> None:
        found = self.run_async(self.store.backlog())
        assert [each.subscription for each in found] == sorted({name for _, name in self._not_got()})
        for each in found:
            of = {at: owed for (at, name), owed in self._not_got().items() if name == each.subscription}
            pending = {at: owed for at, owed in of.items() if owed.state in PENDING}
            later = [
                owed
                for owed in pending.values()
                if owed.state is DeliveryState.OWED and (owed.due_at or self.clock.now()) > self.clock.now()
            ]
            assert (each.pending, each.retrying) == (len(pending), len(later))
            assert each.dead == len(of) - len(pending)
            oldest = self._record_at(min(pending)).stored_at if pending else None
            assert each.oldest_stored_at == oldest

    def _not_got(self) -> dict[Id, Owed]:
        return {
            key: owed
            for key, owed in self.owed.items()
            if owed.state in PENDING or owed.state is DeliveryState.DEAD
        }

    def _record_at(self, position: int) -> Record:
        every = [*self.set_aside.values(), *(record for log in LOGS for record in self.records[log])]
        return next(record for record in every if record.position == position)

    @invariant()
    def what_is_stored_is_found(self) -> None:
        ids = [number.to_bytes(16, "big") for number in self.numbers]
        stored = sorted(self.numbers.values(), key=lambda record: record.position)
        assert list(self.run_async(self.store.find(ids))) == stored

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
