"""Searches where much is damaged: they cost no more than others, and come past it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from partnerbus.api.admin.backtests import BacktestResult
from partnerbus.api.admin.events import EventList
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.model.resources import default_log
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.store.embedded.database import DATABASE
from partnerbus.testing.store_contract.world import fill
from tests.admin.world import ANN, REGION, Desk, open_desk

STORED = 12


async def prepare(folder: Path) -> None:
    """Events of which only the oldest can be read."""
    store = await EmbeddedStore.open(folder, ManualClock(), Failpoints())
    (sound, *_) = await fill(store, STORED, default_log(ANN, REGION))
    await store.close()
    with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
        connection.execute("UPDATE records SET checksum = checksum + 1 WHERE position > ?", (sound.position,))


async def search(desk: Desk, limit: int = 100) -> list[EventList]:
    pages = [(await desk.ask("/events", limit=limit)).read(EventList)]
    while pages[-1].next is not None:
        pages.append((await desk.ask("/events", limit=limit, after=pages[-1].next)).read(EventList))
    return pages


async def test_pages_of_what_is_damaged_are_bounded_and_lead_past_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await prepare(tmp_path / "data")
    monkeypatch.setattr("partnerbus.api.admin.events.LOOKED_AT_MOST", 5)
    async with open_desk(tmp_path / "data") as desk:
        pages = await search(desk)
        assert [page.looked_at for page in pages] == [5, 5, 2]
        assert [len(page.events) for page in pages] == [0, 0, 1]
        positions = [each.position for page in pages for each in page.damaged]
        assert positions == sorted(set(positions), reverse=True)
        assert len(positions) == STORED - 1
        assert [len(page.damaged) for page in await search(desk, limit=4)] == [4, 4, 3, 0]


async def test_a_backtest_goes_through_so_many_and_no_more(tmp_path: Path) -> None:
    await prepare(tmp_path / "data")
    async with open_desk(tmp_path / "data") as desk:
        given = {"bus": "default", "pattern": '{"source": [{"prefix": ""}]}', "limit": 10}
        first = (await desk.ask("/backtests", method="POST", body=given)).read(BacktestResult)
        assert (first.looked_at, len(first.damaged)) == (0, 10)
        rest = (await desk.ask("/backtests", method="POST", body=given | {"after": first.next})).read(
            BacktestResult
        )
        assert (rest.looked_at, len(rest.damaged), rest.after.matched) == (1, 1, 1)
        assert rest.next is None
