"""What a turn of the event loop gathers: groups within bounds, nobody forgotten; positions never go back."""

import asyncio
import shutil
from pathlib import Path

import pytest

from partnerbus.store.embedded import EmbeddedStore, writer
from partnerbus.store.protocol import START
from partnerbus.testing.store_contract.world import DELIVERED, fill, owe
from tests.store.maker import EmbeddedMaker
from tests.store.test_groups import submitted
from tests.store.traces import commits

TOGETHER = 30


@pytest.mark.parametrize(("bound", "value", "groups"), [("GROUP_COMMANDS", 8, 4), ("GROUP_BYTES", 2_500, 10)])
async def test_a_turn_that_gathers_too_much_makes_several_groups(
    maker: EmbeddedMaker, monkeypatch: pytest.MonkeyPatch, bound: str, value: int, groups: int
) -> None:
    monkeypatch.setattr(writer, bound, value)
    store = await maker.open()
    seen = commits(store)
    stored = await asyncio.gather(*(fill(store, 1, first=number) for number in range(1, TOGETHER + 1)))
    assert len(seen.levels) == groups
    positions = [record.position for (record,) in stored]
    assert positions == sorted(set(positions)), "who called first comes first"


async def test_closing_forgets_none_of_several_groups(
    maker: EmbeddedMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GROUP_COMMANDS", 4)
    store = await maker.open()
    appending = [asyncio.create_task(fill(store, 1, first=number)) for number in range(1, TOGETHER + 1)]
    await submitted()
    await maker.close()
    assert all(task.done() for task in appending)
    stored = [record for task in appending for record in task.result()]
    store = await maker.reopen()
    assert list(await store.read("log", START, limit=100)) == stored


async def killed(maker: EmbeddedMaker, folder: Path) -> EmbeddedStore:
    """What a new process finds where another one was killed at this moment."""
    shutil.copytree(maker.folder, folder)
    return await EmbeddedStore.open(folder, maker.clock, maker.failpoints)


async def test_positions_go_on_after_a_kill_though_no_record_is_left(
    maker: EmbeddedMaker, tmp_path: Path
) -> None:
    """The last positions were given to a log all of which was trimmed."""
    store = await maker.open()
    await fill(store, 3, "older")
    stored = await fill(store, 5, first=10)
    for claim in await owe(store, stored, born=True):
        assert await store.settle(claim, DELIVERED)
    assert await store.trim("log", stored[-1].position + 1) == 5
    store = await killed(maker, tmp_path / "killed")
    try:
        assert list(await store.read("log", START)) == []
        (after,) = await fill(store, 1, "older", first=99)
        assert after.position > stored[-1].position
    finally:
        await store.close()
