"""Killed at every failpoint, killed or stopped at random moments: nothing that was acknowledged is missing.

A run of the harness lives through several ends of one server on one folder, with publishers, four kinds of
target and a changing registry at work, and then counts by number and by ledger.
"""

import random
from pathlib import Path

import pytest

from partnerbus.kernel.failpoints import Failpoint
from partnerbus.testing.crash import End, KillAfter, KillAt, StopAfter, crash_run

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(1_800)]

RARE = {
    Failpoint.SOURCE_BUS_CREATED,
    Failpoint.SOURCE_BUS_RELEASED,
    Failpoint.TRIM_BEFORE_COMMIT,
    Failpoint.DISPATCHER_BEFORE_DEAD_LETTER,
    Failpoint.DISPATCHER_DEAD_LETTERED,
}
"""Failpoints that are passed now and then, not with every event."""

EVERY = [
    point
    for point in Failpoint
    if point not in (Failpoint.RESET_BEFORE_COMMIT, Failpoint.RESET_COMMITTED)
    and not point.startswith("migrate.")
]
"""A reset has tests of its own, and so has a move."""


async def test_killed_at_every_failpoint(tmp_path: Path) -> None:
    chance = random.Random(2)
    plan: list[End] = [KillAt(point, chance.randint(1, 2 if point in RARE else 40)) for point in EVERY]
    chance.shuffle(plan)
    report = await crash_run(tmp_path, plan, events=200)
    assert report.faults() == []
    assert report.ends == len(EVERY)


async def test_killed_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(3)
    report = await crash_run(tmp_path, [KillAfter(chance.randint(1, 300)) for _ in range(12)], events=200)
    assert report.faults() == []
    assert report.ends == 12


@pytest.mark.soak
@pytest.mark.timeout(14_400)
async def test_killed_at_200_random_moments(tmp_path: Path) -> None:
    chance = random.Random(200)
    report = await crash_run(tmp_path, [KillAfter(chance.randint(1, 300)) for _ in range(200)], events=200)
    assert report.faults() == []
    assert report.ends == 200


async def test_stopped_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(4)
    report = await crash_run(tmp_path, [StopAfter(chance.randint(1, 300)) for _ in range(4)], events=200)
    assert report.faults() == []
    assert report.statuses == [0] * 4
