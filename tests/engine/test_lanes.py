"""However lanes behave: no more slots are held than there are, and whoever waits is woken."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from partnerbus.engine.lanes import WINDOW_AT_FIRST, WINDOW_AT_MOST, Lanes, Room

ROOM = Room(attempts=12, sick_attempts=4, payload_bytes=1_000)
PAYLOAD = 120
"""So that sometimes the bytes are the limit, and sometimes the slots."""
NAMES = st.sampled_from("abcdefgh")


class LanesMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes(ROOM)
        self.held: dict[str, int] = {}
        self.waiting: set[str] = set()

    @rule(name=NAMES, wanted=st.integers(1, 20))
    def take(self, name: str, wanted: int) -> None:
        taken = self.lanes.take(name, wanted)
        assert 0 <= taken <= wanted
        self.held[name] = self.held.get(name, 0) + taken
        self.lanes.carry(taken * PAYLOAD)
        if not taken:
            self.lanes.wait(name)
            self.waiting.add(name)

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data(), went_well=st.sampled_from([True, False, None]))
    def give_back(self, data: st.DataObject, went_well: bool | None) -> None:
        name = data.draw(st.sampled_from(sorted(name for name, held in self.held.items() if held)))
        if went_well is not None:
            self.lanes.judge(name, went_well=went_well)
        self.held[name] -= 1
        self.lanes.carry(-PAYLOAD)
        woken = self.lanes.give_back(name)
        assert len(set(woken)) == len(woken)
        assert set(woken) <= self.waiting
        self.waiting -= set(woken)

    @invariant()
    def no_more_is_held_than_there_is(self) -> None:
        assert self.lanes.held == sum(self.held.values()) <= ROOM.attempts
        assert all(held <= WINDOW_AT_MOST for held in self.held.values())

    @invariant()
    def nobody_waits_while_nothing_is_held(self) -> None:
        assert self.lanes.waiting == len(self.waiting)
        if not any(self.held.values()):
            assert not self.waiting


TestLanes = LanesMachine.TestCase


def hold(lanes: Lanes, name: str, count: int) -> None:
    assert lanes.take(name, count) == count


def test_a_lane_starts_small_and_grows_with_success() -> None:
    lanes = Lanes(Room())
    assert lanes.take("a", 1_000) == WINDOW_AT_FIRST
    for _ in range(1_000):
        lanes.judge("a", went_well=True)
    assert lanes.take("a", 1_000) == WINDOW_AT_MOST - WINDOW_AT_FIRST


def test_a_failing_lane_soon_holds_one_slot() -> None:
    lanes = Lanes(Room())
    hold(lanes, "a", WINDOW_AT_FIRST)
    for _ in range(WINDOW_AT_FIRST):
        lanes.judge("a", went_well=False)
        lanes.give_back("a")
    assert lanes.take("a", 1_000) == 1


def test_sick_lanes_leave_slots_to_the_others() -> None:
    lanes = Lanes(Room(attempts=10, sick_attempts=5))
    for number in range(8):
        hold(lanes, f"sick{number}", 1)
        for _ in range(4):
            lanes.judge(f"sick{number}", went_well=False)
        lanes.give_back(f"sick{number}")
    assert sum(lanes.take(f"sick{number}", 1) for number in range(8)) == 5
    assert lanes.take("healthy", 8) == 5


@pytest.mark.parametrize("held_bytes", [1_000, 5_000])
def test_bytes_in_flight_are_bounded_too(held_bytes: int) -> None:
    lanes = Lanes(Room(payload_bytes=1_000))
    hold(lanes, "a", 1)
    lanes.carry(held_bytes)
    assert lanes.take("b", 1) == 0
    lanes.wait("b")
    lanes.carry(-held_bytes)
    assert lanes.give_back("a") == ["b"]
    assert lanes.take("b", 1) == 1
