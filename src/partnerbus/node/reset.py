"""Forgetting everything in a data folder but who may call.

Not all of it lies in the store, so a reset is first written down there: from then on it is finished, by
whoever has the folder, however often it is begun. The store comes last, and the note goes with it. When it
fails and its process goes on, the note says so: what is stored from then on must stay.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import RevisionConflict, StoreError
from partnerbus.model.resources import (
    PENDING_RESET_KEY,
    AnyResource,
    PendingReset,
    access_key_key,
    account_key,
    decode_resource,
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
    found = await store.get(PENDING_RESET_KEY)
    note = PendingReset(begun_at=clock.now())
    revision = await store.put(PENDING_RESET_KEY, encode_resource(note), found.revision if found else 0)
    try:
        await _finish(store, lines, revision)
    except (StoreError, OSError):
        failed = encode_resource(msgspec.structs.replace(note, failed=True))
        with suppress(StoreError):
            await store.put(PENDING_RESET_KEY, failed, revision)
        raise


async def finish_reset(store: Store, lines: Sequence[Path]) -> None:
    """Forget everything if that was begun, unless it failed, or another node does it meanwhile."""
    found = await store.get(PENDING_RESET_KEY)
    note = None if found is None else decode_resource(found.value)
    if found is not None and isinstance(note, PendingReset) and not note.failed:
        with suppress(RevisionConflict):
            await _finish(store, lines, found.revision)


async def _finish(store: Store, lines: Sequence[Path], revision: int) -> None:
    await forget_lines(lines)
    await store.reset(KEPT, (PENDING_RESET_KEY, revision))


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
