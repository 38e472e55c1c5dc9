"""How large a turn of a replay is, and how long the rest after it."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from partnerbus.engine.publish import Publisher
from partnerbus.engine.replay_pace import GROWTH, LEAST, LIVE_FOR, LONGEST_REST, MOST, REST, ReplayPace
from partnerbus.kernel.clock import ManualClock
from partnerbus.model.reply import ACCEPTED
from partnerbus.model.resources import ReplayState
from tests.engine.archiving import now, start
from tests.engine.test_replays import WINDOW, bus_with_archive
from tests.engine.world import UNAVAILABLE, World, new_record, new_target

TOOK = timedelta(milliseconds=10)
NO_REST = timedelta(0)


def grown(clock: ManualClock) -> ReplayPace:
    """A pace that has had nothing live for long."""
    pace = ReplayPace(clock)
    for _ in range(MOST):
        pace.turned(TOOK)
    return pace


def test_in_silence_turns_grow_to_a_bound_and_nobody_rests() -> None:
    pace = ReplayPace(ManualClock())
    sizes = []
    while pace.events < MOST:
        sizes.append(pace.events)
        assert pace.turned(TOOK) == NO_REST
    assert sizes == list(range(LEAST, MOST, GROWTH))
    assert pace.turned(TOOK) == NO_REST
    assert pace.events == MOST


async def test_one_live_event_ends_the_full_pace_at_once() -> None:
    clock = ManualClock()
    pace = grown(clock)
    pace.saw_live()
    assert pace.events == LEAST
    assert pace.turned(TOOK) == REST * TOOK
    assert pace.events == LEAST
    await clock.advance(LIVE_FOR - timedelta(microseconds=1))
    assert pace.turned(TOOK) == REST * TOOK
    assert pace.events == LEAST
    await clock.advance(timedelta(microseconds=1))
    assert pace.turned(TOOK) == NO_REST
    assert pace.events == LEAST + GROWTH


@given(st.lists(st.one_of(st.just("live"), st.just("late"), st.integers(0, 2_000)), max_size=60))
async def test_a_turn_is_never_out_of_bounds_nor_large_beside_live_events(steps: list[str | int]) -> None:
    clock = ManualClock()
    pace = ReplayPace(clock)
    for step in steps:
        if step == "live":
            pace.saw_live()
        elif step == "late":
            pace.not_taken()
        elif isinstance(step, int):
            took = timedelta(milliseconds=step)
            await clock.advance(took)
            assert pace.turned(took) <= LONGEST_REST
        assert LEAST <= pace.events <= MOST
        assert pace.events == LEAST or not pace.is_live


def test_events_that_nobody_took_in_time_end_it_too() -> None:
    pace = grown(ManualClock())
    pace.not_taken()
    assert pace.events == LEAST


def test_a_clock_that_was_put_back_is_not_live_traffic() -> None:
    clock = ManualClock()
    pace = grown(clock)
    pace.saw_live()
    clock._now -= timedelta(hours=1)
    assert pace.turned(TOOK) == NO_REST


# -- what is live --------------------------------------------------------------------------------------


class Count:
    """Counts how often something live was seen."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self) -> None:
        self.seen += 1


async def test_what_is_put_is_live_and_what_a_replay_forwards_is_not(world: World) -> None:
    count = Count()
    publisher = Publisher(world.store, saw_live=count)
    live = new_record(await world.bus())
    replayed = new_record(await world.bus("other"), replay_name="again")
    await publisher.publish([replayed])
    assert count.seen == 0
    await publisher.publish([replayed, live])
    assert count.seen == 1


async def test_attempts_of_live_events_are_live_and_those_of_a_replay_are_not(world: World) -> None:
    bus, archive, records = await bus_with_archive(world, *range(3 * LEAST))
    target = new_target(since=records[-1].position)
    await world.rule(bus, target)
    pace = world.engine._replays._pace
    after_a_put = pace.is_live
    await world.advance(LIVE_FOR)
    replay = await start(world, archive, WINDOW)
    await world.engine.idle()
    assert now(world, replay).state is ReplayState.COMPLETED
    assert len(world.targets.to(target.arn)) == 3 * LEAST
    assert (after_a_put, pace.is_live) == (True, False)
    world.targets.answers[target.arn] = [UNAVAILABLE, ACCEPTED]
    await world.engine.publisher.publish([new_record(bus)])
    await world.engine.idle()
    put_at = world.clock.now()
    await world.advance(timedelta(minutes=2))
    assert len(world.targets.to(target.arn)) == 3 * LEAST + 2
    assert pace._live_at is not None
    assert pace._live_at > put_at
