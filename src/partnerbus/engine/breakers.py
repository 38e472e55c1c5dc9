"""Circuit breakers: a target that is down is left alone, save for a probe now and then.

A lane whose attempts fail `BREAK_AFTER` times in a row, in ways that a retry might mend, is held: nothing of
it is claimed for a while. Then one attempt is made, the probe. If it goes well the lane is as any other; if
not, the lane is held twice as long, up to `HOLD_MOST`. What is owed waits in the store meanwhile, uses no
attempt, and ages: attempts and age end by the retry policy alone. The hold is far below the backoff of a
delivery that has been tried often, so one delivery alone is hardly ever held; a thousand of them, which would
all come to hammer the target, share its probes.

    closed ── fails BREAK_AFTER times ──▶ held ── hold is over, one is taken ──▶ probing
      ▲                                    ▲ └────────── any goes well ──┐          │
      └────────────── goes well ───────────┼─────────────────────────────┴──────────┤
                                           └────────────── fails ───────────────────┘
"""

from datetime import datetime, timedelta

import msgspec

from partnerbus.kernel.clock import Clock

BREAK_AFTER = 10
HOLD_FIRST = timedelta(seconds=5)
HOLD_MOST = timedelta(seconds=60)

REMEMBERED = timedelta(hours=1)
LANES_KEPT = 1_000
"""So many lanes, or twice as many as failed within an hour, are remembered."""


class _Lane(msgspec.Struct):
    """A lane that failed lately, last at `failed_at`. `until` is None while it is closed."""

    failed_at: datetime
    failures: int = 0
    hold: timedelta = HOLD_FIRST
    until: datetime | None = None
    is_probing: bool = False


class Breakers:
    """One breaker for each lane that failed lately."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}
        self._sweep_at = LANES_KEPT

    @property
    def held(self) -> dict[str, datetime]:
        """The lanes that are held, and until when. One whose hold is over and wants nothing is not."""
        return {
            name: lane.until
            for name, lane in self._lanes.items()
            if lane.until is not None and self.is_held(name)
        }

    def is_held(self, name: str) -> bool:
        """Whether the lane is held, or only its probe may be made."""
        lane = self._lanes.get(name)
        if lane is None or lane.until is None:
            return False
        return lane.until > self._clock.now() or lane.is_probing

    def take(self, name: str, wanted: int) -> int:
        """How many of `wanted` attempts may begin: all, none, or one, which then is the probe."""
        lane = self._lanes.get(name)
        if lane is None or lane.until is None:
            return wanted
        if lane.is_probing or lane.until > self._clock.now() or not wanted:
            return 0
        lane.is_probing = True
        return 1

    def give_back(self, name: str) -> None:
        """The attempt that `take` allowed was not made after all; another may be the probe."""
        lane = self._lanes.get(name)
        if lane is not None:
            lane.is_probing = False

    def opens_at(self, name: str) -> datetime | None:
        """When `take` may give something; None while a probe is in flight."""
        lane = self._lanes.get(name)
        if lane is None or lane.until is None:
            return self._clock.now()
        return None if lane.is_probing else lane.until

    def judge(self, name: str, *, went_well: bool) -> None:
        """Learn from an attempt: the probe, or one that began before the lane was held."""
        if went_well:
            self._lanes.pop(name, None)
            return
        lane = self._lanes.get(name) or self._new(name)
        lane.failed_at = self._clock.now()
        lane.failures += 1
        if lane.is_probing:
            lane.hold = min(2 * lane.hold, HOLD_MOST)
        if lane.is_probing or (lane.until is None and lane.failures >= BREAK_AFTER):
            lane.until = self._clock.now() + lane.hold
        lane.is_probing = False

    def _new(self, name: str) -> _Lane:
        now = self._clock.now()
        if len(self._lanes) >= self._sweep_at:
            self._lanes = {
                known: lane for known, lane in self._lanes.items() if lane.failed_at > now - REMEMBERED
            }
            self._sweep_at = max(LANES_KEPT, 2 * len(self._lanes))
        self._lanes[name] = lane = _Lane(failed_at=now)
        return lane
