"""A reset that was begun: it is finished by whoever starts next, and by nobody once it has failed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.errors import StoreUnavailable
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.model.resources import PENDING_RESET_KEY, PendingReset, encode_resource
from partnerbus.node.reset import finish_reset, forget_everything
from partnerbus.store.embedded.store import EmbeddedStore
from partnerbus.store.protocol import START
from partnerbus.testing.store_contract.world import fill

NOTE = encode_resource(PendingReset(begun_at=ManualClock().now()))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    store = await EmbeddedStore.open(tmp_path, ManualClock(), Failpoints())
    yield store
    await store.close()


async def fail(*_: Any) -> None:
    raise StoreUnavailable("not now")


async def test_what_failed_is_done_by_nobody_later(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(store, "reset", fail)
        with pytest.raises(StoreUnavailable):
            await forget_everything(store, (), ManualClock())
    stored = await fill(store, 1)
    await finish_reset(store, ())
    assert await store.read("log", START) == stored
    await forget_everything(store, (), ManualClock())
    assert list(await store.logs()) == []


async def test_what_was_begun_by_one_that_is_gone_is_finished(store: EmbeddedStore) -> None:
    await fill(store, 1)
    await store.put(PENDING_RESET_KEY, NOTE, 0)
    await finish_reset(store, ())
    assert list(await store.logs()) == []


async def test_what_another_one_has_finished_meanwhile_is_not_done_again(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = store.get

    async def get_and_be_late(key: str) -> Any:
        found = await get(key)
        await store.reset([])
        await fill(store, 1)
        return found

    await store.put(PENDING_RESET_KEY, NOTE, 0)
    monkeypatch.setattr(store, "get", get_and_be_late)
    await finish_reset(store, ())
    assert len(await store.read("log", START)) == 1
