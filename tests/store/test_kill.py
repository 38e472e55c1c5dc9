"""kill -9 at each moment of the store that has a name: what was said stands, what was not can be repeated."""

import asyncio
import signal
from pathlib import Path

import pytest

from partnerbus.kernel.failpoints import Failpoint
from partnerbus.model.delivery import DeliveryState
from partnerbus.store.protocol import LIVE, START, DeliveryQuery
from partnerbus.testing.store_contract.world import make_event
from tests.store.maker import EmbeddedMaker
from tests.store.processes import process
from tests.store.victim import EVENTS, TRIMMED, work

RESETS = {Failpoint.RESET_BEFORE_COMMIT: False, Failpoint.RESET_COMMITTED: True}
"""Whether everything is gone if it was killed there."""

TIMES = {Failpoint.TRIM_BEFORE_COMMIT: (1,)} | dict.fromkeys(RESETS, ())
"""The passages at which to kill, where it is not the first and the third."""

MOMENTS = [
    (point, count) for point in Failpoint if point.startswith("store.") for count in TIMES.get(point, (1, 3))
]


@pytest.mark.fault
@pytest.mark.parametrize(("point", "count"), MOMENTS)
async def test_killed_at(maker: EmbeddedMaker, point: Failpoint, count: int) -> None:
    with process("work", maker.folder, f"{point}=kill@{count}") as victim:
        said, ended = await asyncio.to_thread(victim.run)
    assert ended == -signal.SIGKILL
    await everything_said_stands(maker, said)
    store = await maker.reopen()
    await work(store)
    ledger = await store.ledger("log")
    assert (ledger.accepted, ledger.matched, ledger.unrouted) == (EVENTS, EVENTS, 0)
    assert (ledger.owed, ledger.delivered, ledger.pending) == (EVENTS, EVENTS, 0)
    assert len(await store.read("log", START)) == EVENTS - TRIMMED
    assert [each.key for each in await store.list("")] == [f"k{number}" for number in range(4)]


async def everything_said_stands(maker: EmbeddedMaker, said: list[str]) -> None:
    store = await maker.open()
    records = {record.event.id: record for record in await store.read("log", START)}
    found = await store.deliveries(DeliveryQuery())
    states = {each.record.event.id: each.state for each in found if each.record}
    keys = {each.key for each in await store.list("")}
    cursor = await store.cursor("log", LIVE)
    for line in said:
        what, _, which = line.partition(":")
        match what:
            case "put":
                assert which in keys
            case "appended":
                assert {make_event(int(which) + n).id for n in range(4)} <= records.keys()
            case "routed":
                assert records[which].position <= cursor
                assert which in states
            case "settled":
                assert states[which] is DeliveryState.DELIVERED


@pytest.mark.fault
@pytest.mark.parametrize(("point", "is_gone"), RESETS.items())
async def test_a_reset_is_whole_or_not_at_all(maker: EmbeddedMaker, point: Failpoint, is_gone: bool) -> None:
    with process("reset", maker.folder, f"{point}=kill@1") as victim:
        said, ended = await asyncio.to_thread(victim.run)
    assert ended == -signal.SIGKILL
    assert said[-1].startswith("settled:")
    store = await maker.open()
    left = 0 if is_gone else EVENTS
    ledger = await store.ledger("log")
    assert (ledger.accepted, ledger.delivered) == (left, left)
    assert len(await store.read("log", START)) == (0 if is_gone else EVENTS - TRIMMED)
    assert len(await store.deliveries(DeliveryQuery())) == (0 if is_gone else EVENTS - TRIMMED)
    keys = ["k0"] if is_gone else [f"k{number}" for number in range(4)]
    assert [each.key for each in await store.list("")] == keys


@pytest.mark.fault
async def test_unharmed_it_comes_to_the_same_end(tmp_path: Path) -> None:
    with process("work", tmp_path / "data") as victim:
        said, ended = await asyncio.to_thread(victim.run)
    assert ended == 0
    assert sum(line.startswith("settled:") for line in said) == EVENTS
