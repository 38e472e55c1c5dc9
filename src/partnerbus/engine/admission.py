"""Which lanes may begin attempts, how many, and when: the agenda, the gates and the slots, as one.

A lane that has something due goes through two doors: its gate (its rate and its circuit breaker, `Gates`),
which allows attempts, and the slots (`Lanes`), which are held for them. Behind a closed gate it is *turned
away*: it comes back when the gate opens, or when an attempt of it has ended. Without a free slot it *waits*:
it comes back when somebody gives one back. What the gate allowed and is not made is given back to it too.

Nothing here knows deliveries or the store: only lanes, by name, and counts.
"""

from collections.abc import Callable
from datetime import datetime

from partnerbus.engine.agenda import Agenda
from partnerbus.engine.gates import Gates
from partnerbus.engine.lanes import Lanes, Room
from partnerbus.kernel.clock import Clock
from partnerbus.model.reply import Reply

AT_MOST = 64
"""How many attempts of a lane begin at once."""


class Admission:
    """Lets attempts of lanes begin. `changed` is called when nothing may be due any more.

    Lanes that are not mine (`is_mine`) are another node's: what is due there is forgotten here.
    """

    def __init__(
        self,
        clock: Clock,
        gates: Gates,
        room: Room,
        changed: Callable[[], None],
        is_mine: Callable[[str], bool] = lambda _lane: True,
    ) -> None:
        self._agenda: Agenda[str] = Agenda(clock)
        self._gates = gates
        self._lanes = Lanes(room)
        self._turned_away: set[str] = set()
        self._changed = changed
        self._is_mine = is_mine

    @property
    def anything_due(self) -> bool:
        """Whether `next` would look at a lane at once."""
        return self._agenda.anything_due

    def owe(self, lane: str, due_at: datetime | None = None) -> None:
        """Something is owed in `lane`, due at `due_at` (None: at once)."""
        self._agenda.put(lane, due_at)

    def is_behind(self, lane: str) -> bool:
        """Whether something in the lane is due and may not begin yet, though its target does not fail."""
        return self._is_due(lane) and not self._lanes.is_sick(lane) and not self._gates.is_held(lane)

    def _is_due(self, lane: str) -> bool:
        return self._agenda.is_due(lane) or self._lanes.is_waiting(lane) or lane in self._turned_away

    # -- slots for attempts that are to begin ----------------------------------------------------------

    async def next(self) -> tuple[str, int]:
        """The next lane that has something due and may begin it, and how many slots are held for that."""
        while True:
            lane = await self._agenda.next()
            self._turned_away.discard(lane)
            if not self._is_mine(lane):
                self._changed()
                continue
            allowed = self._gates.take(lane, AT_MOST)
            if not allowed:
                self._turn_away(lane)
            elif taken := self._hold(lane, allowed):
                return lane, taken
            else:
                self._lanes.wait(lane)

    def take(self, lane: str, wanted: int) -> int:
        """Hold up to `wanted` slots of a lane for deliveries that are about to be born claimed.

        None while something is due in the lane: what was owed first is attempted first.
        """
        if self._is_due(lane) or not self._is_mine(lane):
            return 0
        return self._hold(lane, self._gates.take(lane, wanted))

    def give_back(self, lane: str, count: int) -> None:
        """Return slots that were taken, and for which no attempt is made."""
        if count:
            self.unmade(lane, count)
            self._free(lane, count)

    # -- attempts under way ----------------------------------------------------------------------------

    def carry(self, payload_bytes: int) -> None:
        """So many bytes, for which there are slots, are in memory from now on (or no longer, if negative)."""
        self._lanes.carry(payload_bytes)

    def judge(self, lane: str, reply: Reply) -> None:
        """Let window and breaker learn. A failure that no retry mends says that the lane is not down."""
        if reply.accepted or reply.retryable:
            self._lanes.judge(lane, went_well=reply.accepted)
        self._gates.judge(lane, went_well=not reply.retryable)
        self._look_again(lane)

    def unmade(self, lane: str, count: int = 1) -> None:
        """So many attempts that the gate allowed were not made; the slots are still held."""
        self._gates.give_back(lane, count)
        self._look_again(lane)

    def end(self, lane: str, payload_bytes: int) -> None:
        """An attempt is over: its slot is free, and its bytes are carried no longer."""
        self._lanes.carry(-payload_bytes)
        self._free(lane, 1)

    # -- doors -----------------------------------------------------------------------------------------

    def _hold(self, lane: str, allowed: int) -> int:
        """Hold slots for attempts that the gate allowed; it gets back those without a slot."""
        taken = self._lanes.take(lane, allowed)
        self._gates.give_back(lane, allowed - taken)
        return taken

    def _free(self, lane: str, count: int) -> None:
        for woken in self._lanes.give_back(lane, count):
            self._agenda.put(woken)

    def _turn_away(self, lane: str) -> None:
        """Come back to a lane when its gate opens, or when the attempt it waits for has ended."""
        self._turned_away.add(lane)
        at = self._gates.opens_at(lane)
        if at is not None:
            self._agenda.put(lane, at)
        self._changed()

    def _look_again(self, lane: str) -> None:
        """The gate may open earlier now."""
        if lane in self._turned_away:
            self._turn_away(lane)
