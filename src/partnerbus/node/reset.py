"""Forgetting everything in a data folder but who may call.

Not all of it lies in the store, so a reset is first written down there: from then on it is finished, by
whoever has the folder, however often it is begun. The store comes last, and the note goes with it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.clock import Clock
from partnerbus.model.resources import (
    PENDING_RESET_KEY,
    AnyResource,
    PendingReset,
    access_key_key,
    account_key,
    encode_resource,
    node_key,
)
from partnerbus.store.line_files import delete_lines
from partnerbus.store.protocol import Store

KEPT = (account_key(""), access_key_key(""), node_key(""))
"""What the keys of the registry values begin with that outlive a reset: whoever could call still can, and
the nodes of a cluster are there."""


async def forget_everything(store: Store, lines: Sequence[Path], clock: Clock) -> None:
    """Forget what is in the store, and the files of `lines`. Nobody else may use either meanwhile."""
    if await store.get(PENDING_RESET_KEY) is None:
        await store.put(PENDING_RESET_KEY, encode_resource(PendingReset(begun_at=clock.now())), 0)
    await _finish(store, lines)


async def finish_reset(store: Store, lines: Sequence[Path]) -> None:
    """Forget everything if that was begun."""
    if await store.get(PENDING_RESET_KEY) is not None:
        await _finish(store, lines)


async def _finish(store: Store, lines: Sequence[Path]) -> None:
    await forget_lines(lines)
    await store.reset(KEPT)


async def forget_lines(folders: Sequence[Path]) -> None:
    """Forget what no store holds. Nobody may write there meanwhile."""
    for folder in folders:
        await delete_lines(folder)


def hear_of_resets(catalog: Catalog, happened: Callable[[], None]) -> None:
    """Call `happened` when another node that shares the store has forgotten everything.

    Whoever does that itself follows no catalog meanwhile.
    """

    def changed(key: str, _before: AnyResource | None, after: AnyResource | None) -> None:
        if key == PENDING_RESET_KEY and after is None:
            happened()

    catalog.listen(changed)
