"""How many attempts may be in flight: per lane, among sick lanes, and in all.

A lane (what shares a target) has a window: how many of its attempts may be in flight at once. It grows by one
with each success and halves with each failure that a sick target gives, so a target that hangs soon holds one
slot. Lanes at that floor are sick; together they may hold no more than half of all slots, so however many of
them there are, the others go on.
"""

from collections import deque

import msgspec

WINDOW_AT_FIRST = 8
WINDOW_AT_MOST = 64
SICK_WINDOW = 1


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What may be in flight in all.

    `payload_bytes` is looked at before more is claimed, so what the claims under way give may go beyond it.
    """

    attempts: int = 1_024
    sick_attempts: int = 512
    payload_bytes: int = 128 * 1024 * 1024


class _Lane:
    """One lane's share."""

    def __init__(self) -> None:
        self.window = WINDOW_AT_FIRST
        self.held = 0
        self.is_hungry = False

    @property
    def is_sick(self) -> bool:
        return self.window <= SICK_WINDOW

    @property
    def free(self) -> int:
        return self.window - self.held

    @property
    def is_ordinary(self) -> bool:
        """Whether a new lane would be no worse."""
        return self.held == 0 and self.window >= WINDOW_AT_FIRST and not self.is_hungry


class Lanes:
    """The slots of all lanes, and who waits for one.

    A slot is held from before a delivery is claimed until it is settled. What is remembered is a small object
    for each lane that holds a slot, waits for one, or failed lately.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._lanes: dict[str, _Lane] = {}
        self._held = 0
        self._held_by_sick = 0
        self._bytes = 0
        self._starved: deque[str] = deque()
        self._starved_sick: deque[str] = deque()
        self._waiting: set[str] = set()

    @property
    def held(self) -> int:
        """How many slots are held."""
        return self._held

    @property
    def waiting(self) -> int:
        """How many lanes wait for a slot."""
        return len(self._waiting)

    def is_waiting(self, name: str) -> bool:
        """Whether the lane has more to do than slots to do it."""
        return name in self._waiting

    def is_sick(self, name: str) -> bool:
        """Whether failures have left the lane a single slot."""
        lane = self._lanes.get(name)
        return lane is not None and lane.is_sick

    def take(self, name: str, wanted: int) -> int:
        """Hold up to `wanted` slots for a lane; give how many."""
        lane = self._lanes.get(name) or _Lane()
        taken = max(0, min(wanted, lane.free, self._free(lane.is_sick)))
        if taken:
            self._lanes[name] = lane
            self._hold(lane, taken)
        return taken

    def wait(self, name: str) -> None:
        """Note that the lane wants a slot and has none; `give_back` tells when to try again."""
        if name in self._waiting:
            return
        self._waiting.add(name)
        lane = self._lanes.setdefault(name, _Lane())
        if lane.free <= 0:
            lane.is_hungry = True
        else:
            (self._starved_sick if lane.is_sick else self._starved).append(name)

    def give_back(self, name: str, count: int = 1) -> list[str]:
        """Return slots; gives the lanes that waited and should try again."""
        lane = self._lanes[name]
        self._hold(lane, -count)
        woken = [name] if lane.is_hungry and lane.free > 0 else []
        woken += _first(self._starved, self._free(sick=False))
        woken += _first(self._starved_sick, self._free(sick=True))
        lane.is_hungry = lane.is_hungry and lane.free <= 0
        self._waiting.difference_update(woken)
        if lane.is_ordinary and name not in self._waiting:
            del self._lanes[name]
        return woken

    def carry(self, payload_bytes: int) -> None:
        """Count bytes that are in flight from now on (or no longer, if negative)."""
        self._bytes += payload_bytes

    def judge(self, name: str, *, went_well: bool) -> None:
        """Let the window of a lane that holds a slot follow how an attempt went."""
        lane = self._lanes[name]
        was_sick = lane.is_sick
        lane.window = (
            min(lane.window + 1, WINDOW_AT_MOST) if went_well else max(lane.window // 2, SICK_WINDOW)
        )
        self._held_by_sick += lane.held * (lane.is_sick - was_sick)

    def _free(self, sick: bool) -> int:
        if self._bytes >= self._room.payload_bytes:
            return 0
        free = self._room.attempts - self._held
        return min(free, self._room.sick_attempts - self._held_by_sick) if sick else free

    def _hold(self, lane: _Lane, count: int) -> None:
        lane.held += count
        self._held += count
        if lane.is_sick:
            self._held_by_sick += count


def _first(waiting: deque[str], count: int) -> list[str]:
    """Take up to `count` names from the front."""
    return [waiting.popleft() for _ in range(min(count, len(waiting)))]
