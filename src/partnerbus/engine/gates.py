"""What stands before the slots of a lane: its circuit breaker, and its rate."""

from collections.abc import Callable
from datetime import datetime

from partnerbus.engine.breakers import Breakers
from partnerbus.engine.pace import Paces
from partnerbus.kernel.clock import Clock


class Gates:
    """Lets attempts of a lane begin. What `take` allowed is either made and judged, or given back."""

    def __init__(self, clock: Clock, rate_of: Callable[[str], int | None]) -> None:
        self._breakers = Breakers(clock)
        self._paces = Paces(clock, rate_of)

    @property
    def held(self) -> dict[str, datetime]:
        """The lanes that their breakers hold, and until when."""
        return self._breakers.held

    def is_held(self, lane: str) -> bool:
        """Whether a breaker holds the lane."""
        return self._breakers.is_held(lane)

    def take(self, lane: str, wanted: int) -> int:
        """How many of `wanted` attempts may begin now."""
        allowed = self._breakers.take(lane, wanted)
        taken = self._paces.take(lane, allowed)
        if allowed and not taken:
            self._breakers.give_back(lane)
        return taken

    def give_back(self, lane: str, count: int) -> None:
        """So many that were allowed are not made."""
        if count:
            self._breakers.give_back(lane)
            self._paces.give_back(lane, count)

    def judge(self, lane: str, *, went_well: bool) -> None:
        """Learn from an attempt that was made."""
        self._breakers.judge(lane, went_well=went_well)

    def opens_at(self, lane: str) -> datetime | None:
        """When to ask again; None: once the attempt that is in flight has ended."""
        at = self._breakers.opens_at(lane)
        return None if at is None else max(at, self._paces.opens_at(lane))
