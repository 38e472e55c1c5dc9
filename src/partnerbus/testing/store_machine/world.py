"""What all steps of the machine share: the store under test, and the model beside it."""

import asyncio
from collections.abc import Coroutine, Iterable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
from hypothesis.stateful import RuleBasedStateMachine

from partnerbus.kernel.clock import ManualClock
from partnerbus.model.delivery import Claim, DeliveryState, Record
from partnerbus.store.protocol import START, Ledger, Store

T = TypeVar("T")

LOGS = ("a", "b")
LANES = ("lane-1", "lane-2")
LEASE = timedelta(seconds=60)
PENDING = (DeliveryState.OWED, DeliveryState.CLAIMED)

Id = tuple[int, str]
"""Position and subscription of a delivery."""


class Owed(msgspec.Struct):
    """A delivery as the model knows it; `due_at` is None once it is settled, and while it is held back."""

    lane: str
    log: str
    state: DeliveryState
    due_at: datetime | None
    key: bytes | None = None
    attempts_made: int = 0
    attempts: int = 0
    claims: int = 0
    redriven: int = 0
    token: int | None = None
    settled_at: datetime | None = None
    redriven_at: datetime | None = None


class MachineWorld(RuleBasedStateMachine):
    """The store under test and the model of it: a few dicts, without tables, groups or leases in memory."""

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

    def of(self, claim: Claim) -> Owed:
        """The model's delivery of a claim."""
        return self.owed[claim.record.position, claim.subscription]

    def claimed(self, claims: Iterable[Claim]) -> None:
        """Note what was claimed, and that it might be."""
        for claim in claims:
            owed = self.of(claim)
            assert claim.record in self.records[owed.log]
            assert claim.owed_at == (owed.redriven_at or claim.record.stored_at)
            assert claim.token not in {other.token for other in self.claims}
            assert claim.key == owed.key
            assert self.elders(claim.record.position, claim.subscription) == []
            owed.state, owed.token, owed.due_at = DeliveryState.CLAIMED, claim.token, self.clock.now() + LEASE
            owed.attempts_made += 1
            owed.claims += 1
            assert claim.attempt == owed.attempts_made
            self.claims.append(claim)

    def elders(self, position: int, subscription: str) -> list[Id]:
        """What must end before that delivery may be attempted: unsettled, of its key, at lower positions."""
        key = self.owed[position, subscription].key
        return [
            (other, name)
            for (other, name), owed in self.owed.items()
            if key is not None and (name, owed.key) == (subscription, key)
            if other < position and owed.state in PENDING
        ]

    def release(self, subscription: str, key: bytes | None) -> None:
        """One of that key has ended: the eldest that is left is due, if it was held back."""
        left = [
            position
            for (position, name), owed in self.owed.items()
            if key is not None and (name, owed.key) == (subscription, key) and owed.state in PENDING
        ]
        if left and (eldest := self.owed[min(left), subscription]).due_at is None:
            eldest.due_at = self.clock.now()

    def put_back(self, log: str, position: int) -> None:
        """A record that was trimmed is in its log again."""
        record = self.set_aside.pop(position, None)
        if record is not None:
            self.records[log] = sorted([*self.records[log], record], key=lambda each: each.position)

    def forget_trimmed(self) -> None:
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

    def teardown(self) -> None:
        self.run_async(self.store.close())
        self.runner.close()
