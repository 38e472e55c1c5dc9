"""What a run of `partnerbus.testing.crash` counted, and what of it breaks a promise."""

from collections import Counter

import msgspec

from partnerbus.kernel.failpoints import Failpoint
from partnerbus.store.protocol import Ledger

SICK_EVERY = 25
"""One event in so many goes to the two targets that never take it..."""

SICK_AT_MOST = 30
"""...up to so many between two ends: a circuit breaker lets one attempt in minutes through."""

RETRIES_OF_THE_SICK = 2


class CrashReport(msgspec.Struct, kw_only=True):
    """What was counted. Numbers are those of events."""

    acknowledged: set[int]
    sick: set[int] = set()
    """Which go to the two targets that never take them."""
    sent: int = 0
    ends: int = 0
    statuses: list[int] = []
    """How the server exited when it was asked to stop."""
    not_reached: list[Failpoint] = []
    received: dict[str, Counter[int]] = {}
    dead_letters: Counter[int] = Counter()
    given_up: set[int] = set()
    """What the second of the sick targets never took and is a dead letter on our own list."""
    unseen: set[int] = set()
    """What of that is there because kills used up its attempts."""
    forgettable: int = 0
    """How many attempts at one delivery may be forgotten: a power cut takes what was claimed just before."""
    ledger: Ledger = Ledger(log="")
    archived: int = 0

    def faults(self) -> list[str]:
        """What is wrong, as sentences; empty if every promise was kept."""
        sick = self.acknowledged & self.sick
        expected = {
            "/all": self.acknowledged,
            "/even": {number for number in self.acknowledged if number % 2 == 0},
            "/refuses": sick,
            "/down": sick - self.unseen,
        }
        faults = [f"never passed: {point}" for point in self.not_reached]
        faults += [f"asked to stop, it exited with status {status}" for status in self.statuses if status]
        for path, numbers in expected.items():
            arrived = self.received[path]
            faults += [f"{path}: acknowledged {n}, never arrived" for n in sorted(numbers - arrived.keys())]
            faults += [f"{path}: {n} was never sent" for n in sorted(n for n in arrived if n >= self.sent)]
        faults += [f"dead-letter queue: {n} never arrived" for n in sorted(sick - self.dead_letters.keys())]
        faults += [f"/down: {n} is no dead letter" for n in sorted(sick - self.given_up)]
        faults += [f"/even: got {n}" for n in self.received["/even"] if n % 2]
        faults += [
            f"/down: {n} was tried {count} times"
            for n, count in self.received["/down"].items()
            if count > 1 + RETRIES_OF_THE_SICK + self.forgettable
        ]
        return faults + self._ledger_faults()

    def _ledger_faults(self) -> list[str]:
        has = self.ledger
        faults = []
        if has.accepted < len(self.acknowledged):
            faults.append(f"ledger: {has.accepted} accepted, {len(self.acknowledged)} acknowledged")
        if has.accepted != has.unmatched + has.matched + has.unrouted:
            faults.append(f"ledger: events do not balance: {has}")
        if has.owed != has.delivered + has.dead + has.dropped + has.cancelled + has.pending:
            faults.append(f"ledger: deliveries do not balance: {has}")
        if has.accepted != self.archived:
            faults.append(f"archive: {self.archived} events, {has.accepted} accepted")
        if has.pending or has.unrouted:
            faults.append(f"ledger: not at rest: {has}")
        return faults
