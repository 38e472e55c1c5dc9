"""How fast replays go: at full pace while nothing is live, a few events at a time while something is.

A turn of a replay copies and routes some events, and these are then attempted. A live event that comes
meanwhile finds them before it, so what a turn brings is what a live event may have to wait for. Hence

* while something is live, and for `LIVE_FOR` after it, a turn has `LEAST` events, and a rest follows that is
  `REST` times as long as the turn took: the busier the disk and the event loop, the slower all replays;
* otherwise turns grow by `GROWTH` up to `MOST`, and nobody rests. `MOST` is enough to keep the node busy, and
  little enough for the first live event after a silence;
* a turn whose events were not taken in time is followed by one of `LEAST`: its target is what limits it.

The first live event ends the full pace at once rather than by halves: it has told all there is to know.
"""

from datetime import datetime, timedelta

from partnerbus.kernel.clock import Clock

LEAST = 4
MOST = 64
GROWTH = 4
REST = 4
LONGEST_REST = timedelta(seconds=1)
"""However long a turn took: the clock may have been moved meanwhile."""

LIVE_FOR = timedelta(seconds=1)
"""Live traffic of more than one event a second is never taken for silence."""


class ReplayPace:
    """What all replays of a node go by. `saw_live` is called when something live is put or attempted."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._size = LEAST
        self._live_at: datetime | None = None

    def saw_live(self) -> None:
        """Something live is going on now."""
        self._live_at = self._clock.now()
        self._size = LEAST

    @property
    def is_live(self) -> bool:
        """Whether something live went on lately."""
        if self._live_at is None:
            return False
        return timedelta(0) <= self._clock.now() - self._live_at < LIVE_FOR

    @property
    def events(self) -> int:
        """How many events the next turn may have; it waits while so many replayed ones are attempted."""
        return self._size

    def turned(self, took: timedelta) -> timedelta:
        """A turn is over; give how long nobody replays now."""
        if self.is_live:
            return min(REST * took, LONGEST_REST)
        self._size = min(self._size + GROWTH, MOST)
        return timedelta(0)

    def not_taken(self) -> None:
        """The events of a turn were still waiting for their targets when patience ran out."""
        self._size = LEAST
