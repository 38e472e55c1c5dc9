"""The records in memory are those of the disk, however few of them there is room for."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from partnerbus.model.delivery import Record
from partnerbus.store.embedded.tail import RECORD_OVERHEAD, Tail
from partnerbus.testing.store_contract.world import make_event

SIZE = RECORD_OVERHEAD + len(make_event(1).detail)


def record(log: str, position: int) -> Record:
    return Record(
        log=log, position=position, stored_at=datetime(2026, 1, 1, tzinfo=UTC), event=make_event(position)
    )


@given(
    st.lists(st.tuples(st.sampled_from("abt"), st.integers(0, 30)), max_size=60),
    st.integers(1, 10),
    st.integers(1, 5),
)
def test_it_knows_what_it_has(steps: list[tuple[str, int]], room: int, limit: int) -> None:
    """`a` and `b` are pushes to a log; `t` trims log `a`."""
    tail = Tail({}, room * SIZE)
    pushed: dict[str, list[Record]] = {"a": [], "b": []}
    for position, (step, trimmed) in enumerate(steps, start=1):
        if step == "t":
            tail.log("a").forget(trimmed)
        else:
            pushed[step].append(record(step, position))
            tail.push(pushed[step][-1:])
    in_memory = 0
    for name, records in pushed.items():
        log = tail.log(name)
        assert log.head == (records[-1].position if records else 0)
        known = [each for each in records if each.position > log.floor]
        in_memory += len(known)
        assert list(log.after(log.floor, log.head, 100)) == known
        assert list(log.after(log.floor, log.head, limit)) == known[:limit]
        assert [log.at(each.position) for each in known] == known
        if len(known) > 1:
            first, last = known[0].position, known[-2].position
            assert list(log.after(first, last, 100)) == known[1:-1]
    assert in_memory <= room
    if not any(step == "t" for step, _ in steps):
        assert in_memory == min(room, len(steps))
